import Base
import Graphs
import Tensors

extension ModelDecoder {
  /// A tensor whose elements lie in a file beside the model. The file is mapped once, whole.
  ///
  /// A `checksum` must look like SHA-1 but is not compared.
  /// - Throws: `.formatError` for bad entries, `.ioError` for files outside the model's folder.
  func external(
    _ entries: [KeyValue], _ elementType: ElementType, _ shape: Shape
  ) throws(StackLensError) -> Tensor {
    var values: [String: String] = [:]
    for entry in entries {
      guard ["location", "offset", "length", "checksum"].contains(entry.key) else {
        throw .formatError("external_data has the unknown key '\(entry.key)'")
      }
      guard values.updateValue(entry.value, forKey: entry.key) == nil else {
        throw .formatError("external_data has the key '\(entry.key)' twice")
      }
    }
    guard let location = values["location"], !location.isEmpty else {
      throw .formatError("external_data has no location")
    }
    guard elementType != .string else { throw .formatError("strings cannot be external data") }
    if let checksum = values["checksum"] {
      guard checksum.utf8.count == 40, checksum.allSatisfy(\.isHexDigit) else {
        throw .formatError("the checksum '\(checksum)' is not 40 hexadecimal digits")
      }
    }
    let byteCount = elementType.fileByteCount(shape.count)
    let offset = try number(values["offset"], "offset") ?? 0
    let length = try number(values["length"], "length") ?? byteCount
    guard length == byteCount else {
      throw .formatError(
        "\(elementType.name) of shape \(shape) takes \(byteCount) bytes, external length is "
          + "\(length)")
    }
    let file = try externalFile(location)
    guard offset <= file.bytes.count, length <= file.bytes.count - offset else {
      throw .formatError(
        "bytes [\(offset), +\(length)) are outside '\(location)', which has \(file.bytes.count)")
    }
    return try ByteSource(file).tensor(elementType, shape, at: offset..<offset + length)
  }

  private func number(_ text: String?, _ key: String) throws(StackLensError) -> Int? {
    guard let text else { return nil }
    guard let number = Int(text), number >= 0 else {
      throw .formatError("external \(key) '\(text)' is no byte count")
    }
    return number
  }

  private func externalFile(_ location: String) throws(StackLensError) -> MappedFile {
    if let file = externalFiles[location] { return file }
    guard let folder else {
      throw .invalidArgument(
        "external data '\(location)' cannot be found: the model was given as bytes, without a "
          + "folder")
    }
    let file = try MappedFile(folder: folder, relative: location)
    externalFiles[location] = file
    return file
  }
}
