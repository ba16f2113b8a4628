import Base
import Graphs
import Tensors

/// How a query and a key give a score.
public enum ScoreKind: String, Sendable, CaseIterable {
  /// vᵀ tanh(W q + U k) (Bahdanau et al., 2015).
  case additive
  /// qᵀ k; both have the same width.
  case dot
  /// qᵀ W k (Luong et al., 2015).
  case bilinear
}

extension LayerDefinition {
  static let attentionPools: [LayerDefinition] = [
    LayerDefinition(
      "masked_mean", "The mean over the steps that a mask leaves, zeros where it leaves none.",
      inputs: [
        Port("x", "[batch, steps, width]."), Port("mask", "[batch, steps], 1 for real steps."),
      ], outputs: [Port("y", "[batch, width].")]
    ) { (network, name, inputs, _) throws(StackLensError) in
      [try network.maskedMean(name, inputs.required(0), mask: inputs.required(1))]
    },
    LayerDefinition(
      "attention_pooling",
      "The mean over the steps weighted by softmax(v tanh(W x + b) + c). Parameters: proj, score.",
      inputs: [
        Port("x", "[batch, steps, width]."),
        Port("mask", isOptional: true, "[batch, steps], 1 for real steps."),
      ],
      outputs: [Port("y", "[batch, width]."), Port("weights", "[batch, steps].")],
      options: [
        .size("hidden_size", "Width inside; half of the input's if not given."),
        .size("in_features", "Width of the input; found out where it is known."),
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      let found = try network.attentionPooling(
        name, inputs.required(0), mask: inputs[1], hidden: options.integerIfAny("hidden_size"),
        width: options.integerIfAny("in_features"))
      return [found.output, found.weights]
    },
    LayerDefinition(
      "sequence_attention",
      "For each query the mean of the keys weighted by their scores, as in models that translate. "
        + "Parameters: query_proj, key_proj and score (additive), query_proj (bilinear).",
      inputs: [
        Port("query", "[batch, queries, width]."), Port("keys", "[batch, keys, width]."),
        Port("mask", isOptional: true, "[batch, keys], 1 for real keys."),
      ],
      outputs: [
        Port("context", "[batch, queries, width of the keys]."),
        Port("weights", "[batch, queries, keys]."),
      ],
      options: [
        .choice("score", default: ScoreKind.additive, "How queries and keys give scores."),
        .size("hidden_size", "Width inside additive scores; the query's if not given."),
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      let found = try network.sequenceAttention(
        name, query: inputs.required(0), keys: inputs.required(1), mask: inputs[2],
        options.choice("score"), hidden: options.integerIfAny("hidden_size"))
      return [found.context, found.weights]
    },
  ]
}

extension Network {
  /// Σ mᵢ xᵢ / max(Σ mᵢ, 1) over the steps of [batch, steps, width].
  public func maskedMean(_ name: String, _ x: Edge, mask: Edge) throws(StackLensError) -> Edge {
    try check(x, rank: 3...3, "[batch, steps, width]")
    try check(mask, rank: 2...2, "[batch, steps]")
    return try scope(name) { () throws(StackLensError) in
      let weights = try unsqueezed(
        elementType(of: mask) == .float32 ? mask : cast(mask, .float32), 2)
      let count = try sum(weights, axis: 1)
      return try sum(x * weights, axis: 1) / graph.add("Max", [count, try scalar(1)])
    }
  }

  /// A weighted mean over the steps, the weights by a small network on each step.
  public func attentionPooling(
    _ name: String, _ x: Edge, mask: Edge? = nil, hidden: Int? = nil, width given: Int? = nil
  ) throws(StackLensError) -> (output: Edge, weights: Edge) {
    try check(x, rank: 3...3, "[batch, steps, width]")
    let width = try self.width(of: x, axis: 2, given: given, "in_features")
    return try scope(name) { () throws(StackLensError) in
      let inner = try linear("proj", x, from: width, to: hidden ?? max(1, width / 2))
      let scores = try linear("score", graph.add("Tanh", [inner]), to: 1)
      let weights = try maskedSoftmax(graph.add("Squeeze", [scores, try ints([2])]), mask)
      let mixed = graph.matMul(try unsqueezed(weights, 1), x)
      return (graph.add("Squeeze", [mixed, try ints([1])]), weights)
    }
  }

  /// For each query the mean of the keys weighted by a softmax of their scores.
  /// - Parameter mask: [batch, keys]; where it is 0 for all, the context is zero.
  public func sequenceAttention(
    _ name: String, query: Edge, keys: Edge, mask: Edge? = nil, _ kind: ScoreKind = .additive,
    hidden: Int? = nil
  ) throws(StackLensError) -> (context: Edge, weights: Edge) {
    try check(query, rank: 3...3, "[batch, queries, width]")
    try check(keys, rank: 3...3, "[batch, keys, width]")
    let width = try self.width(of: query, axis: 2, given: nil, "width of the query")
    return try scope(name) { () throws(StackLensError) in
      let scores: Edge
      switch kind {
      case .additive:
        let inner = hidden ?? width
        let q = try unsqueezed(linear("query_proj", query, from: width, to: inner, bias: false), 2)
        let k = try unsqueezed(linear("key_proj", keys, to: inner, bias: false), 1)
        let each = try linear("score", graph.add("Tanh", [q + k]), from: inner, to: 1, bias: false)
        scores = graph.add("Squeeze", [each, try ints([3])])
      case .dot: scores = graph.matMul(query, transposed(keys, 0, 2, 1))
      case .bilinear:
        let target = try self.width(of: keys, axis: 2, given: nil, "width of the keys")
        let q = try linear("query_proj", query, from: width, to: target, bias: false)
        scores = graph.matMul(q, transposed(keys, 0, 2, 1))
      }
      let weights = try maskedSoftmax(
        scores,
        mask.map { (m) throws(StackLensError) in
          try unsqueezed(m, 1)
        })
      return (graph.matMul(weights, keys), weights)
    }
  }
}
