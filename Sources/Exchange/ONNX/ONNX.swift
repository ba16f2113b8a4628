import Base
import Graphs
import Tensors

/// ONNX files, in and out.
public enum ONNX {
  /// Reads a model file; one older than opset 7 by way of the official version converter. Weights
  /// stay in the mapped file where their alignment allows it; the file must not be changed while
  /// the model lives.
  /// - Throws: `.ioError`, `.formatError` naming the place, `.unsupported` with every operator
  ///   that the library lacks, `.limitExceeded` for absurd nesting or sizes.
  public static func load(path: String) throws(StackLensError) -> Model {
    let model = try decode(path: path)
    do throws(StackLensError) {
      if let version = model.opsetImports[""], version < Opsets.oldest {
        return try lifted(converted(model))
      }
      return try lifted(model)
    } catch {
      throw error.within("'\(path)'")
    }
  }

  /// Reads a model from bytes, which are copied once.
  /// - Parameter folder: where external data lie; nil refuses them.
  public static func load(
    bytes: UnsafeRawBufferPointer, folder: String? = nil
  ) throws(StackLensError) -> Model {
    try lifted(decode(ByteSource(copying: bytes), folder: folder))
  }

  /// Reads a model from bytes.
  /// - Parameter folder: where external data lie; nil refuses them.
  public static func load(
    bytes: [UInt8], folder: String? = nil
  ) throws(StackLensError) -> Model {
    try lifted(decode(ByteSource(copying: bytes), folder: folder))
  }

  /// The model of a file older than opset 7 as the official version converter rewrites it.
  /// - Throws: `.unsupported` when the converter is not installed or gives up.
  private static func converted(_ old: Model) throws(StackLensError) -> Model {
    var model = old
    model.irVersion = max(model.irVersion, 3)
    var encoder = ModelEncoder()
    let bytes = try checkedSize(encoder.model(model)).joined()
    let converted = try OfficialLibrary.open().convert(bytes, toOpset: Opsets.written)
    return try decode(ByteSource(copying: converted), folder: nil)
  }

  /// The model as the file has it, its structure checked and its nodes in order; operators are not
  /// looked at.
  static func decode(path: String) throws(StackLensError) -> Model {
    let file = try MappedFile(path: path)
    do throws(StackLensError) {
      return try decode(ByteSource(file), folder: Base.folder(of: path))
    } catch {
      throw error.within("'\(path)'")
    }
  }

  static func decode(_ source: ByteSource, folder: String?) throws(StackLensError) -> Model {
    var model = try ModelDecoder(source, folder: folder).model()
    try model.graph.sortNodes()
    try model.graph.verify()
    return model
  }

  /// The model with functions expanded and every node in its newest form.
  static func lifted(_ model: Model) throws(StackLensError) -> Model {
    try Importer(model).run()
  }

  // Writing ----------------------------------------------------------------------------------

  /// The bytes of a model file.
  /// - Parameters:
  ///   - opset: the version of the standard's operators, 17 if nil, which every runtime takes.
  ///   - allowsOwnOperators: whether operators of the domain `ai.stacklens` may be written.
  /// - Throws: `.unsupported` naming the node that the opset cannot express, `.limitExceeded` over
  ///   2 GiB, `.formatError` for a broken graph.
  public static func encode(
    _ model: Model, opset: Int? = nil, allowsOwnOperators: Bool = false
  ) throws(StackLensError) -> [UInt8] {
    var encoder = ModelEncoder()
    let lowered = try lowered(model, opset, allowsOwnOperators)
    return try checkedSize(encoder.model(lowered)).joined()
  }

  /// Writes a model file that appears under its name only when it is complete.
  /// - Parameter externalData: the name of a file in the same folder that takes the weights; needed
  ///   over 2 GiB. It is complete before the model file appears.
  /// - Throws: as `encode`, and `.ioError`.
  public static func save(
    _ model: Model, to path: String, opset: Int? = nil, externalData: String? = nil,
    allowsOwnOperators: Bool = false
  ) throws(StackLensError) {
    var encoder = ModelEncoder()
    if let externalData {
      guard !externalData.isEmpty, !externalData.contains("/"), externalData != "..",
        externalData != ".", externalData.utf8.allSatisfy({ $0 != 0 })
      else {
        throw .invalidArgument("'\(externalData)' is no file name for external data")
      }
      guard folder(of: path) + "/" + externalData != folder(of: path) + "/" + fileName(path) else {
        throw .invalidArgument("the external data would overwrite the model '\(externalData)'")
      }
      encoder.external = ExternalLayout(fileName: externalData)
    }
    let lowered = try lowered(model, opset, allowsOwnOperators)
    let writer = try checkedSize(encoder.model(lowered))
    if let layout = encoder.external {
      try write(layout, to: folder(of: path) + "/" + layout.fileName)
    }
    var file = try AtomicFile(path: path)
    try writer.forEachPiece { (bytes) throws(StackLensError) in try file.write(bytes) }
    try file.commit()
  }

  private static func lowered(
    _ model: Model, _ opset: Int?, _ allowsOwnOperators: Bool
  ) throws(StackLensError) -> Model {
    try Exporter(
      model, opset: opset ?? Opsets.written, allowsOwnOperators: allowsOwnOperators
    ).run()
  }

  private static func checkedSize(_ writer: WireWriter) throws(StackLensError) -> WireWriter {
    guard writer.byteCount <= Int(Int32.max) else {
      throw .limitExceeded(
        "the model takes \(writer.byteCount) bytes, a file holds \(Int32.max) at most; write the "
          + "weights as external data")
    }
    return writer
  }

  private static func fileName(_ path: String) -> String {
    path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
  }

  private static func write(_ layout: ExternalLayout, to path: String) throws(StackLensError) {
    var file = try AtomicFile(path: path)
    var position = 0
    for (tensor, offset) in layout.tensors {
      let gap = [UInt8](repeating: 0, count: offset - position)
      let result = gap.withUnsafeBytes { bytes -> Result<Void, StackLensError> in
        do throws(StackLensError) { return .success(try file.write(bytes)) } catch {
          return .failure(error)
        }
      }
      try result.get()
      try file.write(tensor.bytes)
      position = offset + tensor.byteCount
    }
    try file.commit()
  }
}
