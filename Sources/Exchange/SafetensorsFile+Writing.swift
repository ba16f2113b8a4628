import Base
import Graphs
import Tensors

extension SafetensorsFile {
  /// Writes named tensors, whole or not at all. Equal contents give equal bytes.
  /// - Throws: `.unsupported` for an element type that the format lacks or packs; `.ioError`, where a
  ///   file of that name stays as it was.
  public static func write(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [KeyValue] = [], to path: String
  ) throws(StackLensError) {
    let header = try self.header(tensors, metadata)
    var file = try AtomicFile(path: path)
    let length = UInt64(header.count).littleEndian
    try write(&file, withUnsafeBytes(of: length) { Array($0) })
    try write(&file, header)
    for (_, tensor) in tensors where tensor.byteCount > 0 {
      try file.write(UnsafeRawBufferPointer(start: tensor.base, count: tensor.byteCount))
    }
    try file.finish()
    try file.commit()
  }

  private static func write(
    _ file: inout AtomicFile, _ bytes: [UInt8]
  ) throws(StackLensError) {
    var failure: StackLensError?
    bytes.withUnsafeBytes { raw in
      do throws(StackLensError) { try file.write(raw) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// The JSON header, filled up with spaces so that the data starts at a multiple of 8.
  private static func header(
    _ tensors: [(name: String, tensor: Tensor)], _ metadata: [KeyValue]
  ) throws(StackLensError) -> [UInt8] {
    var members: [JSONObject.Member] = []
    if !metadata.isEmpty {
      let entries = metadata.map { JSONObject.Member(key: $0.key, value: .string($0.value)) }
      members.append(.init(key: "__metadata__", value: .object(JSONObject(entries))))
    }
    var offset = 0
    for (name, tensor) in tensors {
      guard !tensor.elementType.isPacked,
        let type = safetensorsTypes.first(where: { $0.type == tensor.elementType })
      else {
        throw .unsupported("'\(name)' is \(tensor.elementType.name), which the format cannot hold")
      }
      let end = offset + tensor.byteCount
      let entry: [JSONObject.Member] = [
        .init(key: "dtype", value: .string(type.name)),
        .init(key: "shape", value: .array(tensor.shape.dims.map { .integer(Int64($0)) })),
        .init(
          key: "data_offsets", value: .array([.integer(Int64(offset)), .integer(Int64(end))])),
      ]
      members.append(.init(key: name, value: .object(JSONObject(entry))))
      offset = end
    }
    var bytes = JSON.object(JSONObject(members)).encoded()
    while bytes.count % 8 != 0 { bytes.append(UInt8(ascii: " ")) }
    return bytes
  }
}
