import Base
import Tensors

/// Checked offsets into a tensor, made from an index tensor that came from outside.
struct IndexOffsets {
  /// Extents along the axes that one index tuple walks, and the elements to step over on each.
  let bounds: [Int]
  let strides: [Int]

  /// Writes one offset for each tuple of `bounds.count` consecutive indices.
  /// - Throws: `.invalidArgument` for an index outside [-bound, bound).
  func write(
    _ indices: Tensor, to target: UnsafeMutablePointer<Int>, count: Int
  ) throws(StackLensError) {
    switch indices.elementType {
    case .int64: try write(indices, Int64.self, target, count)
    case .int32: try write(indices, Int32.self, target, count)
    default:
      throw .typeMismatch("indices are \(indices.elementType.name), expected int32 or int64")
    }
  }

  private func write<Index: FixedWidthInteger>(
    _ indices: Tensor, _ type: Index.Type, _ target: UnsafeMutablePointer<Int>, _ count: Int
  ) throws(StackLensError) {
    var read = indices.base.assumingMemoryBound(to: Index.self)
    for position in 0..<count {
      var offset = 0
      for (axis, bound) in bounds.enumerated() {
        let given = Int(read.pointee)
        let index = given < 0 ? given + bound : given
        guard index >= 0, index < bound else {
          throw .invalidArgument(
            "index \(given) (position \(position), coordinate \(axis)) is outside "
              + "[-\(bound), \(bound))")
        }
        offset += index * strides[axis]
        read += 1
      }
      target[position] = offset
    }
  }
}

/// Checks that an input holds int32 or int64.
func requireIndices(_ type: TensorType, _ input: Int) throws(StackLensError) {
  guard type.elementType == .int64 || type.elementType == .int32 else {
    throw .typeMismatch("input \(input) is \(type.elementType.name), expected int32 or int64")
  }
}

/// Scratch of one `Int` for each of `count` offsets.
func offsetBytes(_ count: Int) -> Int { count * MemoryLayout<Int>.stride }

extension Invocation {
  /// The scratch as offsets.
  func offsets(_ count: Int) -> UnsafeMutableBufferPointer<Int> {
    UnsafeMutableBufferPointer(
      start: scratch.bindMemory(to: Int.self, capacity: count), count: count)
  }
}

/// One number of any numeric tensor as an integer, floats cut towards zero; nil when it is none.
func integerElement(_ tensor: Tensor, at index: Int) -> Int? {
  func element<Element>(_ type: Element.Type) -> Element {
    tensor.base.assumingMemoryBound(to: type)[index]
  }
  func cut(_ value: Double) -> Int? { Int(exactly: value.rounded(.towardZero)) }
  switch tensor.elementType {
  case .int8: return Int(element(Int8.self))
  case .int16: return Int(element(Int16.self))
  case .int32: return Int(element(Int32.self))
  case .int64: return Int(element(Int64.self))
  case .uint8: return Int(element(UInt8.self))
  case .uint16: return Int(element(UInt16.self))
  case .uint32: return Int(element(UInt32.self))
  case .uint64: return Int(exactly: element(UInt64.self))
  case .float16: return cut(Double(element(Float16.self)))
  case .bfloat16: return cut(Double(element(BFloat16.self).float))
  case .float32: return cut(Double(element(Float.self)))
  case .float64: return cut(element(Double.self))
  default: return nil
  }
}
