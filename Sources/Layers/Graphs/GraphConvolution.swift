import Base
import Graphs
import Tensors

extension LayerDefinition {
  private static let edges: [Port] = [
    Port("edge_index", "int64 [2, edges]: where each edge starts and where it ends."),
    Port("edge_weight", isOptional: true, "[edges]; 1 if left out."),
  ]
  private static let convolution: [OptionSpec] = [
    .size("in_channels", "Width of a node; found out where it is known."),
    .size("out_channels", "Width of the output.", isRequired: true),
    .flag("add_self_loops", default: true, "Whether each node also hears itself."),
    .flag("normalize", default: true, "Whether weights are divided by the roots of both degrees."),
    .flag("bias", default: true, "Whether a bias is added."),
  ]

  static let graphLayers: [LayerDefinition] = [
    LayerDefinition(
      "graph_convolution",
      "Sums W x of the neighbours over edges that end at a node, weighted by the degrees (Kipf and "
        + "Welling, 2017). Parameters: lin.weight, bias.",
      inputs: [Port("x", "[nodes, width].")] + edges, options: convolution
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.graphConvolution(
          name, inputs.required(0), edges: inputs.required(1), weights: inputs[2],
          from: options.integerIfAny("in_channels"), to: options.integer("out_channels"),
          addsSelfLoops: options.flag("add_self_loops"), normalizes: options.flag("normalize"),
          bias: options.flag("bias"))
      ]
    },
    LayerDefinition(
      "dense_graph_convolution",
      "The same with a matrix: row i holds the weights with which node i hears the others.",
      inputs: [
        Port("x", "[…, nodes, width]."), Port("adjacency", "[…, nodes, nodes], not negative."),
      ], options: convolution
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.graphConvolution(
          name, inputs.required(0), adjacency: inputs.required(1),
          from: options.integerIfAny("in_channels"), to: options.integer("out_channels"),
          addsSelfLoops: options.flag("add_self_loops"), normalizes: options.flag("normalize"),
          bias: options.flag("bias"))
      ]
    },
    LayerDefinition(
      "aggregate",
      "Sums or means of messages by the node they go to; zeros for a node without any.",
      inputs: [
        Port("messages", "[edges, width]."), Port("index", "int64 [edges]: where each goes to."),
        Port("nodes", "[nodes, …]; only their number matters."),
        Port("weights", isOptional: true, "[edges], not negative; 1 if left out."),
      ], outputs: [Port("y", "[nodes, width].")],
      options: [
        .choice("reduction", ["sum", "mean"], default: "mean", "What is made of the messages.")
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.aggregate(
          name, inputs.required(0), to: inputs.required(1), nodes: inputs.required(2),
          weights: inputs[3], isMean: options.text("reduction") == "mean")
      ]
    },
  ]
}

extension Network {
  /// Σ over edges (j → i) of wᵢⱼ W xⱼ / √(dᵢ dⱼ) + b, d the sums of the weights of edges that end at
  /// a node, a loop of weight 1 at each included.
  public func graphConvolution(
    _ name: String, _ x: Edge, edges: Edge, weights: Edge? = nil, from: Int? = nil, to: Int,
    addsSelfLoops: Bool = true, normalizes: Bool = true, bias: Bool = true
  ) throws(StackLensError) -> Edge {
    try check(x, rank: 2...2, "[nodes, width]")
    try check(edges, rank: 2...2, "[2, edges]")
    return try scope(name) { () throws(StackLensError) in
      let h = try linear(
        "lin", x, from: from, to: to, bias: false, weight: .xavierUniform(gain: 1))
      func row(_ place: Int64) throws(StackLensError) -> Edge {
        graph.add(
          "Gather", [edges, constant(try Tensor(scalar: place))], ["axis": .int(0)])
      }
      let (source, target) = (try row(0), try row(1))
      var factors = weights
      var own: Edge?
      if normalizes {
        let given = try self.given(weights, like: source)
        var degrees = try scattered(given, target, extent(x, 0))
        if addsSelfLoops {
          degrees = degrees + (try scalar(1))
          own = try unsqueezed(graph.add("Reciprocal", [degrees]), 1)
        }
        let roots = try inverseRoots(degrees)
        factors =
          graph.add("Gather", [roots, source]) * given * graph.add("Gather", [roots, target])
      }
      var messages = graph.add("Gather", [h, source])
      if let factors { messages = messages * (try unsqueezed(factors, 1)) }
      var sums = try scattered(messages, target, extents(h, 0..<2))
      if addsSelfLoops { sums = sums + (own.map { h * $0 } ?? h) }
      return bias ? sums + (try parameter("bias", [to], .zeros)) : sums
    }
  }

  /// As the other form, the weights in a matrix: row i holds those of the edges that end at node i.
  public func graphConvolution(
    _ name: String, _ x: Edge, adjacency: Edge, from: Int? = nil, to: Int,
    addsSelfLoops: Bool = true, normalizes: Bool = true, bias: Bool = true
  ) throws(StackLensError) -> Edge {
    try scope(name) { () throws(StackLensError) in
      var h = try linear(
        "lin", x, from: from, to: to, bias: false, weight: .xavierUniform(gain: 1))
      var roots: Edge?
      if normalizes {
        var degrees = try sum(adjacency, axis: -1, keepDims: true)
        if addsSelfLoops { degrees = degrees + (try scalar(1)) }
        let found = try inverseRoots(degrees)
        h = h * found
        roots = found
      }
      var sums = graph.matMul(adjacency, h)
      if addsSelfLoops { sums = sums + h }
      if let roots { sums = sums * roots }
      return bias ? sums + (try parameter("bias", [to], .zeros)) : sums
    }
  }

  /// Sums or weighted means of messages [edges, width] by the node that each goes to.
  public func aggregate(
    _ name: String, _ messages: Edge, to index: Edge, nodes: Edge, weights: Edge? = nil,
    isMean: Bool = true
  ) throws(StackLensError) -> Edge {
    try check(messages, rank: 2...2, "[edges, width]")
    return try scope(name) { () throws(StackLensError) in
      let count = extent(nodes, 0)
      let weighted = try weights.map { (w) throws(StackLensError) in
        messages * (try unsqueezed(w, 1))
      }
      let sums = try scattered(weighted ?? messages, index, joined([count, extent(messages, 1)]))
      guard isMean else { return sums }
      let given = try self.given(weights, like: index)
      let totals = try unsqueezed(scattered(given, index, count), 1)
      let isSome = graph.add("Greater", [totals, try scalar(0)])
      // Sums without weight are zero already.
      return sums / graph.add("Where", [isSome, totals, try scalar(1)])
    }
  }

  /// Zeros of a shape with the updates added at the rows that an index names.
  private func scattered(
    _ updates: Edge, _ index: Edge, _ shape: Edge
  ) throws(StackLensError) -> Edge {
    graph.add(
      "ScatterND", [try filled(0, shape), try unsqueezed(index, 1), updates],
      ["reduction": .string("add")])
  }

  /// The weights of edges, ones where there are none.
  private func given(_ weights: Edge?, like index: Edge) throws(StackLensError) -> Edge {
    if let weights { return weights }
    return try filled(1, graph.add("Shape", [index]))
  }

  /// 1 / √d, 0 where d is 0.
  private func inverseRoots(_ degrees: Edge) throws(StackLensError) -> Edge {
    let isSome = graph.add("Greater", [degrees, try scalar(0)])
    let safe = graph.add("Where", [isSome, degrees, try scalar(1)])
    let roots = graph.add("Reciprocal", [graph.add("Sqrt", [safe])])
    return graph.add("Where", [isSome, roots, try scalar(0)])
  }
}
