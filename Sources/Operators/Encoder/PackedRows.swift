import Base
import Tensors

/// The ragged batch that the packed encoder operators share: all tokens of all texts in one matrix,
/// and `offsets` int64 [sequences + 1] that says where each text begins. Rows from the last offset
/// on are room to spare: nobody reads or writes them, so that one plan serves many batches.
enum PackedRows {
  /// Rows in use: the last offset, held against the rows there are.
  static func count(_ offsets: Tensor, rows: Int) throws(StackLensError) -> Int {
    let values = offsets.base.assumingMemoryBound(to: Int64.self)
    let used = offsets.count == 0 ? 0 : values[offsets.count - 1]
    guard used >= 0, used <= rows else {
      throw .invalidArgument("offsets end at \(used), there are \(rows) rows")
    }
    return Int(used)
  }

  /// The offsets, checked to ascend from 0 within `rows`.
  static func checked(
    _ offsets: Tensor, rows: Int
  ) throws(StackLensError) -> UnsafePointer<Int64> {
    let values = offsets.base.assumingMemoryBound(to: Int64.self)
    var previous: Int64 = 0
    for index in 0..<offsets.count {
      guard values[index] >= previous, values[index] <= rows, index > 0 || values[0] == 0 else {
        throw .invalidArgument(
          "offset \(index) is \(values[index]), expected \(previous) to \(rows)")
      }
      previous = values[index]
    }
    return UnsafePointer(values)
  }

  /// Checks the type of an offsets input.
  static func check(_ type: TensorType) throws(StackLensError) {
    guard type.elementType == .int64, type.rank == 1, type.shape[0] > 0 else {
      throw .typeMismatch("offsets must be int64 of rank 1 and not empty, found \(type)")
    }
  }
}

extension Tensor {
  /// The elements as float32.
  var floats: UnsafeMutablePointer<Float> { base.assumingMemoryBound(to: Float.self) }
  /// The elements as int64.
  var int64s: UnsafeMutablePointer<Int64> { base.assumingMemoryBound(to: Int64.self) }
}
