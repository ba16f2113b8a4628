import Base
import Graphs
import Tensors

extension Initializer {
  /// Whether the file gets only the elements that are not zero.
  var isWrittenSparse: Bool {
    isSparse && tensor.elementType != .string && !tensor.elementType.isPacked
      && tensor.byteCount == tensor.count * tensor.elementType.byteSize
  }
}

extension ModelEncoder {
  /// One `SparseTensorProto`: values with their places in the flat tensor.
  func sparse(_ initializer: Initializer) -> WireWriter {
    let tensor = initializer.tensor
    let size = tensor.elementType.byteSize
    var places: [Int64] = []
    var bytes: [UInt8] = []
    for index in 0..<tensor.count {
      let element = tensor.bytes[index * size..<(index + 1) * size]
      guard element.contains(where: { $0 != 0 }) else { continue }
      places.append(Int64(index))
      bytes += element
    }
    var values = header(
      initializer, dims: [places.count], padding: 0)
    values.bytes(9, bytes)
    var indices = WireWriter()
    indices.integer(1, Int64(places.count))
    indices.integer(2, Int64(ElementType.int64.rawValue))
    indices.bytes(9, places.flatMap { withUnsafeBytes(of: $0.littleEndian, Array.init) })
    var writer = WireWriter()
    writer.message(1, values)
    writer.message(2, indices)
    writer.integers(3, tensor.shape.dims.map(Int64.init))
    return writer
  }
}
