import Graphs

extension Transform {
  /// The product that is the gradient of a linear layer's weights sums what is its bias's gradient.
  static func fuseWeightGradient(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let product = graph.nodes[place]
      guard product.opType == "FusedMatMul", product.domain == "com.microsoft",
        product.isSet("transA"),
        !["transB", "transBatchA", "transBatchB"].contains(where: product.isSet)
      else { return nil }
      let sums = index.readers(of: product.inputs[0]).filter { reader in
        guard reader.node.opType == "SumTo", reader.node.domain == "ai.stacklens",
          reader.node.inputs[0] == product.inputs[0],
          let shape = index.producer(of: reader.node.inputs[1], "Shape"),
          let dims = index.floatDims(shape.node.inputs[0])
        else { return false }
        return dims.count == 1 && dims[0] > 1
      }
      guard sums.count == 1, let sum = sums.first else { return nil }
      let node = Node(
        "WeightGradient", inputs: product.inputs, outputs: product.outputs + sum.node.outputs,
        attributes: product.attributes.filter { $0.key == "alpha" }, name: product.name,
        domain: "ai.stacklens")
      return Replacement(at: min(place, sum.index), removed: [place, sum.index], nodes: [node])
    }
  }
}
