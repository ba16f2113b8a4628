import Base
import Exchange
import Tensors

/// The tensors of a BERT encoder, held against its configuration.
package struct BertWeights: Sendable {
  package struct Linear: Sendable {
    /// [out, in]
    let weight: Tensor
    /// [out]
    let bias: Tensor

    package init(weight: Tensor, bias: Tensor) { (self.weight, self.bias) = (weight, bias) }
  }
  struct Normalization: Sendable {
    let scale: Tensor
    let bias: Tensor
  }
  struct Layer: Sendable {
    let query, key, value, attentionOutput: Linear
    let attentionNormalization: Normalization
    let up, down: Linear
    let outputNormalization: Normalization
  }

  let words, positions, types: Tensor
  let normalization: Normalization
  let layers: [Layer]

  /// What names start with in models that have heads beside the encoder.
  package static let prefix = "bert."
  private static let unused = [
    "pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids",
  ]

  /// - Parameter tensors: by the names of Hugging Face `transformers`, with "bert." before them or not.
  /// - Throws: `.formatError` naming a tensor that is missing, misshaped, of another type than
  ///   float32, or not part of a BERT encoder (its pooler is accepted and left out).
  package init(
    _ tensors: [String: Tensor], _ config: EncoderConfiguration
  ) throws(StackLensError) {
    var reader = Reader(tensors)
    let (d, f) = (config.width, config.feedForwardWidth)
    words = try reader.take("embeddings.word_embeddings.weight", [config.vocabularySize, d])
    positions = try reader.take("embeddings.position_embeddings.weight", [config.positionCount, d])
    types = try reader.take("embeddings.token_type_embeddings.weight", [config.typeCount, d])
    normalization = try reader.normalization("embeddings.LayerNorm", d)
    var layers: [Layer] = []
    for index in 0..<config.layerCount {
      let name = "encoder.layer.\(index)"
      layers.append(
        Layer(
          query: try reader.linear(name + ".attention.self.query", d, d),
          key: try reader.linear(name + ".attention.self.key", d, d),
          value: try reader.linear(name + ".attention.self.value", d, d),
          attentionOutput: try reader.linear(name + ".attention.output.dense", d, d),
          attentionNormalization: try reader.normalization(name + ".attention.output.LayerNorm", d),
          up: try reader.linear(name + ".intermediate.dense", f, d),
          down: try reader.linear(name + ".output.dense", d, f),
          outputNormalization: try reader.normalization(name + ".output.LayerNorm", d)))
    }
    self.layers = layers
    try reader.finish()
  }

  /// Takes tensors by name and notices what is left.
  private struct Reader {
    private let tensors: [String: Tensor]
    private let prefix: String
    private var left: Set<String>

    init(_ tensors: [String: Tensor]) {
      self.tensors = tensors
      left = Set(tensors.keys)
      prefix =
        tensors["bert.embeddings.word_embeddings.weight"] != nil ? BertWeights.prefix : ""
    }

    mutating func take(_ name: String, _ dims: [Int]) throws(StackLensError) -> Tensor {
      let name = prefix + name
      guard let tensor = tensors[name] else {
        throw .formatError("tensor '\(name)' is missing")
      }
      guard tensor.elementType == .float32, tensor.shape.dims == dims else {
        throw .formatError(
          "tensor '\(name)' is \(tensor.elementType.name)\(tensor.shape), expected float32\(dims)")
      }
      left.remove(name)
      return tensor
    }

    mutating func linear(
      _ name: String, _ outputs: Int, _ inputs: Int
    ) throws(StackLensError) -> Linear {
      Linear(
        weight: try take(name + ".weight", [outputs, inputs]),
        bias: try take(name + ".bias", [outputs]))
    }

    mutating func normalization(
      _ name: String, _ width: Int
    ) throws(StackLensError) -> Normalization {
      Normalization(
        scale: try take(name + ".weight", [width]), bias: try take(name + ".bias", [width]))
    }

    func finish() throws(StackLensError) {
      let extra = left.subtracting(BertWeights.unused.map { prefix + $0 }).sorted()
      guard extra.isEmpty else {
        throw .formatError(
          "tensor '\(extra[0])' is not part of the encoder that config.json describes"
            + (extra.count > 1 ? " (and \(extra.count - 1) more)" : ""))
      }
    }
  }

  /// The encoder's tensors, by their names with "bert." before them.
  package static func tensors(
    _ files: EncoderFiles, _ config: EncoderConfiguration
  ) throws(StackLensError) -> [String: Tensor] {
    let path = files.weights
    var found = try files.isONNX ? tensors(onnx: path, config) : [:]
    let file = try files.isONNX ? nil : SafetensorsFile.load(path: path)
    do throws(StackLensError) {
      if let file { found = try file.expanded() }
      _ = try BertWeights(found, config)
    } catch {
      throw error.within(path)
    }
    var tensors: [String: Tensor] = [:]
    for (name, tensor) in found {
      let bare = name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
      if !unused.contains(bare) { tensors[prefix + bare] = try tensor.copied() }
    }
    return tensors
  }

  /// The first tensor of the file that holds NaN or infinity, as an error that names it. A slow
  /// search, for after a result turned out not to be finite.
  static func findNonFinite(_ file: SafetensorsFile) -> StackLensError? {
    for name in file.names {
      guard let tensor = file.tensors[name], tensor.elementType == .float32 else { continue }
      let values = tensor.base.assumingMemoryBound(to: Float.self)
      for index in 0..<tensor.count where !values[index].isFinite {
        return .nonFinite("weight '\(name)' holds \(values[index]) at element \(index)")
      }
    }
    return nil
  }
}
