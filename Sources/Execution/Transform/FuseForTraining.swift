import Base
import Graphs
import Tensors

extension Graph {
  /// The same graph with what gradients have a kernel for as one node: GELU, swish, layer
  /// normalisation, attention, and products with a transposed weight. To be differentiated in this
  /// form.
  /// - Parameters:
  ///   - needed: values that must stay beside the graph's outputs.
  ///   - weights: initialisers that will change, which nothing may be computed from ahead.
  package func fusedForTraining(
    keeping needed: [String], weights: (String) -> Bool
  ) throws(StackLensError) -> Graph {
    var graph = self
    graph.outputs += needed.map { ValueInfo($0, .unknown) }
    graph = Transform.removeIdentities(graph)
    let kept = graph.initializers.filter { weights($0.name) }
    graph.initializers.removeAll { weights($0.name) }
    graph = try Transform.foldConstants(graph)
    graph.initializers += kept
    graph = Transform.removeDeadCode(graph)
    graph = Transform.fuseTanhGelu(Transform.fuseGelu(Transform.fuseSwish(graph)))
    graph = Transform.fuseLayerNormalization(graph)
    graph = Transform.fuseTransposedWeight(Transform.fuseAttention(graph))
    graph = Transform.removeDeadCode(graph)
    graph.outputs = outputs
    return graph
  }
}

extension Transform {
  /// A product with the transpose of a weight reads the weight as it is.
  static func fuseTransposedWeight(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let product = graph.nodes[place]
      guard product.opType == "MatMul", product.domain.isEmpty,
        let turn = index.producer(of: product.inputs[1], "Transpose"),
        let weight = turn.node.inputs.first, index.floatDims(weight)?.count == 2,
        isPlain(turn.node)
      else { return nil }
      let node = Node(
        "FusedMatMul", inputs: [product.inputs[0], weight], outputs: product.outputs,
        attributes: ["transB": .int(1)], name: product.name, domain: "com.microsoft")
      return Replacement(at: place, removed: [place], nodes: [node])
    }
  }

  /// Whether a Transpose swaps two axes.
  private static func isPlain(_ node: Node) -> Bool {
    guard case .ints(let order)? = node.attributes["perm"] else { return true }
    return order == [1, 0]
  }
}
