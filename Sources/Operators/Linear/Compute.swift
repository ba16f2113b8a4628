import Base
import Tensors

/// A type that reference products compute in. Float16 and bfloat16 go through Float; integers of
/// every width share Int64 with wrap-around, whose low bits are those of the narrower product.
protocol ComputeElement: TensorElement {
  static var zero: Self { get }
  static func add(_ a: Self, _ b: Self) -> Self
  static func multiply(_ a: Self, _ b: Self) -> Self
  func scaled(by factor: Float) -> Self
  /// Converts `count` elements of another type to this one.
  static func widen(
    _ source: UnsafeMutableRawPointer, _ type: ElementType, _ count: Int,
    to target: UnsafeMutablePointer<Self>)
  /// Converts `count` elements of this type to another one.
  static func narrow(
    _ source: UnsafePointer<Self>, _ count: Int, to target: UnsafeMutableRawPointer,
    _ type: ElementType)
}

/// Which `ComputeElement` stands for an element type.
enum ComputeKind {
  case float, double, integer

  /// - Throws: `.typeMismatch` for bool and string.
  init(_ type: ElementType) throws(StackLensError) {
    switch type {
    case .float32, .float16, .bfloat16: self = .float
    case .float64: self = .double
    case _ where type.isInteger: self = .integer
    default: throw .typeMismatch("\(type.name) has no arithmetic")
    }
  }
}

extension Float: ComputeElement {
  static func add(_ a: Float, _ b: Float) -> Float { a + b }
  static func multiply(_ a: Float, _ b: Float) -> Float { a * b }
  func scaled(by factor: Float) -> Float { self * factor }

  static func widen(
    _ source: UnsafeMutableRawPointer, _ type: ElementType, _ count: Int,
    to target: UnsafeMutablePointer<Float>
  ) {
    type.widen(source, target, count)
  }

  static func narrow(
    _ source: UnsafePointer<Float>, _ count: Int, to target: UnsafeMutableRawPointer,
    _ type: ElementType
  ) {
    type.narrow(source, target, count)
  }
}

extension Double: ComputeElement {
  static func add(_ a: Double, _ b: Double) -> Double { a + b }
  static func multiply(_ a: Double, _ b: Double) -> Double { a * b }
  func scaled(by factor: Float) -> Double { self * Double(factor) }

  static func widen(
    _ source: UnsafeMutableRawPointer, _ type: ElementType, _ count: Int,
    to target: UnsafeMutablePointer<Double>
  ) { target.update(from: source.assumingMemoryBound(to: Double.self), count: count) }

  static func narrow(
    _ source: UnsafePointer<Double>, _ count: Int, to target: UnsafeMutableRawPointer,
    _ type: ElementType
  ) { target.assumingMemoryBound(to: Double.self).update(from: source, count: count) }
}

extension Int64: ComputeElement {
  static func add(_ a: Int64, _ b: Int64) -> Int64 { a &+ b }
  static func multiply(_ a: Int64, _ b: Int64) -> Int64 { a &* b }

  /// Rounds towards zero; beyond the range it saturates.
  func scaled(by factor: Float) -> Int64 {
    if factor == 1 { return self }
    let value = Double(self) * Double(factor)
    if value.isNaN { return 0 }
    return Int64(exactly: value.rounded(.towardZero)) ?? (value < 0 ? .min : .max)
  }

  static func widen(
    _ source: UnsafeMutableRawPointer, _ type: ElementType, _ count: Int,
    to target: UnsafeMutablePointer<Int64>
  ) {
    func copy<S: FixedWidthInteger>(_: S.Type) {
      let values = source.assumingMemoryBound(to: S.self)
      for i in 0..<count { target[i] = Int64(truncatingIfNeeded: values[i]) }
    }
    switch type {
    case .int8: copy(Int8.self)
    case .uint8: copy(UInt8.self)
    case .int16: copy(Int16.self)
    case .uint16: copy(UInt16.self)
    case .int32: copy(Int32.self)
    case .uint32: copy(UInt32.self)
    default: copy(Int64.self)
    }
  }

  static func narrow(
    _ source: UnsafePointer<Int64>, _ count: Int, to target: UnsafeMutableRawPointer,
    _ type: ElementType
  ) {
    func copy<S: FixedWidthInteger>(_: S.Type) {
      let values = target.assumingMemoryBound(to: S.self)
      for i in 0..<count { values[i] = S(truncatingIfNeeded: source[i]) }
    }
    switch type.byteSize {
    case 1: copy(Int8.self)
    case 2: copy(Int16.self)
    case 4: copy(Int32.self)
    default: copy(Int64.self)
    }
  }
}

extension Int32: ComputeElement {
  static func add(_ a: Int32, _ b: Int32) -> Int32 { a &+ b }
  static func multiply(_ a: Int32, _ b: Int32) -> Int32 { a &* b }
  func scaled(by factor: Float) -> Int32 {
    Int32(truncatingIfNeeded: Int64(self).scaled(by: factor))
  }

  static func widen(
    _ source: UnsafeMutableRawPointer, _ type: ElementType, _ count: Int,
    to target: UnsafeMutablePointer<Int32>
  ) {
    switch type {
    case .int8:
      let values = source.assumingMemoryBound(to: Int8.self)
      for i in 0..<count { target[i] = Int32(values[i]) }
    case .uint8:
      let values = source.assumingMemoryBound(to: UInt8.self)
      for i in 0..<count { target[i] = Int32(values[i]) }
    default: target.update(from: source.assumingMemoryBound(to: Int32.self), count: count)
    }
  }

  static func narrow(
    _ source: UnsafePointer<Int32>, _ count: Int, to target: UnsafeMutableRawPointer,
    _ type: ElementType
  ) { target.assumingMemoryBound(to: Int32.self).update(from: source, count: count) }
}

/// Lays out the work space of a kernel, every part aligned to 64 bytes.
struct ScratchPlan {
  private(set) var byteCount = 0

  /// The offset of room for `count` elements.
  mutating func reserve<T>(_ count: Int, of type: T.Type) throws(StackLensError) -> Int {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<T>.stride)
    let (end, beyond) = byteCount.addingReportingOverflow(bytes)
    guard !overflow, !beyond, end <= Int.max / 2 else {
      throw .outOfMemory("a work space of \(count) elements is too large")
    }
    let offset = byteCount
    byteCount = (end + 63) & ~63
    return offset
  }

  /// Room to hold a tensor of type `source` in the compute type; none where the types agree.
  mutating func reserve<T: ComputeElement>(
    _ source: TensorType, as type: T.Type
  ) throws(StackLensError) -> Int {
    source.elementType == T.elementType ? 0 : try reserve(source.shape.count, of: T.self)
  }
}

extension ComputeElement {
  /// The tensor's elements in the compute type: in place, or widened into `room`.
  static func load(_ tensor: Tensor, _ room: UnsafeMutableRawPointer) -> UnsafePointer<Self> {
    if tensor.elementType == elementType {
      return UnsafePointer(tensor.base.assumingMemoryBound(to: Self.self))
    }
    let target = room.bindMemory(to: Self.self, capacity: tensor.count)
    widen(tensor.base, tensor.elementType, tensor.count, to: target)
    return UnsafePointer(target)
  }

  /// Where to compute the elements of `output`: in place, or in `room`.
  static func target(
    _ output: Tensor, _ room: UnsafeMutableRawPointer
  ) -> UnsafeMutablePointer<Self> {
    output.elementType == elementType
      ? output.base.assumingMemoryBound(to: Self.self)
      : room.bindMemory(to: Self.self, capacity: output.count)
  }

  /// Converts what was computed at `target` into the output, unless it is already there.
  static func store(_ values: UnsafeMutablePointer<Self>, _ output: Tensor) {
    guard output.elementType != elementType else { return }
    narrow(UnsafePointer(values), output.count, to: output.base, output.elementType)
  }
}
