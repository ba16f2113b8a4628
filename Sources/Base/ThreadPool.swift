import CPlatform

/// Worker threads that run the parts of one job at a time; the caller is one of them.
public final class ThreadPool: @unchecked Sendable {  // the C pool is thread-safe
  public let threadCount: Int
  private let pool: OpaquePointer?

  private init(threadCount: Int) {
    self.threadCount = threadCount
    pool = threadCount > 1 ? slp_pool_create(threadCount) : nil
  }

  deinit { slp_pool_destroy(pool) }

  private static let shared = Mutex<[Int: ThreadPool]>([:])

  /// Processors that the process may really use (affinity mask and cgroup quota).
  public static let usableProcessorCount = Int(slp_usable_processors())

  /// The process-wide pool of `threadCount` threads; 0 means `usableProcessorCount`.
  public static func withThreads(_ threadCount: Int) -> ThreadPool {
    let count = threadCount > 0 ? min(threadCount, 1024) : usableProcessorCount
    return shared.withLock { pools in
      if let pool = pools[count] { return pool }
      let pool = ThreadPool(threadCount: count)
      pools[count] = pool
      return pool
    }
  }

  /// Calls `body(i)` once for each i in 0..<count, in any order, and returns when all are done.
  /// When the pool is in use elsewhere, everything runs on the calling thread.
  public func run(_ count: Int, _ body: (Int) -> Void) {
    guard count > 1, let pool else {
      for index in 0..<max(count, 0) { body(index) }
      return
    }
    withoutActuallyEscaping(body) { escaping in
      var task = escaping
      withUnsafeMutablePointer(to: &task) { pointer in
        slp_pool_run(
          pool, count,
          { context, index in
            context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index)
          }, pointer)
      }
    }
  }
}

/// How a kernel may spread its work: a pool, or the calling thread alone. What a kernel computes
/// never depends on how the work is cut.
public struct Parallel: Sendable {
  private let pool: ThreadPool?

  public static let serial = Parallel(nil)

  public init(_ pool: ThreadPool?) { self.pool = pool }

  public var threadCount: Int { pool?.threadCount ?? 1 }

  /// Calls `body(i)` for each i in 0..<count.
  public func forEach(_ count: Int, _ body: (Int) -> Void) {
    guard count > 1, let pool else {
      for index in 0..<max(count, 0) { body(index) }
      return
    }
    pool.run(count, body)
  }

  /// Cuts 0..<count into ranges of at least `grain` items, a few per thread, and calls `body` with each.
  public func ranges(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
    guard count > 0 else { return }
    let parts = min(threadCount == 1 ? 1 : threadCount * 4, max(1, count / max(grain, 1)))
    guard parts > 1 else { return body(0..<count) }
    forEach(parts) { part in
      body(count * part / parts..<count * (part + 1) / parts)
    }
  }
}
