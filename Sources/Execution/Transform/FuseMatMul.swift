import Graphs
import Tensors

extension Transform {
  /// A product with a constant matrix takes in the bias that is added to it and the activation after
  /// that: one pass over the result instead of three.
  static func fuseMatMul(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let product = graph.nodes[place]
      guard product.opType == "MatMul", product.domain.isEmpty,
        let weight = index.constant(product.inputs[1]), weight.rank == 2,
        weight.elementType == .float32
      else { return nil }
      var last = (index: place, node: product)
      var removed = [place]
      var bias = ""
      if let add = index.onlyReader(of: product.outputs[0]), add.node.opType == "Add",
        add.node.domain.isEmpty,
        let operand = add.node.inputs.first(where: { $0 != product.outputs[0] }),
        let vector = index.constant(operand), vector.shape.dims == [weight.shape[1]],
        vector.elementType == .float32
      {
        bias = operand
        last = add
        removed.append(add.index)
      }
      var activation = "none"
      if let next = index.onlyReader(of: last.node.outputs[0]), next.node.domain.isEmpty,
        let name = activationName(next.node, index)
      {
        activation = name
        last = next
        removed.append(next.index)
      }
      guard removed.count > 1 else { return nil }
      let node = Node(
        "FusedMatMul", inputs: [product.inputs[0], product.inputs[1], bias],
        outputs: last.node.outputs, attributes: ["activation": .string(activation)],
        name: product.name, domain: "ai.stacklens")
      return Replacement(at: last.index, removed: removed, nodes: [node])
    }
  }

  /// The activation of a product that a node is; nil for other nodes.
  static func activationName(_ node: Node, _ index: GraphIndex) -> String? {
    switch node.opType {
    case "Relu": return "relu"
    case "HardSwish": return "hard_swish"
    case "Swish":
      if case .float(let alpha)? = node.attributes["alpha"], alpha != 1 { return nil }
      return "silu"
    case "Clip":
      guard node.inputs.count == 3, index.scalar(node.inputs[1], rank: 0) == 0,
        index.scalar(node.inputs[2], rank: 0) == 6
      else { return nil }
      return "relu6"
    case "Tanh": return "tanh"
    case "Sigmoid": return "sigmoid"
    case "Gelu":
      if case .string("tanh")? = node.attributes["approximate"] { return "gelu_tanh" }
      return "gelu_erf"
    default: return nil
    }
  }

  /// A fused product that has no residual yet, with the place of it among its inputs, which are
  /// filled up.
  private static func fusedProduct(
    _ name: String, _ index: GraphIndex
  ) -> (index: Int, node: Node, place: Int)? {
    for (operation, place) in [("FusedMatMul", 3), ("BFloat16MatMul", 3), ("QuantizedMatMul", 7)] {
      guard var found = index.producer(of: name, operation, domain: "ai.stacklens") else {
        continue
      }
      while found.node.inputs.count <= place { found.node.inputs.append("") }
      let isQuantized = found.node.inputs.count > place + 1
      guard found.node.inputs[place].isEmpty, !isQuantized else { return nil }
      return (found.index, found.node, place)
    }
    return nil
  }

  /// A sum with a fused product that has no activation yet goes into the product as its residual.
  ///
  /// Only in front of a LayerNormalization and beside another one's result: there both sides have
  /// the same shape, and the fused product is fast. Other shapes are right, but slower.
  static func fuseResidual(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let add = graph.nodes[place]
      guard add.opType == "Add", add.domain.isEmpty,
        let reader = index.onlyReader(of: add.outputs[0]),
        reader.node.opType == "LayerNormalization", reader.node.inputs[0] == add.outputs[0]
      else { return nil }
      for (side, other) in [(0, 1), (1, 0)] {
        guard let product = fusedProduct(add.inputs[side], index),
          index.onlyReader(of: add.inputs[side]) != nil,
          case .string("none")? = product.node.attributes["activation"],
          index.producer(of: add.inputs[other])?.opType == "LayerNormalization"
        else { continue }
        var node = product.node
        node.inputs[product.place] = add.inputs[other]
        node.outputs = add.outputs
        return Replacement(at: place, removed: [product.index, place], nodes: [node])
      }
      return nil
    }
  }
}
