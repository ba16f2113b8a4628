import Graphs

extension Graph {
  /// Drops constants that `source` read and this graph, which was made from it, no longer reads: they
  /// became attributes, or parts of them took their place.
  mutating func dropForgotten(since source: Graph, keeping kept: Set<String>) {
    func read(_ graph: Graph) -> Set<String> {
      Set(graph.nodes.lazy.flatMap(\.reads)).union(graph.outputs.map(\.name))
    }
    let (before, after) = (read(source), read(self).union(inputs.map(\.name)).union(kept))
    initializers.removeAll { before.contains($0.name) && !after.contains($0.name) }
  }
}
