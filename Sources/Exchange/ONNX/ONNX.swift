import Base
import Graphs
import Tensors

/// ONNX files, in and out.
public enum ONNX {
  /// Reads a model file. Weights stay in the mapped file where their alignment allows it; the file
  /// must not be changed while the model lives.
  /// - Throws: `.ioError`, `.formatError` naming the place, `.unsupported` with every operator
  ///   that the library lacks, `.limitExceeded` for absurd nesting or sizes.
  public static func load(path: String) throws(StackLensError) -> Model {
    let model = try decode(path: path)
    do throws(StackLensError) { return try lifted(model) } catch {
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
    return model
  }

  /// The model with functions expanded and every node in its newest form.
  static func lifted(_ model: Model) throws(StackLensError) -> Model {
    try Importer(model).run()
  }
}
