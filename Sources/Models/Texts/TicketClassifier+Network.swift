import Base
import Graphs
import Layers
import Tensors

extension TicketClassifier {
  static let heads = 4
  private static let layerCount = 2
  private static let dropout = 0.3
  private static let branchDropout = 0.1

  private struct Outputs {
    let logits, probabilities, attention: Edge
  }

  func networks(seed: UInt64) throws(StackLensError) -> [NamedNetwork] {
    let network = Network("ticket_classifier", seed: seed)
    let outputs = try outputs(network)
    network.output(outputs.logits, "logits")
    network.output(outputs.probabilities, "probabilities")
    network.output(outputs.attention, "branch_attention")
    return [NamedNetwork(try network.model())]
  }

  /// The network with its loss: binary cross-entropy over all labels, or cross-entropy.
  func training(seed: UInt64) throws(StackLensError) -> Model {
    let network = Network("ticket_classifier_training", seed: seed)
    let logits = try outputs(network).logits
    let batch = Dimension.named("batch")
    if settings.isMultiLabel {
      let labels = network.input("labels", .float32, [batch, .fixed(settings.labels)])
      network.output(try network.maskedBinaryCrossEntropy(logits, labels), "loss")
    } else {
      let labels = network.input("labels", .int64, [batch])
      network.output(try network.maskedCrossEntropy(logits, labels), "loss")
    }
    return try network.model()
  }

  private func outputs(_ network: Network) throws(StackLensError) -> Outputs {
    let graph = network.graph
    func branch(_ name: String) throws(StackLensError) -> (feature: Edge, present: Edge) {
      let ids = network.input(
        name + "_ids", .int64, [.named("batch"), .named(name + "_steps")])
      let counts = try network.tokenCounts(ids)
      let state = try read(ids, counts, settings.isShared ? "branch" : name, network)
      let width = settings.isBidirectional ? 2 * settings.hidden : settings.hidden
      let inner = try network.linear(name + ".feature", state, from: width, to: settings.hidden)
      let feature = try network.dropout(network.activation("relu", inner), Self.dropout)
      let present = graph.add("Greater", [counts, network.constant(try Tensor(scalar: Int64(0)))])
      return (try network.unsqueezed(feature, 1), try network.unsqueezed(present, 1))
    }
    let (d, r) = (try branch("description"), try branch("resolution"))
    let features = graph.add("Concat", [d.feature, r.feature], ["axis": .int(1)])
    let present = graph.add("Concat", [d.present, r.present], ["axis": .int(1)])
    // An attention over the two: what is absent has no weight.
    let hidden = settings.hidden
    let inner = try network.linear("attention.proj", features, from: hidden, to: hidden)
    let scores = try network.linear(
      "attention.score", graph.add("Tanh", [inner]), from: hidden, to: 1, bias: false)
    let weights = try network.maskedSoftmax(
      graph.add("Squeeze", [scores, try network.ints([2])]), present)
    let mixed = graph.matMul(try network.unsqueezed(weights, 1), features)
    let g = graph.add("Squeeze", [mixed, try network.ints([1])])
    let logits = try network.linear("head", g, from: hidden, to: settings.labels)
    let probabilities =
      settings.isMultiLabel
      ? graph.add("Sigmoid", [logits]) : graph.add("Softmax", [logits], ["axis": .int(-1)])
    return Outputs(logits: logits, probabilities: probabilities, attention: weights)
  }

  /// A text as one vector.
  private func read(
    _ ids: Edge, _ counts: Edge, _ name: String, _ network: Network
  ) throws(StackLensError) -> Edge {
    let x = try network.embedding(
      "embedding", ids, count: settings.vocabulary, width: settings.width,
      padding: WordVectorizer.padding, weight: .normal(mean: 0, std: 0.1))
    return settings.isTransformer
      ? try transformer(x, ids, counts, name, network) : try lstm(x, counts, name, network)
  }

  /// The states after the last word and, backwards, at the first.
  private func lstm(
    _ x: Edge, _ counts: Edge, _ name: String, _ network: Network
  ) throws(StackLensError) -> Edge {
    var recurrent = RecurrentSettings(.lstm, hiddenSize: settings.hidden)
    recurrent.isBidirectional = settings.isBidirectional
    recurrent.initialization = .orthogonal
    // A text that is absent is read as one step of padding; its feature has no weight.
    let one = network.constant(try Tensor(scalar: Int64(1)))
    let lengths = network.graph.add("Max", [counts, one])
    let h = try network.recurrent(
      name + ".lstm", x, lengths: lengths, inputSize: settings.width, recurrent
    ).h
    let width = settings.isBidirectional ? 2 * settings.hidden : settings.hidden
    return try network.graph.reshape(network.graph.transpose(h, [1, 0, 2]), [0, Int64(width)])
  }

  private func transformer(
    _ x: Edge, _ ids: Edge, _ counts: Edge, _ name: String, _ network: Network
  ) throws(StackLensError) -> Edge {
    let graph = network.graph
    var layer = TransformerSettings(heads: Self.heads)
    layer.feedForward = 2 * settings.width
    layer.dropout = Self.branchDropout
    layer.normFirst = true
    let mask = try network.stepMask(counts, like: ids)
    // Word vectors start at a tenth of the size of positions.
    let placed = try network.sinusoidalPositions(
      name + ".positions", x * graph.scalar("scale", 10), length: settings.length,
      width: settings.width)
    let states = try network.transformerEncoder(
      name + ".transformer", placed, keyMask: mask, width: settings.width,
      layers: Self.layerCount, finalNorm: true, layer)
    return try network.linear(
      name + ".out", network.maskedMean(name + ".mean", states, mask: mask), from: settings.width,
      to: settings.hidden)
  }
}
