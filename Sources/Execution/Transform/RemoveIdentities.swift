import Graphs

extension Transform {
  /// Removes Identity nodes and Dropout nodes that only pass their input on.
  static func removeIdentities(_ graph: Graph) -> Graph {
    var renamed: [String: String] = [:]
    let outputs = Set(graph.outputs.map(\.name))
    var result = graph
    result.nodes = []
    for var node in graph.nodes {
      node.inputs = node.inputs.map { renamed[$0] ?? $0 }
      if passesOn(node), let source = node.inputs.first, let target = node.outputs.first,
        !source.isEmpty, !outputs.contains(target)
      {
        renamed[target] = source
        continue
      }
      if !renamed.isEmpty { node.renameCaptures(renamed) }
      result.nodes.append(node)
    }
    return result
  }

  private static func passesOn(_ node: Node) -> Bool {
    guard node.domain.isEmpty else { return false }
    let onlyFirst = node.outputs.dropFirst().allSatisfy(\.isEmpty)
    let isInference = node.inputs.count < 3 || node.inputs[2].isEmpty
    return node.opType == "Identity" || (node.opType == "Dropout" && onlyFirst && isInference)
  }
}

extension Node {
  /// Replaces names that the subgraphs read from outside.
  mutating func renameCaptures(_ names: [String: String]) {
    for (key, attribute) in attributes {
      switch attribute {
      case .graph(let graph): attributes[key] = .graph(graph.renamingCaptures(names))
      case .graphs(let graphs):
        attributes[key] = .graphs(graphs.map { $0.renamingCaptures(names) })
      default: break
      }
    }
  }
}

extension Graph {
  /// This graph reading other outer values; names defined inside hide outer ones.
  func renamingCaptures(_ names: [String: String]) -> Graph {
    let captured = Set(captures)
    let relevant = names.filter { captured.contains($0.key) }
    guard !relevant.isEmpty else { return self }
    var result = self
    for index in result.nodes.indices {
      result.nodes[index].inputs = result.nodes[index].inputs.map { relevant[$0] ?? $0 }
      result.nodes[index].renameCaptures(relevant)
    }
    // A graph output that is a captured value keeps its name by way of an Identity node.
    for output in result.outputs {
      if let source = relevant[output.name] {
        result.nodes.append(Node("Identity", inputs: [source], outputs: [output.name]))
      }
    }
    return result
  }
}
