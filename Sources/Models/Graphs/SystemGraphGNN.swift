import Base
import Graphs
import Layers
import Tensors
import Training

/// Estimates the health of components from the graph of who calls whom, the chance that a failure
/// crosses each edge, and the health of the whole: message passing with edge features and weights of
/// their own for both directions (Gilmer et al., "Neural message passing", 2017).
///
///     nodes → 256 ┐
///     edges → 256 ┴ K × convolution → h → health of each node
///                                       → [h_u; h_v] → both probabilities of each edge
///                                       → mean of each graph → its health
struct SystemGraphGNN: Architecture {
  let nodeWidth: Int
  let edgeWidth: Int
  private let hidden: Int
  private let layerCount: Int
  let classCount: Int

  static let definition = ArchitectureDefinition(
    "system_graph_gnn", of: SystemGraphGNN.self,
    "A graph network over components and their calls: health, propagation of failures, impact.",
    options: [
      .integer("node_width", 1...1 << 16, default: 128, "Features of a node."),
      .integer("edge_width", 1...1 << 16, default: 64, "Features of an edge."),
      .integer("hidden", 1...1 << 14, default: 256, "Width of the layers."),
      .integer("layers", 1...64, default: 3, "Graph convolutions."),
      .integer("classes", 1...1 << 16, default: 5, "Classes of a node's health."),
    ],
    fit: .fit(
      "Learns from graphs and what happened after each.",
      inputs: PackedGraphs.ports() + LabelledGraphs.ports()
        + PackedGraphs.ports("validation_") + LabelledGraphs.ports("validation_"),
      epochs: 100, learningRate: 1e-3, patience: 10),
    methods: [
      .init(
        "predict", "Health and propagation.", inputs: PackedGraphs.ports(), outputs: outputs),
      .init(
        "predict_dense", "The same for graphs as matrices.", inputs: DenseGraphs.ports,
        outputs: [
          .init("node_health", "float32 [graphs, nodes, classes]: logits, 0 for padding."),
          .init("edge_propagation", "float32 [edges]: of the entries above 0, row by row."),
          .init("edge_propagation_reverse", "float32 [edges]: against the edge."),
          .init("system_health", "float32 [graphs]: 1 is healthy."),
          .init("node_embeddings", "float32 [graphs, nodes, hidden]: 0 for padding."),
          .init("edge_index", "int64 [3, edges]: the graph, the source and the target of each."),
        ]),
      .init(
        "pack", "Graphs as matrices in the form that everything else takes.",
        inputs: DenseGraphs.ports,
        outputs: PackedGraphs.ports().map { .init($0.name, $0.documentation) }),
      .init(
        "impact", "The most probable path from failed nodes to each other one.",
        inputs: [.init("failed", "int64 [failures]: nodes.")] + PackedGraphs.ports(),
        outputs: [
          .init("impact", "float32 [failures, nodes]: 1 at the failed node, 0 where no path leads.")
        ]),
    ])

  private static let outputs: [ArchitectureDefinition.Port] = [
    .init("node_health", "float32 [nodes, classes]: logits."),
    .init("edge_propagation", "float32 [edges]: that a failure of the source reaches the target."),
    .init(
      "edge_propagation_reverse", "float32 [edges]: that one of the target reaches the source."),
    .init("system_health", "float32 [graphs]: 1 is healthy."),
    .init("node_embeddings", "float32 [nodes, hidden]."),
  ]

  init(_ options: OptionValues) throws(StackLensError) {
    nodeWidth = try options.integer("node_width")
    edgeWidth = try options.integer("edge_width")
    hidden = try options.integer("hidden")
    layerCount = try options.integer("layers")
    classCount = try options.integer("classes")
  }

  // The network ------------------------------------------------------------------------------

  /// What an edge connects, and what its message counts.
  private struct Edges {
    let source, target, weight: Edge
  }

  /// What the heads give, before probabilities are made of it.
  private struct Heads {
    let nodeHealth, forward, reverse, systemHealth, embeddings: Edge
  }

  func networks(seed: UInt64) throws(StackLensError) -> [NamedNetwork] {
    let network = Network("system_graph_gnn", seed: seed)
    let heads = try heads(network)
    let graph = network.graph
    network.output(heads.nodeHealth, "node_health")
    network.output(graph.add("Sigmoid", [heads.forward]), "edge_propagation")
    network.output(graph.add("Sigmoid", [heads.reverse]), "edge_propagation_reverse")
    network.output(graph.add("Sigmoid", [heads.systemHealth]), "system_health")
    network.output(heads.embeddings, "node_embeddings")
    return [NamedNetwork(try network.model())]
  }

  private func heads(_ network: Network) throws(StackLensError) -> Heads {
    let (nodes, count) = (Dimension.named("nodes"), Dimension.named("edges"))
    let x = network.input("node_features", .float32, [nodes, .fixed(nodeWidth)])
    let index = network.input("edge_index", .int64, [.fixed(2), count])
    let features = network.input("edge_features", .float32, [count, .fixed(edgeWidth)])
    let weight = network.input("edge_weight", .float32, [count])
    let graphs = network.input("graph_id", .int64, [nodes])
    let edges = try connections(network, index, weight)
    var h = try network.activation("relu", network.linear("node_encoder", x, to: hidden))
    let e = try network.activation("relu", network.linear("edge_encoder", features, to: hidden))
    for layer in 0..<layerCount {
      h = try convolution(network, "layers.\(layer)", h, e, edges)
    }
    let (forward, reverse) = try edgeHead(network, h, edges)
    return Heads(
      nodeHealth: try network.linear("node_head", h, from: hidden, to: classCount),
      forward: forward, reverse: reverse, systemHealth: try systemHead(network, h, graphs),
      embeddings: h)
  }

  /// A loop is an edge like others, but its message counts nothing.
  private func connections(
    _ network: Network, _ index: Edge, _ weight: Edge
  ) throws(StackLensError) -> Edges {
    let graph = network.graph
    func row(_ place: Int64) throws(StackLensError) -> Edge {
      let place = network.constant(try Tensor(scalar: place))
      return graph.add("Gather", [index, place], ["axis": .int(0)])
    }
    let (source, target) = (try row(0), try row(1))
    let differs = graph.add("Not", [graph.add("Equal", [source, target])])
    return Edges(
      source: source, target: target,
      weight: weight * graph.add("Cast", [differs], ["to": .int(1)]))
  }

  /// LayerNorm(h + ReLU(W h + b + i + o)), i and o the weighted means of the messages that a node
  /// gets over edges that end at it and over edges that start at it.
  private func convolution(
    _ network: Network, _ name: String, _ h: Edge, _ e: Edge, _ edges: Edges
  ) throws(StackLensError) -> Edge {
    try network.scope(name) { () throws(StackLensError) in
      func heard(_ name: String, from sender: Edge, at receiver: Edge) throws(StackLensError)
        -> Edge
      {
        // Every node's part is made once, however many edges carry it.
        let node = try network.linear(name + ".node", h, from: hidden, to: hidden)
        let edge = try network.linear(name + ".edge", e, from: hidden, to: hidden, bias: false)
        let message = try network.activation(
          "relu", network.graph.add("Gather", [node, sender], ["axis": .int(0)]) + edge)
        return try network.aggregate(
          name + ".mean", message, to: receiver, nodes: h, weights: edges.weight)
      }
      let incoming = try heard("in", from: edges.source, at: edges.target)
      let outgoing = try heard("out", from: edges.target, at: edges.source)
      let own = try network.linear("self", h, from: hidden, to: hidden)
      let update = try network.activation("relu", own + incoming + outgoing)
      return try network.layerNorm("norm", h + update, [hidden])
    }
  }

  /// Linear(512, 1) of [h_u; h_v] and of [h_v; h_u], the products taken once for each node.
  private func edgeHead(
    _ network: Network, _ h: Edge, _ edges: Edges
  ) throws(StackLensError) -> (Edge, Edge) {
    let graph = network.graph
    let weight = try network.parameter("edge_head.weight", [1, 2 * hidden], .standard)
    let bias = try network.parameter("edge_head.bias", [1], .zeros)
    let halves = try graph.reshape(weight, [2, Int64(hidden)])
    let scores = graph.matMul(h, graph.transpose(halves, [1, 0]))
    func score(_ place: Int64, at nodes: Edge) throws(StackLensError) -> Edge {
      let place = network.constant(try Tensor(scalar: place))
      let column = graph.add("Gather", [scores, place], ["axis": .int(1)])
      return graph.add("Gather", [column, nodes], ["axis": .int(0)])
    }
    return (
      try score(0, at: edges.source) + score(1, at: edges.target) + bias,
      try score(0, at: edges.target) + score(1, at: edges.source) + bias
    )
  }

  /// Linear(256, 1) of the mean over the nodes of each graph.
  private func systemHead(
    _ network: Network, _ h: Edge, _ graphs: Edge
  ) throws(StackLensError) -> Edge {
    let graph = network.graph
    // The last id is the largest; none at all make no graphs.
    let ids = graph.add("Concat", [try network.ints([-1]), graphs], ["axis": .int(0)])
    let count = graph.add("ReduceMax", [ids, try network.ints([0])]) + (try network.ints([1]))
    let places = graph.add("ConstantOfShape", [count])
    let means = try network.aggregate("system_mean", h, to: graphs, nodes: places)
    let column = try network.linear("system_head", means, from: hidden, to: 1)
    return graph.add("Squeeze", [column, try network.ints([1])])
  }

  // Learning ---------------------------------------------------------------------------------

  /// The network with its loss: CE(nodes) + BCE(edges, both ways) + BCE(systems).
  private func training(seed: UInt64) throws(StackLensError) -> Model {
    let network = Network("system_graph_gnn_training", seed: seed)
    let heads = try heads(network)
    let (nodes, edges) = (Dimension.named("nodes"), Dimension.named("edges"))
    let health = network.input("node_health", .int64, [nodes])
    let forward = network.input("edge_propagation", .float32, [edges])
    let reverse = network.input("edge_propagation_reverse", .float32, [edges])
    let system = network.input("system_health", .float32, [.named("graphs")])
    func joined(_ one: Edge, _ other: Edge) -> Edge {
      network.graph.add("Concat", [one, other], ["axis": .int(0)])
    }
    network.output(
      network.graph.add(
        "Sum",
        [
          try network.maskedCrossEntropy(heads.nodeHealth, health),
          try network.maskedBinaryCrossEntropy(
            joined(heads.forward, heads.reverse), joined(forward, reverse)),
          try network.maskedBinaryCrossEntropy(heads.systemHealth, system),
        ]), "loss")
    return try network.model()
  }

  func fit(_ fitting: Fitting) throws(StackLensError) {
    let data = try LabelledGraphs(fitting.arguments, "", self)
    guard data.graphs.count > 0 else { throw .invalidArgument("the data set is empty: 0 graphs") }
    var chosen = Array(0..<data.graphs.count)
    var validation: GraphBatches?
    if LabelledGraphs.isGiven(fitting.arguments, "validation_") {
      let held = try LabelledGraphs(fitting.arguments, "validation_", self)
      guard held.graphs.count > 0 else { throw .invalidArgument("there are no validation graphs") }
      validation = try GraphBatches(
        held, Array(0..<held.graphs.count), fitting, isShuffled: false)
    } else {
      let (training, held) = try fitting.divided(rows: data.graphs.count)
      chosen = training
      if !held.isEmpty { validation = try GraphBatches(data, held, fitting, isShuffled: false) }
    }
    try fitting.train(
      training(seed: fitting.seed),
      [
        "optimizer": .object(
          JSONObject([
            .init(key: "name", value: .string("adamw")),
            .init(key: "weight_decay", value: .number(1e-4)),
          ]))
      ],
      on: GraphBatches(data, chosen, fitting), validation: validation,
      untouched: Self.unlabelledHeads(fitting.arguments))
  }

  /// Patterns of the parameters that no kind of label says anything about.
  private static func unlabelledHeads(_ arguments: Arguments) -> [String] {
    let labels = [
      "node_head": ["node_health"], "edge_head": ["edge_propagation", "edge_propagation_reverse"],
      "system_head": ["system_health"],
    ]
    return labels.filter { !$0.value.contains(where: arguments.has) }.keys.sorted().map {
      $0 + ".*"
    }
  }

  // Asking -----------------------------------------------------------------------------------

  func answer(_ call: Call) throws(StackLensError) -> [Value] {
    switch call.method {
    case "pack":
      return try DenseGraphs(call.arguments, self).packed.arrays.answers(PackedGraphs.names)
    case "predict_dense":
      let dense = try DenseGraphs(call.arguments, self)
      var outputs = try call.run("", dense.packed.arrays)
      for name in ["node_health", "node_embeddings"] {
        outputs[name] = try dense.unpacked(outputs.tensor(name))
      }
      outputs["edge_index"] = dense.places
      return try outputs.answers(Self.outputs.map(\.name) + ["edge_index"])
    case "impact":
      let graphs = try PackedGraphs(call.arguments, "", self)
      let failed = try call.arguments.integers("failed", [nil], in: 0..<graphs.nodeCount)
      let outputs = try call.run("", graphs.arrays)
      let search = ImpactSearch(
        nodeCount: graphs.nodeCount, edges: try graphs.edgeIndex.integers(),
        forward: try outputs.tensor("edge_propagation").elements(as: Float.self),
        reverse: try outputs.tensor("edge_propagation_reverse").elements(as: Float.self))
      return [.tensor(try search.impacts(of: failed.integers()))]
    default:
      let graphs = try PackedGraphs(call.arguments, "", self)
      return try call.run("", graphs.arrays).answers(Self.outputs.map(\.name))
    }
  }
}
