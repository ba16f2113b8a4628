import Base
import Graphs
import Tensors

extension ModelDecoder {
  /// Most bytes of a dense tensor made from a sparse one.
  static let maximumDenseByteCount = 1 << 30

  /// One `SparseTensorProto` as a dense tensor under the name of its values.
  func sparseTensor(_ message: WireReader) throws(StackLensError) -> Initializer {
    var dims: [Int64] = []
    var values: Initializer?
    var indices: Tensor?
    var reader = message
    while let field = try reader.next() {
      switch field.number {
      case 1: values = try initializer(reader.message(field, "values"), needsName: false)
      case 2: indices = try initializer(reader.message(field, "indices"), needsName: false).tensor
      case 3:
        try reader.append(field, "dims", to: &dims)
        guard dims.count <= Self.maximumRank else {
          throw .limitExceeded("a sparse tensor's rank is over \(Self.maximumRank)")
        }
      default: break
      }
    }
    guard var dense = values else { throw .formatError("a sparse tensor has no values") }
    let name = dense.name
    dense.tensor = try within("sparse tensor '\(name)'") { () throws(StackLensError) in
      try Self.dense(dense.tensor, indices, Shape(dims.map(Int.init)))
    }
    return dense
  }

  private static func dense(
    _ values: Tensor, _ indices: Tensor?, _ shape: Shape
  ) throws(StackLensError) -> Tensor {
    guard values.rank == 1 else {
      throw .formatError("its values have shape \(values.shape), expected rank 1")
    }
    guard shape.count * values.elementType.byteSize <= maximumDenseByteCount else {
      throw .limitExceeded("the dense shape \(shape) is over \(maximumDenseByteCount) bytes")
    }
    let places = try places(indices, valueCount: values.count, shape)
    let dense = try Tensor(zeros: values.elementType, shape)
    let size = values.elementType.byteSize
    for (index, place) in places.enumerated() {
      if values.elementType == .string {
        dense.base.assumingMemoryBound(to: String.self)[place] =
          values.base.assumingMemoryBound(to: String.self)[index]
      } else {
        (dense.base + place * size).copyMemory(from: values.base + index * size, byteCount: size)
      }
    }
    return dense
  }

  /// Where each value goes: indices are [n] into the flat tensor or [n, rank], ascending.
  private static func places(
    _ indices: Tensor?, valueCount: Int, _ shape: Shape
  ) throws(StackLensError) -> [Int] {
    guard let indices else {
      guard valueCount == 0 else { throw .formatError("it has no indices") }
      return []
    }
    guard indices.elementType == .int64 else {
      throw .formatError("its indices are \(indices.elementType.name), expected int64")
    }
    let isFlat = indices.shape.dims == [valueCount]
    guard isFlat || indices.shape.dims == [valueCount, shape.rank] else {
      throw .formatError(
        "its indices have shape \(indices.shape), expected [\(valueCount)] or "
          + "[\(valueCount), \(shape.rank)]")
    }
    let numbers = try indices.integers()
    let strides = isFlat ? [1] : shape.strides
    let extents = isFlat ? [shape.count] : shape.dims
    var places: [Int] = []
    for value in 0..<valueCount {
      var place = 0
      for axis in extents.indices {
        let index = numbers[value * extents.count + axis]
        guard index >= 0, index < extents[axis] else {
          throw .formatError("index \(index) is outside [0, \(extents[axis]))")
        }
        place += index * strides[axis]
      }
      guard place > places.last ?? -1 else {
        throw .formatError("its indices are not in ascending order")
      }
      places.append(place)
    }
    return places
  }
}
