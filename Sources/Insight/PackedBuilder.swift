import Base
import Graphs
import Operators
import Tensors

/// A graph over packed texts: all tokens of a batch in one matrix, no padding.
///
/// Inputs: ids int32 [tokens], offsets int64 [texts + 1].
package struct PackedBuilder {
  package let graph: GraphBuilder
  private let ids, offsets: Edge
  private let precision: Precision
  private static let domain = "ai.stacklens"

  /// - Parameter precision: of matrix products; fp32 in its place where the processor lacks it.
  package init(_ name: String, _ precision: Precision) {
    graph = GraphBuilder(name)
    ids = graph.input("ids", .int32, [.named("tokens")])
    offsets = graph.input("offsets", .int64, [.named("bounds")])
    self.precision = precision.isSupported ? precision : .fp32
  }

  /// The states of an encoder's last layer: [tokens, width].
  /// - Parameter averaging: whether it is the mean of the embeddings' and all layers' states.
  package func bert(
    _ weights: BertWeights, _ config: EncoderConfiguration, averaging: Bool = false
  ) throws(StackLensError) -> Edge {
    var x = graph.add(
      "PackedEmbedding",
      [
        ids, offsets, graph.constant("words", weights.words),
        graph.constant("positions", weights.positions), graph.constant("types", weights.types),
        graph.constant("embedding.scale", weights.normalization.scale),
        graph.constant("embedding.bias", weights.normalization.bias),
      ], ["epsilon": .float(config.epsilon)], domain: Self.domain)
    var sum = x
    for (index, layer) in weights.layers.enumerated() {
      x = try graph.scope("layer\(index)") { () throws(StackLensError) in
        let name = "layer\(index)"
        let projections = BertWeights.Linear(
          weight: try concatenated([layer.query, layer.key, layer.value].map(\.weight)),
          bias: try concatenated([layer.query, layer.key, layer.value].map(\.bias)))
        let attended = attention(linear(x, projections, name + ".qkv"), heads: config.headCount)
        let a = normalized(
          linear(attended, layer.attentionOutput, name + ".attention", residual: x),
          layer.attentionNormalization, name + ".attentionNormalization", config.epsilon)
        let hidden = linear(a, layer.up, name + ".up", activation: "gelu")
        return normalized(
          linear(hidden, layer.down, name + ".down", residual: a), layer.outputNormalization,
          name + ".normalization", config.epsilon)
      }
      if averaging { sum = sum + x }
    }
    return averaging
      ? sum / (try graph.scalar("states", Float(weights.layers.count + 1))) : x
  }

  /// activation(x Wᵀ + b) + residual.
  package func linear(
    _ x: Edge, _ linear: BertWeights.Linear, _ name: String, activation: String = "none",
    residual: Edge? = nil
  ) -> Edge {
    graph.add(
      "PackedLinear",
      [
        x, graph.constant(name + ".weight", linear.weight),
        graph.constant(name + ".bias", linear.bias), offsets,
      ] + (residual.map { [$0] } ?? []),
      ["activation": .string(activation), "precision": .string(precision.rawValue)],
      domain: Self.domain)
  }

  /// Attention inside each text; queries, keys and values lie side by side.
  package func attention(_ projections: Edge, heads: Int) -> Edge {
    graph.add(
      "PackedAttention", [projections, offsets],
      ["heads": .int(Int64(heads)), "precision": .string(precision.rawValue)],
      domain: Self.domain)
  }

  /// One vector for each text.
  func pooled(_ states: Edge, _ pooling: EncoderConfiguration.Pooling) -> Edge {
    graph.add(
      "PackedPooling", [states, offsets], ["mode": .string(pooling.rawValue)],
      domain: Self.domain)
  }

  /// The mean of each text's states.
  package func mean(_ states: Edge) -> Edge { pooled(states, .mean) }

  private func normalized(
    _ x: Edge, _ norm: BertWeights.Normalization, _ name: String, _ epsilon: Float
  ) -> Edge {
    graph.add(
      "PackedLayerNormalization",
      [
        x, graph.constant(name + ".scale", norm.scale), graph.constant(name + ".bias", norm.bias),
        offsets,
      ], ["epsilon": .float(epsilon)], domain: Self.domain)
  }

  /// Rows of several tensors below each other.
  private func concatenated(_ tensors: [Tensor]) throws(StackLensError) -> Tensor {
    let rows = tensors.reduce(0) { $0 + $1.shape[0] }
    let result = try Tensor(
      uninitialized: .float32, Shape([rows] + tensors[0].shape.dims.dropFirst()))
    var offset = 0
    for tensor in tensors {
      (result.base + offset).copyMemory(from: tensor.base, byteCount: tensor.byteCount)
      offset += tensor.byteCount
    }
    return result
  }
}
