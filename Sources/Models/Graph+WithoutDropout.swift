import Graphs

extension Graph {
  /// The graph as it runs: without Dropout, which only training needs.
  func withoutDropout() -> Graph {
    var result = self
    var origin: [String: String] = [:]
    result.nodes = []
    for var node in nodes {
      node.inputs = node.inputs.map { origin[$0] ?? $0 }
      let isOutput = outputs.contains { node.outputs.contains($0.name) }
      if node.opType == "Dropout", node.outputs.count == 1, !isOutput {
        origin[node.outputs[0]] = node.inputs[0]
      } else {
        result.nodes.append(node)
      }
    }
    return result.withoutDeadCode()
  }
}
