import Base
import Graphs
import Tensors

/// What an operator computes, as nodes of others: the values of its outputs, nil for those that it
/// leaves out.
typealias OperatorParts = @Sendable (GradientScope) throws(StackLensError) -> [Edge?]

extension GradientRule {
  /// The rule of an operator that can be written with others: what flows back through those.
  static func composed(inputs inputCount: Int = .max, _ parts: @escaping OperatorParts) -> Self {
    GradientRule(inputs: inputCount) { (scope) throws(StackLensError) in
      try scope.flow(through: parts)
    }
  }
}

extension GradientScope {
  /// The gradients of the inputs, where `parts` stands for the node.
  func flow(through parts: OperatorParts) throws(StackLensError) -> [Edge?] {
    // An input that is given twice counts as two variables.
    let variables = inputs.enumerated().map { index, edge in
      edge.map { wants(index) ? graph.add("Identity", [$0]) : $0 }
    }
    let first = graph.graph.nodes.count
    let results = try parts(with(inputs: variables))
    let nodes = Array(graph.graph.nodes[first...])
    var seeds: [(value: String, gradient: Edge)] = []
    for (result, gradient) in zip(results, outputGradients) {
      if let result, let gradient { seeds.append((result.name, gradient)) }
    }
    let wanted = variables.indices.filter { wants($0) && variables[$0] != nil }
    let found = try Differentiation(nodes, into: graph)
      .gradients(seeds: seeds, with: wanted.compactMap { variables[$0]?.name })
    var gradients: [Edge?] = inputs.map { _ in nil }
    for (index, gradient) in zip(wanted, found) { gradients[index] = gradient }
    return gradients
  }

  /// The same node before it is run, with other inputs.
  private func with(inputs: [Edge?]) -> GradientScope {
    GradientScope(
      node: node, definition: definition, graph: graph, inputs: inputs, outputs: [],
      outputGradients: [], wants: wants, names: names, types: types)
  }
}

/// How operators that only gradients are made of are written to files: as the nodes that they stand
/// for.
func lowered(_ parts: @escaping OperatorParts) -> OperatorDefinition.Convert {
  { (node, _, rewriter) throws(StackLensError) in
    guard let definition = OperatorTable.find(node.opType, domain: node.domain) else {
      throw .internalError("\(node.label) is not in the table")
    }
    let graph = GraphBuilder("parts", prefix: rewriter.fresh("parts"))
    let inputs = node.inputs.map { $0.isEmpty ? nil : graph.existing($0) }
    let results = try parts(
      GradientScope(
        node: node, definition: definition, graph: graph, inputs: inputs, outputs: [],
        outputGradients: [], wants: [], names: node.inputs,
        types: { [rewriter] in rewriter.type(of: $0) }))
    for constant in graph.graph.initializers { rewriter.add(constant) }
    var nodes = graph.graph.nodes
    for (name, result) in zip(node.outputs, results) where !name.isEmpty {
      guard let result else { throw .unsupported("output '\(name)' has no older form") }
      nodes.append(Node("Identity", inputs: [result.name], outputs: [name]))
    }
    return nodes
  }
}
