extension Graph {
  /// The graph without nodes and constants that no output depends on.
  public func withoutDeadCode() -> Graph {
    var needed = Set(outputs.map(\.name))
    var kept: [Node] = []
    for node in nodes.reversed() where node.outputs.contains(where: needed.contains) {
      needed.formUnion(node.reads)
      kept.append(node)
    }
    var result = self
    result.nodes = kept.reversed()
    let given = Set(inputs.map(\.name))
    result.initializers.removeAll { !needed.contains($0.name) && !given.contains($0.name) }
    let known = needed.union(given).union(result.nodes.lazy.flatMap(\.outputs))
    result.valueInfo.removeAll { !known.contains($0.name) }
    result.quantization.removeAll { !known.contains($0.tensorName) }
    return result
  }
}
