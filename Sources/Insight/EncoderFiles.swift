import Base

/// Where an encoder lies: a folder with its configuration and tokenizer, and the file of its numbers.
package struct EncoderFiles: Sendable {
  package let folder: String
  let weights: String
  let isONNX: Bool

  /// - Parameter path: a folder with model.safetensors, model.onnx or onnx/model.onnx; or an ONNX file in
  ///   such a folder.
  /// - Throws: `.ioError` where there is neither.
  package init(path: String) throws(StackLensError) {
    var kind = PathKind(of: path)
    if kind == .file, path.hasSuffix(".onnx") {
      let own = Self.parent(of: path)
      let isNested = PathKind(of: own + "/config.json") != .file
      (folder, weights, isONNX) = (isNested ? Self.parent(of: own) : own, path, true)
      return
    }
    guard kind == .folder else {
      throw .ioError("'\(path)' is neither a folder with an encoder nor an ONNX file")
    }
    for name in ["model.safetensors", "model.onnx", "onnx/model.onnx"] {
      kind = PathKind(of: "\(path)/\(name)")
      guard kind == .file else { continue }
      (folder, weights, isONNX) = (path, "\(path)/\(name)", name.hasSuffix(".onnx"))
      return
    }
    throw .ioError("'\(path)' has neither config.json with model.safetensors nor a model.onnx")
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
