import Graphs

extension Node {
  /// The node with other names, also where graphs inside read them.
  func renamed(_ names: [String: String]) -> Node {
    func new(_ name: String) -> String { names[name] ?? name }
    var node = self
    node.inputs = inputs.map(new)
    node.outputs = outputs.map(new)
    if !name.isEmpty, let first = node.outputs.first { node.name = "\(name) of \(first)" }
    for (key, attribute) in attributes {
      switch attribute {
      case .graph(let graph): node.attributes[key] = .graph(graph.renamed(names))
      case .graphs(let graphs):
        node.attributes[key] = .graphs(graphs.map { $0.renamed(names) })
      default: break
      }
    }
    return node
  }
}

extension Graph {
  /// The constants of a body with names of their own.
  func constants(under prefix: String) -> [Initializer] {
    initializers.map { constant in
      var copy = constant
      copy.name = "\(prefix)/\(constant.name)"
      return copy
    }
  }

  /// The nodes of a body for one call: on other inputs, with names of their own, and the names of
  /// its outputs.
  /// - Parameters:
  ///   - prefix: what is put before the names of this call.
  ///   - constants: what was put before those of the constants.
  ///   - outer: other names for what the body takes from around it.
  func written(
    under prefix: String, constants: String, inputs values: [String],
    around outer: [String: String] = [:]
  ) -> (nodes: [Node], outputs: [String]) {
    var names = outer
    for constant in initializers { names[constant.name] = "\(constants)/\(constant.name)" }
    for inner in nodes {
      for name in inner.outputs where !name.isEmpty { names[name] = "\(prefix)/\(name)" }
    }
    for (input, value) in zip(inputs, values) { names[input.name] = value }
    return (nodes.map { $0.renamed(names) }, outputs.map { names[$0.name] ?? $0.name })
  }

  /// A graph inside a node with other names for what it takes from around it.
  fileprivate func renamed(_ names: [String: String]) -> Graph {
    var names = names
    for input in inputs { names[input.name] = nil }
    for constant in initializers { names[constant.name] = nil }
    for node in nodes { for output in node.outputs { names[output] = nil } }
    var graph = self
    graph.nodes = nodes.map { $0.renamed(names) }
    for index in graph.outputs.indices {
      let name = graph.outputs[index].name
      graph.outputs[index].name = names[name] ?? name
    }
    return graph
  }
}
