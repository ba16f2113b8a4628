import Base
import Graphs
import Tensors

/// How an attention knows where its queries and keys stand.
public enum AttentionPositions: String, Sendable, CaseIterable {
  case none
  /// Pairs of features are turned by angles that grow with the position (Su et al., 2021).
  case rotary
  /// Scores fall with the distance, in each head at another rate (Press et al., 2022).
  case alibi
}

/// A multi-head attention.
public struct AttentionSettings: Sendable {
  public var heads: Int
  public var hasBias = true
  /// On the weights.
  public var dropout = 0.0
  /// Whether a query sees keys up to its own position only.
  public var isCausal = false
  public var positions = AttentionPositions.none
  /// Whether queries, keys and values have parameters of their own (q_proj.weight …) instead of one
  /// (in_proj_weight) for all.
  public var isSeparate = false

  public init(heads: Int) { self.heads = heads }
}

extension LayerDefinition {
  static let attentionInputs: [Port] = [
    Port("key_mask", isOptional: true, "[batch, keys], 1 for real keys, 0 for padding."),
    Port(
      "mask", isOptional: true,
      "[queries, keys], [batch, queries, keys] or [batch, heads, queries, keys]; floats are added to "
        + "the scores, of other types what is 0 is not seen."),
  ]

  static let multiHeadAttention = LayerDefinition(
    "multihead_attention",
    "softmax(Q Kᵀ / √d + masks) V in each head; a query that may see nothing gets zeros. Parameters: "
      + "in_proj_weight [3 width, width], in_proj_bias, out_proj.weight, out_proj.bias.",
    inputs: [
      Port("query", "[batch, queries, width]."),
      Port("key", isOptional: true, "[batch, keys, width]; the query if left out."),
      Port("value", isOptional: true, "[batch, keys, width]; the key if left out."),
    ] + attentionInputs,
    outputs: [
      Port("y", "[batch, queries, width]."),
      Port("weights", "[batch, queries, keys], the mean over the heads."),
    ],
    options: [
      .size("embed_dim", "Width of the query; found out where it is known."),
      .size("num_heads", "Heads.", isRequired: true),
      .flag("bias", default: true, "Whether projections have biases."),
      .number("dropout", OptionSpec.probability, default: 0, "Of the weights, below 1."),
      .flag("is_causal", default: false, "Whether a query sees keys up to its position only."),
      .choice("positions", default: AttentionPositions.none, "Positions inside the attention."),
      .flag(
        "separate_projections", default: false,
        "Parameters q_proj, k_proj and v_proj, each with weight and bias, as keys and values of "
          + "another width need them."),
    ]
  ) { (network, name, inputs, options) throws(StackLensError) in
    var settings = AttentionSettings(heads: try options.integer("num_heads"))
    settings.hasBias = try options.flag("bias")
    settings.dropout = try options.number("dropout")
    settings.isCausal = try options.flag("is_causal")
    settings.positions = try options.choice("positions")
    settings.isSeparate = try options.flag("separate_projections")
    let found = try network.multiHeadAttention(
      name, inputs.required(0), inputs[1], inputs[2], keyMask: inputs[3], mask: inputs[4],
      width: options.integerIfAny("embed_dim"), settings)
    return [found.output, found.weights]
  }
}

extension Network {
  /// softmax(Q Kᵀ / √d + masks) V in each head.
  /// - Parameters:
  ///   - key: what is looked at; nil: the query itself.
  ///   - value: what is taken; nil: the keys.
  ///   - keyMask: [batch, keys], not 0 where a key is real.
  ///   - mask: see `attentionBias`.
  ///   - width: the width of the query, needed where it is not known.
  /// - Returns: [batch, queries, width], and the mean weights of the heads [batch, queries, keys].
  public func multiHeadAttention(
    _ name: String, _ query: Edge, _ key: Edge? = nil, _ value: Edge? = nil, keyMask: Edge? = nil,
    mask: Edge? = nil, width given: Int? = nil, _ settings: AttentionSettings
  ) throws(StackLensError) -> (output: Edge, weights: Edge) {
    try check(query, rank: 3...3, "[batch, queries, width]")
    let width = try self.width(of: query, axis: 2, given: given, "embed_dim")
    guard settings.heads > 0, width % settings.heads == 0 else {
      throw .invalidArgument("a width of \(width) cannot be cut into \(settings.heads) heads")
    }
    return try scope(name) { () throws(StackLensError) in
      var (q, k, v) =
        try settings.isSeparate
        ? separately(query, key ?? query, value ?? key ?? query, width, settings)
        : together(query, key, value, width, settings)
      let lengths = (query: extent(q, 1), key: extent(k, 1))
      let size = width / settings.heads
      func split(_ x: Edge) throws(StackLensError) -> Edge {
        try reshaped(x, [0, 0, settings.heads, size])
      }
      (q, k, v) = (try split(q), try split(k), try split(v))
      if settings.positions == .rotary {
        q = try rotated(q, by: angles(lengths.query, size))
        k = try rotated(k, by: angles(lengths.key, size))
      }
      var bias = try attentionBias(
        keyMask: keyMask, mask: mask, isCausal: settings.isCausal, lengths)
      if settings.positions == .alibi {
        let slopes = try alibi(settings.heads, lengths)
        bias.added = bias.added.map { $0 + slopes } ?? slopes
      }
      let (mixed, weights) = try attend(q, k, v, bias, size, settings.dropout)
      let flat = try reshaped(mixed, [0, 0, width])
      // PyTorch's biases of the projections of attention are zero at first.
      let output = try linear(
        "out_proj", flat, from: width, to: width, bias: settings.hasBias, biasStart: .zeros)
      return (output, weights)
    }
  }

  /// The heads' mixed values [batch, queries, heads, size] and the heads' mean weights.
  func attend(
    _ q: Edge, _ k: Edge, _ v: Edge, _ bias: AttentionBias, _ size: Int, _ dropout: Double
  ) throws(StackLensError) -> (mixed: Edge, weights: Edge) {
    let product = graph.matMul(transposed(q, 0, 2, 1, 3), transposed(k, 0, 2, 3, 1))
    var scores = product * (try scalar(1 / Float(size).squareRoot()))
    let shifts = [bias.added, bias.masked].compactMap { $0 }
    if let first = shifts.first { scores = scores + shifts.dropFirst().reduce(first) { $0 + $1 } }
    let weights = graph.add("Softmax", [scores], ["axis": .int(-1)])
    let values = graph.matMul(try self.dropout(weights, dropout), transposed(v, 0, 2, 1, 3))
    var mixed = transposed(values, 0, 2, 1, 3)
    var shown = weights
    if bias.mayBeEmpty, let masked = bias.masked {
      let hasKeys = try hasKeys(masked)
      shown = shown * hasKeys
      let rank = dims(of: hasKeys)?.count
      mixed = mixed * (rank == 2 ? try unsqueezed(hasKeys, 1) : transposed(hasKeys, 0, 2, 1, 3))
    }
    return (mixed, graph.add("ReduceMean", [shown, try ints([1])], ["keepdims": .int(0)]))
  }

  /// Queries, keys and values by one parameter.
  private func together(
    _ query: Edge, _ key: Edge?, _ value: Edge?, _ width: Int, _ settings: AttentionSettings
  ) throws(StackLensError) -> (Edge, Edge, Edge) {
    let w = try parameter("in_proj_weight", [3 * width, width], .xavierUniform(gain: 1))
    let b = settings.hasBias ? try parameter("in_proj_bias", [3 * width], .zeros) : nil
    func split(_ x: Edge, _ axis: Int64, _ sizes: [Int]) throws(StackLensError) -> [Edge] {
      graph.add("Split", [x, try ints(sizes)], ["axis": .int(axis)], outputs: sizes.count)
    }
    for other in [key, value] {
      if let other { _ = try self.width(of: other, axis: 2, given: width, "embed_dim") }
    }
    guard key != nil || value != nil else {
      let all = try split(project(query, w, b), 2, [width, width, width])
      return (all[0], all[1], all[2])
    }
    let source = key ?? query
    guard value == nil else {
      let rows = try split(w, 0, [width, width, width])
      let shifts = try b.map { (b) throws(StackLensError) in
        try split(b, 0, [width, width, width])
      }
      return (
        project(query, rows[0], shifts?[0]), project(source, rows[1], shifts?[1]),
        project(value ?? source, rows[2], shifts?[2])
      )
    }
    let rows = try split(w, 0, [width, 2 * width])
    let shifts = try b.map { (b) throws(StackLensError) in try split(b, 0, [width, 2 * width]) }
    let seen = try split(project(source, rows[1], shifts?[1]), 2, [width, width])
    return (project(query, rows[0], shifts?[0]), seen[0], seen[1])
  }

  /// Queries, keys and values by parameters of their own.
  private func separately(
    _ query: Edge, _ key: Edge, _ value: Edge, _ width: Int, _ settings: AttentionSettings
  ) throws(StackLensError) -> (Edge, Edge, Edge) {
    func projected(_ name: String, _ x: Edge) throws(StackLensError) -> Edge {
      try linear(
        name, x, to: width, bias: settings.hasBias, weight: .xavierUniform(gain: 1),
        biasStart: .zeros)
    }
    return (
      try projected("q_proj", query), try projected("k_proj", key), try projected("v_proj", value)
    )
  }
}
