import struct Synchronization.Atomic

/// A flag that one thread raises and a running computation looks at between its steps.
public final class Cancellation: Sendable {
  private let flag = Atomic<Bool>(false)

  public init() {}

  /// Asks the computation to stop; it ends with `.cancelled`.
  public func cancel() { flag.store(true, ordering: .relaxed) }

  public var isCancelled: Bool { flag.load(ordering: .relaxed) }

  /// - Throws: `.cancelled` once `cancel` was called.
  public func check() throws(StackLensError) {
    if isCancelled { throw .cancelled("the run was cancelled") }
  }
}
