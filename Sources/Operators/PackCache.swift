import Base
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
  private struct Slab {
    let storage: Storage
    var used: Int
  }
  private let entries = Mutex<[Key: Entry]>([:])
  private let lasting = Mutex<Set<UInt>>([])
  private let slab = Mutex<Slab?>(nil)
  private let objects = Mutex<[String: any Sendable]>([:])

  public init() {}

  /// Says that a constant lives as long as the session. Only packed forms of such constants are
  /// kept: the others belong to one plan and go with it.
  public func keep(_ constant: Tensor) {
    lasting.withLock { _ = $0.insert(UInt(bitPattern: constant.base)) }
  }

  /// The packed form of `source` as bytes, which `fill` writes to memory aligned to 64.
  public func packed(
    _ source: Tensor, layout: String, byteCount: Int,
    fill: (_ source: Tensor, _ target: UnsafeMutableRawPointer) -> Void
  ) throws(StackLensError) -> Tensor {
    try packed(source, layout: layout) { (source) throws(StackLensError) in
      let target =
        try isKept(source) ? room(byteCount) : Tensor(uninitialized: .uint8, Shape([byteCount]))
      fill(source, target.base)
      return target
    }
  }

  private func isKept(_ source: Tensor) -> Bool {
    lasting.withLock { $0.contains(UInt(bitPattern: source.base)) }
  }

  /// Room for a packed constant. Packed weights lie side by side in large blocks, because reading
  /// them from huge pages is a third faster when they do not fit into the cache.
  private func room(_ byteCount: Int) throws(StackLensError) -> Tensor {
    let shape = try Shape([byteCount])
    let (padded, overflow) = byteCount.addingReportingOverflow(Self.alignment - 1)
    let size = padded / Self.alignment * Self.alignment
    guard !overflow, size <= Self.slabByteCount / 2 else {
      return try Tensor(uninitialized: .uint8, shape)
    }
    let place = slab.withLock { slab -> Result<Slab, StackLensError> in
      do throws(StackLensError) {
        var current: Slab
        if let slab, slab.used + size <= Self.slabByteCount {
          current = slab
        } else {
          let storage = try Storage(elementType: .uint8, count: Self.slabByteCount)
          current = Slab(storage: storage, used: 0)
        }
        let here = current
        current.used += size
        slab = current
        return .success(here)
      } catch { return .failure(error) }
    }
    let here = try place.get()
    return Tensor(
      elementType: .uint8, shape: shape, storage: here.storage,
      base: here.storage.base + here.used)
  }

  private static let alignment = 64
  /// Memory is only taken from the system where it is written to.
  private static let slabByteCount = 32 << 20

  /// The packed form of `source`, made at the first call for this source and layout where the
  /// source is kept, and at every call where it is not.
  public func packed(
    _ source: Tensor, layout: String, make: (Tensor) throws(StackLensError) -> Tensor
  ) throws(StackLensError) -> Tensor {
    guard isKept(source) else { return try make(source) }
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
