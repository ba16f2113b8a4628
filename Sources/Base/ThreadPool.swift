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
    withTask(body) { task, context in slp_pool_run(pool, count, task, context) }
  }

  /// Wakes threads that sleep, for a job that comes soon: what is done until then hides how long they
  /// take.
  public func alert() { slp_pool_alert(pool) }

  /// Calls `body(i)` on each thread i, all at the same time. False, and nothing has run, where the
  /// pool is in use elsewhere or has no threads.
  fileprivate func runTogether(_ body: (Int) -> Void) -> Bool {
    guard let pool else { return false }
    return withTask(body) { task, context in slp_pool_run_together(pool, task, context) }
  }

  /// Waits, in a body that runs together with others, until all of them do.
  fileprivate func meet() { slp_pool_meet(pool) }

  /// The closure as the C pool takes it. It lies in an object that calls borrow: to count the threads
  /// that hold it would cost them more than many a part does.
  private func withTask<Result>(
    _ body: (Int) -> Void, _ run: (slp_task, UnsafeMutableRawPointer) -> Result
  ) -> Result {
    withoutActuallyEscaping(body) { escaping in
      let task = Task(escaping)
      return withExtendedLifetime(task) {
        run(
          { context, index in
            Unmanaged<Task>.fromOpaque(context.unsafelyUnwrapped)._withUnsafeGuaranteedRef {
              $0.body(index)
            }
          }, Unmanaged.passUnretained(task).toOpaque())
      }
    }
  }

  private final class Task {
    let body: (Int) -> Void

    init(_ body: @escaping (Int) -> Void) { self.body = body }
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

  /// One of the threads that walk through the same steps at the same time.
  public struct Member: Sendable {
    public let index: Int
    public let count: Int
    fileprivate let pool: ThreadPool?

    /// The only member.
    public static let alone = Member(index: 0, count: 1, pool: nil)

    /// Waits until all members have come this far.
    public func meet() {
      if count > 1 { pool?.meet() }
    }

    /// This member's share of 0..<total.
    public func share(of total: Int) -> Range<Int> {
      total * index / count..<total * (index + 1) / count
    }
  }

  /// Calls `body` on all threads at the same time, or on the calling one as the only member.
  public func together(_ body: (Member) -> Void) {
    if let pool,
      pool.runTogether({ body(Member(index: $0, count: pool.threadCount, pool: pool)) })
    {
      return
    }
    body(.alone)
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
