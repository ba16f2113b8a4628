import Base
import Graphs
import Tensors

/// The types that QuantizeLinear writes.
let quantizedTypes: [ElementType] =
  [.int8, .uint8, .int16, .uint16] + ElementType.smallIntegers
  + ElementType.smallFloats.filter { $0 != .float8e8m0 }
let byteTypes: [ElementType] = [.int8, .uint8]

/// The nearest integer, halves to even, for |value| <= 2^20; what lies beyond is cut there and NaN
/// counts as lowest.
@inline(__always) func nearestInteger(_ value: Float) -> Float {
  let limit: Float = 1_048_576
  let bounded = value > -limit ? (value < limit ? value : limit) : -limit
  return (bounded + 12_582_912) - 12_582_912
}

/// `value` in units of a scale, as an integer with the zero point added, saturated to `Q`.
@inline(__always) func quantized<Q: FixedWidthInteger>(
  _ value: Float, zeroPoint: Float, as type: Q.Type
) -> Q {
  quantized(value, zeroPoint: zeroPoint, low: Float(Q.min), high: Float(Q.max), as: type)
}

/// As above, saturated to the bounds, which `Q` can hold.
@inline(__always) func quantized<Q: FixedWidthInteger>(
  _ value: Float, zeroPoint: Float, low: Float, high: Float, as type: Q.Type
) -> Q {
  let shifted = nearestInteger(value) + zeroPoint
  return Q(shifted > low ? (shifted < high ? shifted : high) : low)
}

/// `value` rounded to float16 or bfloat16; itself for any other type.
@inline(__always) func rounded(_ value: Float, to type: ElementType) -> Float {
  switch type {
  case .float16: Float(Float16(value))
  case .bfloat16: BFloat16(value).float
  default: value
  }
}

/// The elements of a small parameter tensor as Float.
func floatParameters(_ tensor: Tensor) -> [Float] {
  [Float](unsafeUninitializedCapacity: tensor.count) { buffer, count in
    guard let base = buffer.baseAddress else { return }
    convertElements(tensor.base, tensor.elementType, base, .float32, tensor.count)
    count = tensor.count
  }
}

/// The elements of a zero point as integers; a single 0 when it is left out.
func zeroPointParameters(_ tensor: Tensor?) -> [Int32] {
  guard let tensor else { return [0] }
  return [Int32](unsafeUninitializedCapacity: tensor.count) { buffer, count in
    guard let base = buffer.baseAddress else { return }
    convertElements(tensor.base, tensor.elementType, base, .int32, tensor.count)
    count = tensor.count
  }
}

/// int8, uint8, int16, uint16 or int32 elements as Int32.
func widenIntegers(
  _ source: UnsafeMutableRawPointer, _ type: ElementType, _ count: Int,
  to target: UnsafeMutablePointer<Int32>
) {
  func copy<S: FixedWidthInteger>(_: S.Type) {
    let values = source.assumingMemoryBound(to: S.self)
    for i in 0..<count { target[i] = Int32(truncatingIfNeeded: values[i]) }
  }
  switch type {
  case .int8: copy(Int8.self)
  case .uint8: copy(UInt8.self)
  case .int16: copy(Int16.self)
  case .uint16: copy(UInt16.self)
  default: copy(Int32.self)
  }
}

extension Inference {
  /// Checks that input `index`, where present, holds one value.
  func checkSingle(_ indices: Int...) throws(StackLensError) {
    for index in indices where hasInput(index) {
      let shape = try input(index).shape
      guard shape.count == 1 else {
        throw .shapeMismatch("input \(index) has shape \(shape), expected a single value")
      }
    }
  }

  /// Checks that input `index`, where present, holds one value or a vector of `count`.
  func checkSingle(_ index: Int, orVectorOf count: Int) throws(StackLensError) {
    guard hasInput(index) else { return }
    let shape = try input(index).shape
    guard shape.count == 1 || shape.dims == [count] else {
      throw .shapeMismatch(
        "input \(index) has shape \(shape), expected a single value or [\(count)]")
    }
  }
}

/// How scales and zero points lie over a tensor: one for all, one for each index of an axis, or one
/// for each block of an axis.
struct QuantizationLayout: Sendable {
  let outer: Int
  let extent: Int
  let inner: Int
  /// Elements of the axis that share a scale; 0 for one scale over everything.
  let block: Int
  /// Extent of the scale along the axis.
  let scaleExtent: Int
  let isBlocked: Bool

  init(
    _ view: some NodeView, x: Shape, scale: Shape
  ) throws(StackLensError) {
    let blockSize = try view.int("block_size")
    guard blockSize >= 0 else {
      throw .invalidArgument("attribute 'block_size' is \(blockSize), expected 0 or more")
    }
    if blockSize == 0 && scale.count == 1 && scale.rank <= 1 {
      (outer, extent, inner, block, scaleExtent, isBlocked) = (1, 1, x.count, 0, 1, false)
      return
    }
    let axis = try view.axis("axis", rank: x.rank)
    outer = x.count(0..<axis)
    extent = x[axis]
    inner = x.count(axis + 1..<x.rank)
    if blockSize == 0 {
      guard scale.dims == [extent] else {
        throw .shapeMismatch(
          "scale has shape \(scale), expected [\(extent)] for axis \(axis) of \(x)")
      }
      (block, scaleExtent, isBlocked) = (1, extent, false)
    } else {
      var expected = x.dims
      expected[axis] = extent / blockSize + (extent % blockSize == 0 ? 0 : 1)
      guard scale.dims == expected else {
        throw .shapeMismatch(
          "scale has shape \(scale), expected \(expected) for blocks of \(blockSize)")
      }
      (block, scaleExtent, isBlocked) = (blockSize, expected[axis], true)
    }
  }

  /// Calls `body` with each run of elements and the index of its scale, and how far that index
  /// moves for each element.
  func forEachRun(_ body: (_ start: Int, _ count: Int, _ scale: Int, _ step: Int) -> Void) {
    if block == 0 { return body(0, inner, 0, 0) }
    for o in 0..<outer {
      for a in 0..<extent {
        let start = (o * extent + a) * inner
        if isBlocked {
          body(start, inner, (o * scaleExtent + a / block) * inner, 1)
        } else {
          body(start, inner, a, 0)
        }
      }
    }
  }
}
