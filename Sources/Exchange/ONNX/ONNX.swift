import Base
import Graphs
import Tensors

/// ONNX files, in and out.
public enum ONNX {
  /// Reads a model file of any opset. Weights stay in the mapped file where their alignment allows
  /// it; the file must not be changed while the model lives.
  /// - Throws: `.ioError`, `.formatError` naming the place, `.unsupported` with every operator
  ///   that the library lacks, `.limitExceeded` for absurd nesting or sizes.
  public static func load(path: String) throws(StackLensError) -> Model {
    let model = try decode(path: path)
    do throws(StackLensError) {
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
    for index in model.training.indices {
      try sort(&model.training[index].initialization)
      try sort(&model.training[index].algorithm)
    }
    return model
  }

  private static func sort(_ graph: inout Graph?) throws(StackLensError) {
    guard var sorted = graph else { return }
    try sorted.sortNodes()
    try sorted.verify(outer: Set(sorted.captures))
    graph = sorted
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
  /// - Parameters:
  ///   - externalData: the name of a file in the same folder that takes the weights; needed over
  ///     2 GiB. Both files are complete on the disk before they take their names.
  ///   - threshold: bytes from which on an initialiser goes there.
  /// - Throws: as `encode`, and `.ioError`.
  public static func save(
    _ model: Model, to path: String, opset: Int? = nil, externalData: String? = nil,
    threshold: Int = 1024, allowsOwnOperators: Bool = false
  ) throws(StackLensError) {
    var encoder = ModelEncoder()
    if let externalData {
      try checkName(externalData, besides: path)
      guard threshold >= 0 else { throw .invalidArgument("threshold \(threshold) is negative") }
      encoder.external = ExternalLayout(fileName: externalData, threshold: threshold)
    }
    let lowered = try lowered(model, opset, allowsOwnOperators)
    let writer = try checkedSize(encoder.model(lowered))
    var file = try AtomicFile(path: path)
    try writer.forEachPiece { (bytes) throws(StackLensError) in try file.write(bytes) }
    if let layout = encoder.external {
      try file.finish()
      var data = try AtomicFile(path: folder(of: path) + "/" + layout.fileName)
      try layout.forEachPiece { (bytes) throws(StackLensError) in try data.write(bytes) }
      try data.commit()
    }
    try file.commit()
  }

  /// The lowest opset that can hold the model, among those from what its file declared and the
  /// usual one upwards.
  /// - Throws: `.unsupported` when there is none, naming the node and what stops it.
  public static func fittingOpset(
    _ model: Model, allowsOwnOperators: Bool = false
  ) throws(StackLensError) -> Int {
    let newest = Opsets.newest["", default: Opsets.written]
    let first = min(max(model.opsetImports[""] ?? Opsets.written, Opsets.written), newest)
    for opset in first..<newest {
      do throws(StackLensError) {
        _ = try Exporter(model, opset: opset, allowsOwnOperators: allowsOwnOperators).run()
        return opset
      } catch {
        guard error.status == .unsupported else { throw error }
      }
    }
    _ = try Exporter(model, opset: newest, allowsOwnOperators: allowsOwnOperators).run()
    return newest
  }

  private static func checkName(
    _ name: String, besides path: String
  ) throws(StackLensError) {
    guard !name.isEmpty, !name.contains("/"), name != "..", name != ".",
      name.utf8.allSatisfy({ $0 != 0 })
    else { throw .invalidArgument("'\(name)' is no file name for external data") }
    guard name != fileName(path) else {
      throw .invalidArgument("the external data would overwrite the model '\(name)'")
    }
  }

  private static func lowered(
    _ model: Model, _ opset: Int?, _ allowsOwnOperators: Bool
  ) throws(StackLensError) -> Model {
    do throws(StackLensError) {
      return try Exporter(
        model, opset: opset ?? Opsets.written, allowsOwnOperators: allowsOwnOperators
      ).run()
    } catch {
      guard opset == nil, error.status == .unsupported,
        let higher = try? fittingOpset(model, allowsOwnOperators: allowsOwnOperators)
      else { throw error }
      throw .unsupported("\(error.message); opset \(higher) can hold the model")
    }
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
}
