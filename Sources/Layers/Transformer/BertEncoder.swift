import Base
import Graphs
import Tensors

/// The sizes of a BERT encoder (Devlin et al., 2019).
public struct BertSettings: Sendable {
  public var vocabulary, positions, types, width, layers, heads, feedForward: Int
  /// Added to variances.
  public var epsilon: Double
  /// Of states and of attention weights.
  public var dropout = 0.1

  public init(
    vocabulary: Int = 30_522, positions: Int = 512, types: Int = 2, width: Int = 768,
    layers: Int = 12, heads: Int = 12, feedForward: Int = 3072, epsilon: Double = 1e-12
  ) {
    (self.vocabulary, self.positions, self.types) = (vocabulary, positions, types)
    (self.width, self.layers, self.heads) = (width, layers, heads)
    (self.feedForward, self.epsilon) = (feedForward, epsilon)
  }
}

extension Network {
  /// The states of a BERT encoder's last layer: [batch, steps, width]. Its parameters are called as in
  /// Hugging Face `transformers`: embeddings.word_embeddings.weight, encoder.layer.0 ….
  /// - Parameters:
  ///   - ids, mask, types: int64 [batch, steps].
  ///   - averaging: whether it is the mean of the embeddings' and all layers' states.
  ///   - start: what weights start with; nil: normal numbers of deviation 0.02, as BERT has them.
  public func bertEncoder(
    _ name: String, _ ids: Edge, mask: Edge, types: Edge, _ settings: BertSettings,
    averaging: Bool = false, start: WeightInitializer? = nil
  ) throws(StackLensError) -> Edge {
    guard settings.heads > 0, settings.width % settings.heads == 0 else {
      throw .invalidArgument(
        "a width of \(settings.width) cannot be cut into \(settings.heads) heads")
    }
    let start = start ?? .normal(mean: 0, std: 0.02)
    return try scope(name) { () throws(StackLensError) in
      var x = try scope("embeddings") { () throws(StackLensError) in
        try bertEmbeddings(ids, types, settings, start)
      }
      let lengths = (query: extent(ids, 1), key: extent(ids, 1))
      let bias = try attentionBias(keyMask: mask, mask: nil, isCausal: false, lengths)
      var sum = x
      for index in 0..<settings.layers {
        x = try scope("encoder.layer.\(index)") { () throws(StackLensError) in
          try bertLayer(x, bias, settings, start)
        }
        if averaging { sum = sum + x }
      }
      return averaging
        ? sum / (try graph.scalar("states", Float(settings.layers + 1))) : x
    }
  }

  private func bertEmbeddings(
    _ ids: Edge, _ types: Edge, _ settings: BertSettings, _ start: WeightInitializer
  ) throws(StackLensError) -> Edge {
    let width = settings.width
    func rows(_ name: String, _ ids: Edge, _ count: Int) throws(StackLensError) -> Edge {
      try embedding(name, ids, count: count, width: width, weight: start)
    }
    let places = try positions(extent(ids, 1))
    let sum =
      try rows("word_embeddings", ids, settings.vocabulary)
      + rows("position_embeddings", places, settings.positions)
      + rows("token_type_embeddings", types, settings.types)
    return try dropout(
      layerNorm("LayerNorm", sum, [width], epsilon: settings.epsilon), settings.dropout)
  }

  private func bertLayer(
    _ x: Edge, _ bias: AttentionBias, _ settings: BertSettings, _ start: WeightInitializer
  ) throws(StackLensError) -> Edge {
    let (width, size) = (settings.width, settings.width / settings.heads)
    func dense(_ name: String, _ x: Edge, _ to: Int) throws(StackLensError) -> Edge {
      try linear(name, x, to: to, weight: start, biasStart: .zeros)
    }
    func added(_ name: String, _ part: Edge, to x: Edge) throws(StackLensError) -> Edge {
      let sum = try dropout(dense(name + ".dense", part, width), settings.dropout) + x
      return try layerNorm(name + ".LayerNorm", sum, [width], epsilon: settings.epsilon)
    }
    func split(_ name: String) throws(StackLensError) -> Edge {
      try reshaped(dense("attention.self." + name, x, width), [0, 0, settings.heads, size])
    }
    let mixed = try attend(
      split("query"), split("key"), split("value"), bias, size, settings.dropout
    ).mixed
    let seen = try added("attention.output", reshaped(mixed, [0, 0, width]), to: x)
    let inner = try activation("gelu", dense("intermediate.dense", seen, settings.feedForward))
    return try added("output", inner, to: seen)
  }
}
