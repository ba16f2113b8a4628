import Graphs
import Tensors

extension Transform {
  /// Products of float32 with a weight, or with transposed factors as gradients have them, and those
  /// inside attention round their factors to bfloat16.
  static func roundProducts(_ graph: Graph) -> Graph {
    let index = GraphIndex(graph)
    var result = graph
    for place in graph.nodes.indices {
      if let node = rounded(graph.nodes[place], index) { result.nodes[place] = node }
    }
    return result
  }

  private static func rounded(_ node: Node, _ index: GraphIndex) -> Node? {
    var kept = ["transA", "transB", "alpha"]
    let inputs = node.inputs
    switch (node.domain, node.opType) {
    case ("ai.stacklens", "Attention"), ("ai.stacklens", "AttentionGradient"),
      ("ai.stacklens", "WeightGradient"):
      var rounding = node
      rounding.attributes["rounds_factors"] = .int(1)
      return rounding
    case ("ai.stacklens", "FusedMatMul"): kept.append("activation")
    case ("com.microsoft", "FusedMatMul"):
      guard !node.isSet("transBatchA"), !node.isSet("transBatchB") else { return nil }
    case ("", "MatMul"):
      guard index.floatDims(node.inputs[1])?.count == 2 else { return nil }
    case ("", "Gemm"):
      guard index.rowBias(ofGeneral: node) != nil else { return nil }
    default: return nil
    }
    var attributes = node.attributes.filter { kept.contains($0.key) }
    attributes["rounds_factors"] = .int(1)
    return Node(
      "FusedMatMul", inputs: inputs, outputs: node.outputs, attributes: attributes,
      name: node.name, domain: "ai.stacklens")
  }
}
