import Base
import CKernels
import Tensors

/// A floating-point type that reference kernels compute in double precision for.
protocol RealElement: TensorElement {
  var double: Double { get }
  init(rounding value: Double)
}

extension Float: RealElement {
  var double: Double { Double(self) }
  init(rounding value: Double) { self = Float(value) }
}

extension Double: RealElement {
  var double: Double { self }
  init(rounding value: Double) { self = value }
}

extension Float16: RealElement {
  var double: Double { Double(self) }
  init(rounding value: Double) { self = Float16(value) }
}

extension BFloat16: RealElement {
  var double: Double { Double(float) }
  init(rounding value: Double) { self.init(Float(value)) }
}

/// Elements that chunked conversions hold at a time.
let chunkLength = 512

extension ElementType {
  static let reals: [ElementType] = [.float32, .float16, .bfloat16, .float64]
  static let wholes: [ElementType] = [
    .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64,
  ]
  static let numbers = reals + wholes
  static let complexes: [ElementType] = [.complex64, .complex128]
  /// What had element types before the small ones came: the constraint of most operators that move
  /// data.
  static let ordinary = numbers + complexes + [.bool, .string]

  /// Floating-point types of 8 bits with a sign.
  static let eightBitFloats: [ElementType] = [
    .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz,
  ]
  static let smallFloats = eightBitFloats + [.float8e8m0, .float6e2m3, .float6e3m2, .float4e2m1]
  static let smallIntegers: [ElementType] = [.int4, .uint4, .int2, .uint2]

  /// float16 and bfloat16, which fast kernels compute as float32.
  var isHalf: Bool { self == .float16 || self == .bfloat16 }

  /// Widens `count` elements of a half type (or copies float32).
  func widen(_ source: UnsafeRawPointer, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
    switch self {
    case .float16:
      let values = source.assumingMemoryBound(to: Float16.self)
      for i in 0..<count { target[i] = Float(values[i]) }
    case .bfloat16:
      let values = source.assumingMemoryBound(to: BFloat16.self)
      for i in 0..<count { target[i] = values[i].float }
    default: target.update(from: source.assumingMemoryBound(to: Float.self), count: count)
    }
  }

  /// Rounds `count` elements to a half type (or copies float32).
  func narrow(
    _ source: UnsafePointer<Float>, _ target: UnsafeMutableRawPointer, _ count: Int
  ) {
    switch self {
    case .float16:
      let values = target.assumingMemoryBound(to: Float16.self)
      for i in 0..<count { values[i] = Float16(source[i]) }
    case .bfloat16:
      let values = target.assumingMemoryBound(to: BFloat16.self)
      for i in 0..<count { values[i] = BFloat16(source[i]) }
    default: target.assumingMemoryBound(to: Float.self).update(from: source, count: count)
    }
  }
}

/// Calls `body` with ranges of at most `chunkLength` that cover 0..<count.
@inline(__always)
func forEachChunk(_ count: Int, _ body: (_ start: Int, _ count: Int) -> Void) {
  var start = 0
  while start < count {
    let length = min(chunkLength, count - start)
    body(start, length)
    start += length
  }
}
