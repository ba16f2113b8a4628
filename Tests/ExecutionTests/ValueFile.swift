import Base
import Graphs
import Tensors

@testable import Exchange

/// Values as ONNX's test data hold them: one `TensorProto`, `SequenceProto` or `OptionalProto`.
enum ValueFile {
  /// - Parameter type: what the model declares, which says how the file is to be read.
  static func read(_ path: String, as type: ValueType) throws(StackLensError) -> Value {
    let source = ByteSource(try MappedFile(path: path))
    let decoder = ModelDecoder(source, folder: nil)
    let message = WireReader(source.bytes)
    do throws(StackLensError) {
      switch type {
      case .sequence: return try sequence(message, decoder)
      case .optional: return try optional(message, decoder)
      default: return try tensor(message, decoder)
      }
    } catch { throw error.within("'\(path)'") }
  }

  private static func tensor(
    _ message: WireReader, _ decoder: ModelDecoder
  ) throws(StackLensError) -> Value {
    .tensor(try decoder.initializer(message, needsName: false).tensor)
  }

  private static func sequence(
    _ message: WireReader, _ decoder: ModelDecoder
  ) throws(StackLensError) -> Value {
    var (reader, items) = (message, [Value]())
    while let field = try reader.next() {
      if let item = try item(field, reader, decoder) { items.append(item) }
    }
    return .sequence(items)
  }

  private static func optional(
    _ message: WireReader, _ decoder: ModelDecoder
  ) throws(StackLensError) -> Value {
    var (reader, content) = (message, Value.none)
    while let field = try reader.next() {
      if let item = try item(field, reader, decoder) { content = item }
    }
    return content
  }

  /// What a field of a sequence or an optional holds; both number their fields alike.
  private static func item(
    _ field: WireField, _ reader: WireReader, _ decoder: ModelDecoder
  ) throws(StackLensError) -> Value? {
    switch field.number {
    case 3: return try tensor(reader.message(field, "a tensor"), decoder)
    case 5: return try sequence(reader.message(field, "a sequence"), decoder)
    case 7: return try optional(reader.message(field, "an optional"), decoder)
    case 4, 6: throw .unsupported("sparse tensors and maps in test data")
    default: return nil
    }
  }
}
