import Glibc

/// Runs `body(0) … body(count - 1)` at the same time, each on a thread of its own.
package func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  final class Job {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }
  var threads: [pthread_t] = []
  for index in 0..<count {
    var thread = pthread_t()
    let job = Unmanaged.passRetained(Job { body(index) }).toOpaque()
    let code = pthread_create(
      &thread, nil,
      { context in
        if let context { Unmanaged<Job>.fromOpaque(context).takeRetainedValue().run() }
        return nil
      }, job)
    if code == 0 { threads.append(thread) }
  }
  for thread in threads { pthread_join(thread, nil) }
}

/// Lets the calling thread rest.
package func rest(milliseconds: UInt32) { usleep(milliseconds * 1000) }
