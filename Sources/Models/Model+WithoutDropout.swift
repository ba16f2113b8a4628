import Graphs

extension Model {
  /// The model as it runs: without Dropout, which only training needs.
  func withoutDropout() -> Model {
    var result = self
    var origin: [String: String] = [:]
    result.graph.nodes = []
    for var node in graph.nodes {
      node.inputs = node.inputs.map { origin[$0] ?? $0 }
      let isOutput = graph.outputs.contains { node.outputs.contains($0.name) }
      if node.opType == "Dropout", node.outputs.count == 1, !isOutput {
        origin[node.outputs[0]] = node.inputs[0]
      } else {
        result.graph.nodes.append(node)
      }
    }
    result.graph = result.graph.withoutDeadCode()
    return result
  }
}
