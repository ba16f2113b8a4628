import Base
import Graphs
import Layers
import Tensors

extension Seq2Seq {
  /// What the decoder looks at.
  private struct Memory {
    /// [batch, source steps, width], and as they are compared.
    let states, keys: Edge
    /// int64 [batch, source steps].
    let mask: Edge
    /// The encoder's last state.
    let final: Edge
  }

  /// The decoder's state, [layers, batch, hidden] each.
  private struct State {
    var h: Edge
    var c: Edge?
  }

  func networks(seed: UInt64) throws(StackLensError) -> [NamedNetwork] {
    let encoder = try encoder(seed: seed)
    return [
      NamedNetwork(encoder), NamedNetwork("encoder", encoder),
      NamedNetwork("decoder", try decoder(seed: seed)),
    ]
  }

  private var batch: Dimension { .named("batch") }

  private func encoder(seed: UInt64) throws(StackLensError) -> Model {
    let network = Network("seq2seq_encoder", seed: seed)
    let source = network.input("source", .int64, [batch, .named("source_steps")])
    let (memory, state) = try encoded(network, source)
    if settings.score == nil {
      network.output(memory.final, "context")
    } else {
      network.output(memory.states, "states")
      network.output(memory.mask, "mask")
      if settings.hasKeys { network.output(memory.keys, "keys") }
    }
    network.output(state.h, "h")
    if let c = state.c { network.output(c, "c") }
    return try network.model()
  }

  /// One step of the decoder.
  private func decoder(seed: UInt64) throws(StackLensError) -> Model {
    let network = Network("seq2seq_decoder", seed: seed)
    let token = network.input("token", .int64, [batch])
    let steps = Dimension.named("source_steps")
    let stateDims = [Dimension.fixed(settings.layers), batch, .fixed(settings.hidden)]
    let width = Dimension.fixed(settings.stateWidth)
    let state = State(
      h: network.input("h", .float32, stateDims),
      c: settings.isLSTM ? network.input("c", .float32, stateDims) : nil)
    let memory: Memory
    if settings.score == nil {
      let context = network.input("context", .float32, [batch, width])
      memory = Memory(states: context, keys: context, mask: context, final: context)
    } else {
      let states = network.input("states", .float32, [batch, steps, width])
      let mask = network.input("mask", .int64, [batch, steps])
      let keys =
        settings.hasKeys
        ? network.input("keys", .float32, [batch, steps, .fixed(settings.hidden)]) : states
      memory = Memory(states: states, keys: keys, mask: mask, final: states)
    }
    let step = try step(network, embedded(network, token), memory, state)
    let logits = try self.logits(network, step.features)
    network.output(
      network.graph.add("LogSoftmax", [logits], ["axis": .int(-1)]), "log_probabilities")
    network.output(step.state.h, "next_h")
    if let c = step.state.c { network.output(c, "next_c") }
    if let weights = step.weights { network.output(weights, "attention") }
    return try network.model()
  }

  /// Encoder and decoder over a number of steps, with the cross-entropy of all tokens as the loss.
  /// - Parameter isForced: whether the decoder sees the true tokens only, and needs no input "forced".
  func training(seed: UInt64, steps: Int, isForced: Bool) throws(StackLensError) -> Model {
    let network = Network("seq2seq_training", seed: seed)
    let graph = network.graph
    let source = network.input("source", .int64, [batch, .named("source_steps")])
    let previous = network.input("previous", .int64, [batch, .fixed(steps)])
    let labels = network.input("labels", .int64, [batch, .fixed(steps)])
    let forced = isForced ? nil : network.input("forced", .bool, [batch, .fixed(steps)])
    var (memory, state) = try encoded(network, source)
    func columns(_ x: Edge) throws(StackLensError) -> [Edge] {
      let sizes = network.constant(try Tensor([Int64](repeating: 1, count: steps)))
      let axis = try network.ints([1])
      return graph.add("Split", [x, sizes], ["axis": .int(1)], outputs: steps).map {
        graph.add("Squeeze", [$0, axis])
      }
    }
    let tokens = try columns(forced == nil ? embedded(network, previous) : previous)
    let coins = try forced.map { (forced) throws(StackLensError) in try columns(forced) }
    let axis = try network.ints([1])
    var all: [Edge] = []
    for index in 0..<steps {
      var x = tokens[index]
      if let coins {
        if let last = all.last {
          let own = graph.add("ArgMax", [last], ["axis": .int(1), "keepdims": .int(0)])
          x = graph.add("Where", [coins[index], x, own])
        }
        x = try embedded(network, x)
      }
      let step = try step(network, x, memory, state)
      state = step.state
      all.append(coins == nil ? step.features : try logits(network, step.features))
    }
    let stacked = graph.add(
      "Concat", all.map { graph.add("Unsqueeze", [$0, axis]) }, ["axis": .int(1)])
    let rows = try graph.reshape(
      stacked,
      [-1, Int64(isForced ? settings.hidden + settings.stateWidth : settings.targetVocabulary)])
    let scores = isForced ? try logits(network, rows) : rows
    let loss = try network.maskedCrossEntropy(scores, graph.reshape(labels, [-1]))
    network.output(loss, "loss")
    return try network.model()
  }

  // Parts ------------------------------------------------------------------------------------

  private func recurrent(isEncoder: Bool) -> RecurrentSettings {
    var recurrent = RecurrentSettings(
      settings.isLSTM ? .lstm : .gru(resetAfter: true), hiddenSize: settings.hidden)
    recurrent.layerCount = settings.layers
    recurrent.isBidirectional = isEncoder && settings.isBidirectional
    recurrent.dropout = settings.dropout
    recurrent.initialization = .orthogonal
    recurrent.isBatchFirst = isEncoder
    return recurrent
  }

  private func encoded(
    _ network: Network, _ source: Edge
  ) throws(StackLensError) -> (Memory, State) {
    let graph = network.graph
    let counts = try network.tokenCounts(source)
    let vectors = try network.embedding(
      "encoder.embedding", source, count: settings.sourceVocabulary, width: settings.width,
      padding: Token.padding)
    let (states, h, c) = try network.recurrent(
      "encoder.rnn", network.dropout(vectors, settings.dropout), lengths: counts,
      inputSize: settings.width, recurrent(isEncoder: true))
    let directions = settings.isBidirectional ? 2 : 1
    /// The last states of a layer, directions side by side.
    func final(_ all: Edge, _ layer: Int) throws(StackLensError) -> Edge {
      let part = try network.sliced(
        all, axis: 0, layer * directions..<(layer + 1) * directions)
      return try graph.reshape(graph.transpose(part, [1, 0, 2]), [0, Int64(settings.stateWidth)])
    }
    func bridged(_ all: Edge, _ name: String) throws(StackLensError) -> Edge {
      var starts: [Edge] = []
      for layer in 0..<settings.layers {
        let start = try network.linear(
          "bridge.\(layer).\(name)", final(all, layer), from: settings.stateWidth,
          to: settings.hidden)
        starts.append(try network.unsqueezed(graph.add("Tanh", [start]), 0))
      }
      return starts.count == 1 ? starts[0] : network.joined(starts)
    }
    let keys =
      settings.hasKeys
      ? try network.linear(
        "attention.key", states, from: settings.stateWidth, to: settings.hidden, bias: false)
      : states
    let memory = Memory(
      states: states, keys: keys, mask: try network.stepMask(counts, like: source),
      final: try final(h, settings.layers - 1))
    return (
      memory,
      State(
        h: try bridged(h, "state"),
        c: try c.map { (c) throws(StackLensError) in try bridged(c, "cell") })
    )
  }

  private func embedded(_ network: Network, _ token: Edge) throws(StackLensError) -> Edge {
    let vectors = try network.embedding(
      "decoder.embedding", token, count: settings.targetVocabulary, width: settings.width,
      padding: Token.padding)
    return try network.dropout(vectors, settings.dropout)
  }

  /// - Parameter x: the vectors of the tokens before, [batch, width].
  private func step(
    _ network: Network, _ x: Edge, _ memory: Memory, _ state: State
  ) throws(StackLensError) -> (features: Edge, state: State, weights: Edge?) {
    let graph = network.graph
    let top = try network.sliced(state.h, axis: 0, settings.layers - 1..<settings.layers)
    let query = graph.add("Squeeze", [top, try network.ints([0])])
    let (context, weights) = try attended(network, query, memory)
    let input = try network.unsqueezed(network.joined([x, context], axis: 1), 0)
    let (y, h, c) = try network.recurrent(
      "decoder.rnn", input, state: state.h, cellState: state.c,
      inputSize: settings.width + settings.stateWidth, recurrent(isEncoder: false))
    let features = graph.add(
      "Concat", [graph.add("Squeeze", [y, try network.ints([0])]), context], ["axis": .int(1)])
    return (features, State(h: h, c: c), weights)
  }

  /// The mean of the encoder's states weighted by how they fit a state of the decoder.
  private func attended(
    _ network: Network, _ query: Edge, _ memory: Memory
  ) throws(StackLensError) -> (context: Edge, weights: Edge?) {
    guard let score = settings.score else { return (memory.final, nil) }
    let graph = network.graph
    let hidden = settings.hidden
    let one = try network.ints([1])
    let scores: Edge
    if score == .additive {
      let q = try network.linear("attention.query", query, from: hidden, to: hidden, bias: false)
      let inner = graph.add("Tanh", [(try network.unsqueezed(q, 1)) + memory.keys])
      let each = try network.linear("attention.score", inner, from: hidden, to: 1, bias: false)
      scores = graph.add("Squeeze", [each, try network.ints([2])])
    } else {
      let q = try network.unsqueezed(query, 1)
      let products = graph.matMul(q, graph.transpose(memory.keys, [0, 2, 1]))
      scores = graph.add("Squeeze", [products, one])
    }
    let weights = try network.maskedSoftmax(scores, memory.mask)
    let mixed = graph.matMul(try network.unsqueezed(weights, 1), memory.states)
    return (graph.add("Squeeze", [mixed, one]), weights)
  }

  private func logits(_ network: Network, _ features: Edge) throws(StackLensError) -> Edge {
    try network.linear(
      "output", network.dropout(features, settings.dropout),
      from: settings.hidden + settings.stateWidth, to: settings.targetVocabulary)
  }
}
