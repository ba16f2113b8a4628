import Base
import Graphs
import Insight
import Layers
import Operators
import Tensors
import Training

extension StackLensTransformer {
  private static let batch = Dimension.named("batch")
  private static let steps = Dimension.named("sequence")

  private struct Outputs {
    let severity, category, confidence, representation, attention: Edge
  }

  func networks(seed: UInt64) throws(StackLensError) -> [NamedNetwork] {
    let network = Network("stacklens_transformer", seed: seed)
    let (ids, mask) = (pieces("input_ids", network), pieces("attention_mask", network))
    let types = pieces("token_type_ids", network)
    let states = try encoder.states(network, ids, mask: mask, types: types)
    let outputs = try outputs(network, states, mask)
    let temperature = try network.parameter(Self.temperature, [1], .ones)
    network.output(outputs.severity, "severity_logits")
    network.output(outputs.category, "category_logits")
    network.output(
      network.graph.add("Sigmoid", [outputs.confidence / temperature]), "confidence")
    network.output(outputs.representation, "embeddings")
    network.output(outputs.attention, "attention_weights")
    return [NamedNetwork(try network.model())]
  }

  private func pieces(_ name: String, _ network: Network) -> Edge {
    network.input(name, .int64, [Self.batch, Self.steps])
  }

  /// What stands behind the encoder.
  private func outputs(
    _ network: Network, _ states: Edge, _ mask: Edge
  ) throws(StackLensError) -> Outputs {
    let graph = network.graph
    let tech = pieces("tech_ids", network)
    let zero = network.constant(try Tensor(scalar: Int64(0)))
    let isTerm = network.cast(graph.add("GreaterOrEqual", [tech, zero]), .float32)
    let vectors = try network.embedding(
      "terms", graph.add("Max", [tech, zero]), count: Self.termCapacity, width: width,
      weight: .withZeroRows(terms.count..<Self.termCapacity, .normal(mean: 0, std: 0.02)))
    let h = states + vectors * (try network.unsqueezed(isTerm, 2))
    try startAttention(network)
    let attended = try network.multiHeadAttention(
      "error_attention", h, keyMask: mask, width: width,
      AttentionSettings(heads: attentionHeads))
    let g = try network.maskedMean("pool", attended.output, mask: mask)
    let isReal = try network.unsqueezed(network.cast(mask, .float32), 2)
    let spelling = try spelling(graph, texts: "batch", fixed: network.constant) {
      () throws(StackLensError) in
      try network.parameter(Self.rarity, [spellingBuckets], .ones)
    }
    func head(_ task: String, _ count: Int) throws(StackLensError) -> Edge {
      try adding(
        spelling,
        { () throws(StackLensError) in
          try network.parameter(Self.spellingTable(task), [spellingBuckets, count], .zeros)
        }, to: network.linear(task, g, from: width, to: count))
    }
    return Outputs(
      severity: try head("severity", severities.count),
      category: try head("category", categories.count),
      confidence: try network.linear("confidence", g, from: width, to: 1), representation: g,
      attention: attended.weights * isReal)
  }

  /// Values and the output begin as what they are given: the mean behind the attention begins near that
  /// of the encoder's states, which the heads can read from the first step on.
  private func startAttention(_ network: Network) throws(StackLensError) {
    let score = WeightInitializer.xavierUniform(gain: 1)
    try network.scope("error_attention") { () throws(StackLensError) in
      _ = try network.parameter(
        "in_proj_weight", [3 * width, width],
        .blocks([score, score, .identity(gain: 1)], shape: [width, width]))
      _ = try network.parameter("out_proj.weight", [width, width], .identity(gain: 1))
    }
  }

  // Learning ---------------------------------------------------------------------------------

  /// The network with its loss; from the states of the encoder where that stays as it is.
  func training(
    seed: UInt64, isFrozen: Bool, _ weights: ClassWeights, _ options: OptionValues
  ) throws(StackLensError) -> Model {
    let network = Network("stacklens_transformer_training", seed: seed)
    let mask = pieces("attention_mask", network)
    let states =
      isFrozen
      ? network.input("states", .float32, [Self.batch, Self.steps, .fixed(width)])
      : try encoder.states(
        network, pieces("input_ids", network), mask: mask, types: pieces("token_type_ids", network))
    let outputs = try outputs(network, states, mask)
    let (severity, category) = (
      network.input("severity", .int64, [Self.batch]),
      network.input("category", .int64, [Self.batch])
    )
    let target = try confidenceTarget(network, outputs, severity, category)
    let logit = network.graph.add("Squeeze", [outputs.confidence, try network.ints([1])])
    let parts: [(String, Edge)] = [
      (
        "severity_weight",
        try network.maskedCrossEntropy(outputs.severity, severity, weights: weights.severity)
      ),
      (
        "category_weight",
        try network.maskedCrossEntropy(outputs.category, category, weights: weights.category)
      ), ("confidence_weight", try network.maskedBinaryCrossEntropy(logit, target)),
    ]
    var loss: Edge?
    for (name, part) in parts {
      let share = part * (try network.graph.scalar(name, Float(options.number(name))))
      loss = loss.map { $0 + share } ?? share
    }
    network.output(outputs.severity, "severity_logits")
    network.output(outputs.category, "category_logits")
    if let loss { network.output(loss, "loss") }
    return try network.model()
  }

  /// 1 where every known label is the likeliest class, -100 where none is known; or what is given.
  private func confidenceTarget(
    _ network: Network, _ outputs: Outputs, _ severity: Edge, _ category: Edge
  ) throws(StackLensError) -> Edge {
    let graph = network.graph
    let one = try graph.scalar("one", 1)
    func isRight(_ logits: Edge, _ labels: Edge) throws(StackLensError) -> (Edge, known: Edge) {
      let best = graph.add("ArgMax", [logits], ["axis": .int(1), "keepdims": .int(0)])
      let isEqual = network.cast(graph.add("Equal", [best, labels]), .float32)
      let known = try network.isKnown(labels)
      // What is not known speaks against nothing.
      return (isEqual * known + (one - known), known)
    }
    let (s, c) = (try isRight(outputs.severity, severity), try isRight(outputs.category, category))
    let none = try graph.scalar("missing", Float(Network.missingLabel))
    let isKnown = network.cast(graph.add("Max", [s.known, c.known]), .bool)
    let computed = graph.add("Where", [isKnown, s.0 * c.0, none])
    let given = network.input("reliability", .float32, [Self.batch])
    let isGiven = graph.add("GreaterOrEqual", [given, try graph.scalar("zero", 0)])
    return graph.add("Where", [isGiven, given, computed])
  }

  // Running ----------------------------------------------------------------------------------

  /// The form that runs: texts without padding. Inputs ids, offsets and terms int32 [tokens]; outputs
  /// logits and the confidence's logit [texts, …], probabilities and representation.
  func running(
    _ knowledge: Knowledge, _ precision: Precision
  ) throws(StackLensError) -> Model {
    let packed = PackedBuilder("stacklens_transformer", precision)
    let graph = packed.graph
    func constant(_ name: String) throws(StackLensError) -> Edge {
      graph.constant(name, try knowledge.tensors.tensor(name))
    }
    func linear(_ name: String) throws(StackLensError) -> [Edge] {
      [try constant(name + ".weight"), try constant(name + ".bias")]
    }
    let states = try packed.bert(encoder.weights(knowledge), encoder.configuration)
    let tech = graph.input("terms", .int32, [.named("tokens")])
    let zero = graph.constant("no_term", try Tensor(scalar: Int32(0)))
    let isTerm = graph.add(
      "Cast", [graph.add("GreaterOrEqual", [tech, zero])],
      ["to": .int(Int64(ElementType.float32.rawValue))])
    let vectors = graph.add(
      "Gather", [try constant("terms.weight"), graph.add("Max", [tech, zero])])
    let h =
      states
      + vectors * graph.add("Unsqueeze", [isTerm, try graph.ints("last", [1])])
    let projections = BertWeights.Linear(
      weight: try knowledge.tensors.tensor("error_attention.in_proj_weight"),
      bias: try knowledge.tensors.tensor("error_attention.in_proj_bias"))
    let mixed = packed.attention(
      packed.linear(h, projections, "error_attention.in_proj"), heads: attentionHeads)
    // The projection of a mean is the mean of projections.
    func gemm(_ x: Edge, _ name: String) throws(StackLensError) -> Edge {
      graph.add("Gemm", [x] + (try linear(name)), ["transB": .int(1)])
    }
    let g = try gemm(packed.mean(mixed), "error_attention.out_proj")
    let spelling = try spelling(graph, texts: "texts", fixed: graph.constant) {
      () throws(StackLensError) in try constant(Self.rarity)
    }
    func head(_ task: String) throws(StackLensError) -> Edge {
      try adding(
        spelling,
        { () throws(StackLensError) in try constant(Self.spellingTable(task)) }, to: gemm(g, task))
    }
    let logit = try gemm(g, "confidence")
    let outputs: [(String, Edge, Int)] = [
      ("severity_logits", try head("severity"), severities.count),
      ("category_logits", try head("category"), categories.count),
      ("confidence_logit", logit, 1),
      ("confidence", graph.add("Sigmoid", [logit / (try constant(Self.temperature))]), 1),
      ("embeddings", g, width),
    ]
    for (name, edge, width) in outputs {
      graph.output(edge, name, .float32, [.named("texts"), .fixed(width)])
    }
    for name in ["severity", "category"] {
      let logits = outputs.first { $0.0 == name + "_logits" }
      guard let logits else { continue }
      graph.output(
        graph.add("Softmax", [logits.1], ["axis": .int(-1)]), name + "_probabilities", .float32,
        [.named("texts"), .fixed(logits.2)])
    }
    return Model(graph: graph.graph)
  }
}
