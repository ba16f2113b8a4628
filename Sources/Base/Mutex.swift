import CPlatform

/// A value that one thread at a time reaches.
///
/// Over the system's mutex and not `Synchronization.Mutex`, whose locking the thread sanitizer cannot
/// see: with this one it checks the whole library without suppressions.
public final class Mutex<Value>: @unchecked Sendable {  // every access holds the lock
  private let lock: OpaquePointer
  private var value: Value

  public init(_ value: Value) {
    guard let lock = slp_lock_create() else { fatalError("no memory for a lock") }
    self.lock = lock
    self.value = value
  }

  deinit { slp_lock_destroy(lock) }

  /// Calls `body` with the value while no other thread has it. Must not be nested.
  public func withLock<Result, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    slp_lock_acquire(lock)
    defer { slp_lock_release(lock) }
    return try body(&value)
  }
}
