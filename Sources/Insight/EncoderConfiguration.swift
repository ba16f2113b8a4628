import Base

/// What a sentence-transformers folder says about its encoder.
package struct EncoderConfiguration: Sendable, Equatable {
  enum Pooling: String, Sendable { case mean, cls, max }

  package var vocabularySize: Int
  package var width: Int
  package var layerCount: Int
  package var headCount: Int
  package var feedForwardWidth: Int
  package var positionCount: Int
  package var typeCount: Int
  package var epsilon: Float
  var pooling = Pooling.mean
  /// Tokens of a text that the published pipeline keeps, special ones included.
  package var maxLength: Int

  var headWidth: Int { width / headCount }

  /// An encoder of these sizes.
  package init(
    vocabularySize: Int, width: Int, layerCount: Int, headCount: Int, feedForwardWidth: Int,
    positionCount: Int, typeCount: Int, epsilon: Float
  ) {
    (self.vocabularySize, self.width, self.layerCount) = (vocabularySize, width, layerCount)
    (self.headCount, self.feedForwardWidth) = (headCount, feedForwardWidth)
    (self.positionCount, self.typeCount, self.epsilon) = (positionCount, typeCount, epsilon)
    maxLength = positionCount
  }

  /// Reads config.json and, where they are, sentence_bert_config.json, modules.json and the pooling
  /// module's config.json.
  /// - Throws: `.ioError`, `.formatError`, or `.unsupported` naming what is no BERT encoder.
  package init(folder: String) throws(StackLensError) {
    let config = try Self.read("config.json", in: folder)
    let family = config["model_type"]?.stringValue ?? "nothing"
    guard family == "bert" else {
      throw .unsupported(
        "\(folder)/config.json: model_type is '\(family)', this loader reads 'bert' (export other "
          + "encoders to ONNX and put model.onnx beside tokenizer.json)")
    }
    if let activation = config["hidden_act"]?.stringValue, activation != "gelu" {
      throw .unsupported("\(folder)/config.json: hidden_act is '\(activation)', expected 'gelu'")
    }
    if let kind = config["position_embedding_type"]?.stringValue, kind != "absolute" {
      throw .unsupported(
        "\(folder)/config.json: position_embedding_type is '\(kind)', expected 'absolute'")
    }
    func positive(_ key: String) throws(StackLensError) -> Int {
      guard let value = config[key]?.integerValue, value > 0, value <= 1 << 24 else {
        throw .formatError(
          "\(folder)/config.json: '\(key)' must be a positive integer, found "
            + (config[key].map { "\($0)" } ?? "nothing"))
      }
      return Int(value)
    }
    vocabularySize = try positive("vocab_size")
    width = try positive("hidden_size")
    layerCount = try positive("num_hidden_layers")
    headCount = try positive("num_attention_heads")
    feedForwardWidth = try positive("intermediate_size")
    positionCount = try positive("max_position_embeddings")
    typeCount = try positive("type_vocab_size")
    epsilon = Float(config["layer_norm_eps"]?.numberValue ?? 1e-12)
    guard width % headCount == 0 else {
      throw .formatError(
        "\(folder)/config.json: hidden_size \(width) is no multiple of "
          + "num_attention_heads \(headCount)")
    }
    maxLength = positionCount
    if let settings = try Self.readIfPresent("sentence_bert_config.json", in: folder),
      let length = settings["max_seq_length"]?.integerValue, length > 0
    {
      maxLength = min(maxLength, Int(clamping: length))
    }
    pooling = try Self.pooling(folder)
  }

  private static func pooling(_ folder: String) throws(StackLensError) -> Pooling {
    var path = "1_Pooling"
    if let modules = try readIfPresent("modules.json", in: folder)?.arrayValue {
      for module in modules {
        let type = module["type"]?.stringValue ?? ""
        if type.hasSuffix("Pooling") { path = module["path"]?.stringValue ?? path }
        guard
          ["Transformer", "Pooling", "Normalize"].contains(where: { type.hasSuffix($0) })
        else {
          throw .unsupported("\(folder)/modules.json: module '\(type)' is not supported")
        }
      }
    }
    guard !path.hasPrefix("/"), !path.split(separator: "/").contains(".."),
      let config = try readIfPresent(path + "/config.json", in: folder)
    else { return .mean }
    let modes: [(String, Pooling)] = [
      ("pooling_mode_mean_tokens", .mean), ("pooling_mode_cls_token", .cls),
      ("pooling_mode_max_tokens", .max),
    ]
    let chosen = modes.filter { config[$0.0]?.boolValue == true }
    guard chosen.count == 1 else {
      throw .unsupported("\(folder)/\(path)/config.json: expected one of mean, cls and max pooling")
    }
    return chosen[0].1
  }

  static func read(_ name: String, in folder: String) throws(StackLensError) -> JSON {
    let file = try MappedFile(path: folder + "/" + name)
    do throws(StackLensError) { return try JSON.parse(file.bytes) } catch {
      throw error.within("\(folder)/\(name)")
    }
  }

  static func readIfPresent(_ name: String, in folder: String) throws(StackLensError) -> JSON? {
    PathKind(of: folder + "/" + name) == .file ? try read(name, in: folder) : nil
  }
}
