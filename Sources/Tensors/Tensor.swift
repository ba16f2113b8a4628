import Base

/// A dense row-major array. A value: copies share the storage, and only whoever made the tensor
/// writes to it, before handing it on.
public struct Tensor: Sendable {
  public let elementType: ElementType
  public let shape: Shape
  package let storage: Storage
  /// The first element. Valid while the tensor (its storage) lives.
  nonisolated(unsafe) package let base: UnsafeMutableRawPointer

  package init(
    elementType: ElementType, shape: Shape, storage: Storage, base: UnsafeMutableRawPointer
  ) {
    self.elementType = elementType
    self.shape = shape
    self.storage = storage
    self.base = base
  }

  /// A new tensor whose elements are not initialised (strings are empty).
  /// - Throws: `.outOfMemory`.
  public init(uninitialized elementType: ElementType, _ shape: Shape) throws(StackLensError) {
    let storage = try Storage(elementType: elementType, count: shape.count)
    self.init(elementType: elementType, shape: shape, storage: storage, base: storage.base)
  }

  /// A new tensor of zeros (false, "").
  public init(zeros elementType: ElementType, _ shape: Shape) throws(StackLensError) {
    try self.init(uninitialized: elementType, shape)
    if elementType != .string {
      base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    }
  }

  /// A new tensor with the given elements in row-major order.
  /// - Throws: `.shapeMismatch` when the counts differ.
  public init<Element: TensorElement>(
    _ elements: [Element], shape: Shape
  ) throws(StackLensError) {
    guard elements.count == shape.count else {
      throw .shapeMismatch("\(elements.count) elements cannot fill shape \(shape)")
    }
    try self.init(uninitialized: Element.elementType, shape)
    let target = base.assumingMemoryBound(to: Element.self)
    elements.withUnsafeBufferPointer { source in
      guard let start = source.baseAddress else { return }
      target.update(from: start, count: source.count)
    }
  }

  /// A rank-1 tensor.
  public init<Element: TensorElement>(_ elements: [Element]) throws(StackLensError) {
    try self.init(elements, shape: Shape([elements.count]))
  }

  /// A rank-0 tensor.
  public init<Element: TensorElement>(scalar: Element) throws(StackLensError) {
    try self.init([scalar], shape: .scalar)
  }

  /// Shares memory owned elsewhere without a copy.
  /// - Parameter release: called once, on any thread, when the last tensor lets go of the memory.
  package init(
    lending base: UnsafeMutableRawPointer, elementType: ElementType, shape: Shape,
    isReadOnly: Bool, release: (@Sendable () -> Void)?
  ) {
    let storage = Storage(
      lent: base, byteCount: shape.count * elementType.byteSize, isReadOnly: isReadOnly,
      release: release)
    self.init(elementType: elementType, shape: shape, storage: storage, base: base)
  }

  public var rank: Int { shape.rank }
  public var count: Int { shape.count }
  public var byteCount: Int { shape.count * elementType.byteSize }

  /// The elements, copied out.
  /// - Throws: `.typeMismatch` when the tensor holds another type.
  public func elements<Element: TensorElement>(
    as type: Element.Type
  ) throws(StackLensError) -> [Element] {
    guard Element.elementType == elementType else {
      throw .typeMismatch("tensor holds \(elementType.name), not \(Element.elementType.name)")
    }
    return Array(
      UnsafeBufferPointer(start: base.assumingMemoryBound(to: Element.self), count: count))
  }

  /// Integer elements of int32 or int64 as `Int`, the form of shapes, axes and indices.
  /// - Throws: `.typeMismatch` for another type.
  public func integers() throws(StackLensError) -> [Int] {
    switch elementType {
    case .int64: return try elements(as: Int64.self).map(Int.init)
    case .int32: return try elements(as: Int32.self).map(Int.init)
    default: throw .typeMismatch("expected int32 or int64 integers, found \(elementType.name)")
    }
  }

  /// The same elements in another shape, sharing the storage.
  /// - Throws: `.shapeMismatch` when the element counts differ.
  public func reshaped(to shape: Shape) throws(StackLensError) -> Tensor {
    guard shape.count == count else {
      throw .shapeMismatch("cannot reshape \(self.shape) into \(shape)")
    }
    return Tensor(elementType: elementType, shape: shape, storage: storage, base: base)
  }

  /// Rows `range` along the first axis, sharing the storage.
  public func rows(_ range: Range<Int>) throws(StackLensError) -> Tensor {
    guard rank > 0, range.lowerBound >= 0, range.upperBound <= shape[0] else {
      throw .invalidArgument("rows \(range) are outside shape \(shape)")
    }
    let rowBytes = shape.count(1..<rank) * elementType.byteSize
    return Tensor(
      elementType: elementType, shape: try Shape([range.count] + shape.dims.dropFirst()),
      storage: storage, base: base + range.lowerBound * rowBytes)
  }

  /// A copy in memory of its own.
  public func copied() throws(StackLensError) -> Tensor {
    let copy = try Tensor(uninitialized: elementType, shape)
    copy.copyElements(from: self)
    return copy
  }

  /// Overwrites this tensor with `source`, which must have the same type and count.
  package func copyElements(from source: Tensor) {
    precondition(source.elementType == elementType && source.count == count)
    if elementType == .string {
      base.assumingMemoryBound(to: String.self).update(
        from: source.base.assumingMemoryBound(to: String.self), count: count)
    } else {
      base.copyMemory(from: source.base, byteCount: byteCount)
    }
  }

  /// The raw elements. For strings this is empty.
  public var bytes: UnsafeRawBufferPointer {
    elementType == .string
      ? UnsafeRawBufferPointer(start: nil, count: 0)
      : UnsafeRawBufferPointer(start: base, count: byteCount)
  }
}

/// What flows along an edge of a graph.
public indirect enum Value: Sendable {
  case tensor(Tensor)
  case sequence([Value])
  /// Keys (rank 1, int64 or string) and one value for each.
  case map(keys: Tensor, values: Tensor)
  /// An optional without content.
  case none

  /// A map.
  /// - Throws: unless the keys are distinct, of int64 or string, and there is a value for each.
  public init(keys: Tensor, values: Tensor) throws(StackLensError) {
    guard keys.rank == 1, keys.shape == values.shape else {
      throw .shapeMismatch(
        "a map needs as many values as keys, found \(keys.shape) keys and "
          + "\(values.shape) values")
    }
    let distinct: Int
    if keys.elementType == .string {
      distinct = Set(try keys.elements(as: String.self).map { Array($0.utf8) }).count
    } else {
      guard keys.elementType == .int64 else {
        throw .typeMismatch("keys of a map are int64 or string, found \(keys.elementType.name)")
      }
      distinct = Set(try keys.elements(as: Int64.self)).count
    }
    guard distinct == keys.count else {
      throw .invalidArgument("a map of \(keys.count) entries has \(distinct) distinct keys")
    }
    self = .map(keys: keys, values: values)
  }

  /// - Throws: `.typeMismatch` when the value is no tensor.
  public func tensor() throws(StackLensError) -> Tensor {
    guard case .tensor(let tensor) = self else {
      throw .typeMismatch("expected a tensor, found \(kindName)")
    }
    return tensor
  }

  public var kindName: String {
    switch self {
    case .tensor: "a tensor"
    case .sequence: "a sequence"
    case .map: "a map"
    case .none: "an empty optional"
    }
  }
}
