import Graphs

extension Transform {
  /// Drops nodes and constants that no output depends on.
  static func removeDeadCode(_ graph: Graph) -> Graph {
    var needed = Set(graph.outputs.map(\.name))
    var kept: [Node] = []
    for node in graph.nodes.reversed() where node.outputs.contains(where: needed.contains) {
      needed.formUnion(node.reads)
      kept.append(node)
    }
    var result = graph
    result.nodes = kept.reversed()
    let inputs = Set(graph.inputs.map(\.name))
    result.initializers.removeAll { !needed.contains($0.name) && !inputs.contains($0.name) }
    return result
  }
}
