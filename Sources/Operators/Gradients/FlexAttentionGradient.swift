import Base
import Graphs
import Tensors

extension GradientRule {
  /// The products, the softmax and the subgraphs between them.
  static let flexAttention = composed { (scope) throws(StackLensError) in
    let (query, key, value) = (try scope.input(0), try scope.input(1), try scope.input(2))
    guard scope.has("score_mod") || scope.has("prob_mod") else {
      return [scope.graph.add("Attention", [query, key, value], scope.node.attributes)]
    }
    func extent(_ edge: Edge, _ axis: Int64) -> Edge {
      scope.apply("Shape", edge, attributes: ["start": .int(axis), "end": .int(axis + 1)])
    }
    func shaped(_ edge: Edge, _ extents: Edge...) -> Edge {
      scope.graph.add(
        "Reshape", [edge, scope.graph.add("Concat", extents, ["axis": .int(0)])],
        ["allowzero": .int(1)])
    }
    // Query heads that share a key stand below one another.
    let (batch, heads, groups) = (extent(query, 0), extent(query, 1), extent(key, 1))
    let (length, keys) = (extent(query, 2), extent(key, 2))
    let rows = heads * length / groups
    let products = scope.graph.matMul(
      shaped(query, batch, groups, rows, extent(query, 3)),
      scope.graph.transpose(key, [0, 1, 3, 2]))
    var scores = try products * scope.flexScale(query)
    let compute = try scope.flexComputeType()
    if let compute { scores = scope.cast(scores, compute) }
    scores = shaped(scores, batch, heads, length, keys)
    scores = try scope.inlined("score_mod", [scores])
    let softmax = scope.apply("Softmax", scores, attributes: ["axis": .int(-1)])
    let weights = try scope.inlined("prob_mod", [softmax])
    var mixed = scope.graph.matMul(
      shaped(weights, batch, groups, rows, keys),
      compute.map { scope.cast(value, $0) } ?? value)
    if compute != nil { mixed = scope.apply("CastLike", mixed, query) }
    return [shaped(mixed, batch, heads, length, extent(value, 3))]
  }
}

extension GradientScope {
  fileprivate func cast(_ edge: Edge, _ type: ElementType) -> Edge {
    graph.add("Cast", [edge], ["to": .int(Int64(type.rawValue))])
  }

  fileprivate func flexScale(_ query: Edge) throws(StackLensError) -> Edge {
    if has("scale") { return try scalar(Double(try float("scale")), like: query) }
    let width = apply("Shape", query, attributes: ["start": .int(3), "end": .int(4)])
    return apply("Reciprocal", apply("Sqrt", apply("CastLike", width, query)))
  }

  /// The type of scores and weights; nil for that of the query.
  fileprivate func flexComputeType() throws(StackLensError) -> ElementType? {
    if has("softmax_precision") {
      return Int32(exactly: try int("softmax_precision")).flatMap(ElementType.init)
    }
    guard case .tensor(let type, _)? = types(names[0]), type == .float16 || type == .bfloat16
    else { return nil }
    return .float32
  }

  /// What a subgraph of the node makes of some values, as nodes beside it; the first of them where
  /// there is no subgraph.
  fileprivate func inlined(
    _ attribute: String, _ values: [Edge]
  ) throws(StackLensError) -> Edge {
    guard case .graph(let body)? = node.attributes[attribute] else { return values[0] }
    let prefix = graph.fresh(attribute)
    var outer: [String: String] = [:]
    for (name, edge) in zip(names, inputs) where !name.isEmpty { outer[name] = edge?.name }
    for constant in body.constants(under: prefix) { graph.add(constant) }
    let (nodes, outputs) = body.written(
      under: prefix, constants: prefix, inputs: values.map(\.name), around: outer)
    for node in nodes { graph.add(node) }
    guard let output = outputs.first else {
      throw .invalidArgument("subgraph '\(attribute)' gives nothing")
    }
    return graph.existing(output)
  }
}
