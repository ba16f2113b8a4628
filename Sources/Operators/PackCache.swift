import Base
import Synchronization
import Tensors

/// Re-laid-out constants of one session, shared by all its plans.
public final class PackCache: Sendable {
  private struct Key: Hashable {
    let address: UInt
    let shape: Shape
    let layout: String
  }
  private struct Entry {
    let source: Tensor  // keeps the address taken
    let packed: Tensor
  }
  private let entries = Mutex<[Key: Entry]>([:])
  private let objects = Mutex<[String: any Sendable]>([:])

  public init() {}

  /// The packed form of `source`, made at the first call for this source and layout.
  public func packed(
    _ source: Tensor, layout: String, make: (Tensor) throws(StackLensError) -> Tensor
  ) throws(StackLensError) -> Tensor {
    let key = Key(address: UInt(bitPattern: source.base), shape: source.shape, layout: layout)
    if let entry = entries.withLock({ $0[key] }) { return entry.packed }
    let made = try make(source)
    return entries.withLock { entries in
      if let entry = entries[key] { return entry.packed }
      entries[key] = Entry(source: source, packed: made)
      return made
    }
  }

  /// What `make` derives from a node's attributes, made at the first call for this key.
  public func object<T: Sendable>(
    _ key: String, make: () throws(StackLensError) -> T
  ) throws(StackLensError) -> T {
    if let found = objects.withLock({ $0[key] }) as? T { return found }
    let made = try make()
    objects.withLock { $0[key] = made }
    return made
  }
}
