import Glibc

/// Something that is made on a thread of its own while the caller goes on.
package final class BackgroundTask<Result: Sendable>: @unchecked Sendable {
  /// The thread writes the outcome before it ends; it is read after the thread has ended.
  private final class Work {
    let body: @Sendable () throws(StackLensError) -> Result
    var outcome: Swift.Result<Result, StackLensError>?

    init(_ body: @escaping @Sendable () throws(StackLensError) -> Result) { self.body = body }

    func run() {
      do throws(StackLensError) { outcome = .success(try body()) } catch {
        outcome = .failure(error)
      }
    }
  }
  private let work: Work
  private var thread = pthread_t()
  private var isRunning = false

  /// Starts `body`; where the system gives no thread it runs when it is waited for.
  package init(_ body: @escaping @Sendable () throws(StackLensError) -> Result) {
    work = Work(body)
    // A thread knows no generic types: it gets a closure.
    let start = Start { [work] in work.run() }
    let context = Unmanaged.passRetained(start)
    let status = pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        Unmanaged<Start>.fromOpaque(context).takeRetainedValue().body()
        return nil
      }, context.toOpaque())
    if status == 0 { isRunning = true } else { context.release() }
  }

  deinit { if isRunning { pthread_join(thread, nil) } }

  /// What `body` returns or throws. For one thread at a time.
  package func wait() throws(StackLensError) -> Result {
    if isRunning {
      pthread_join(thread, nil)
      isRunning = false
    }
    if work.outcome == nil { work.run() }
    guard let outcome = work.outcome else {
      throw .internalError("a background task ended without an outcome")
    }
    return try outcome.get()
  }
}

private final class Start {
  let body: () -> Void
  init(_ body: @escaping () -> Void) { self.body = body }
}
