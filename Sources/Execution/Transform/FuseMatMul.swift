import Graphs
import Tensors

extension Transform {
  /// A product with one matrix takes in the bias that is added to it and the activation after that:
  /// one pass over the result instead of three.
  static func fuseMatMul(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      guard var product = MatrixFactor(graph.nodes[place], index) else { return nil }
      var last = (index: place, node: graph.nodes[place])
      var removed = [place]
      if product.bias.isEmpty, let add = index.onlyReader(of: last.node.outputs[0]),
        add.node.opType == "Add", add.node.domain.isEmpty,
        let operand = add.node.inputs.first(where: { $0 != last.node.outputs[0] }),
        index.floatDims(operand) == [product.columns]
      {
        product.bias = operand
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
      let node = product.fused(activation: activation, outputs: last.node.outputs)
      return Replacement(at: last.index, removed: removed, nodes: [node])
    }
  }

  /// A product with one float32 matrix on the right, possibly transposed, and with a bias of its own
  /// where it is a Gemm.
  private struct MatrixFactor {
    private let node: Node
    private let isTransposed: Bool
    let columns: Int
    /// Added to each row; empty where none is.
    var bias = ""
    var outputs: [String] { node.outputs }

    init?(_ node: Node, _ index: GraphIndex) {
      guard node.inputs.count >= 2, let dims = index.floatDims(node.inputs[1]), dims.count == 2
      else { return nil }
      switch (node.domain, node.opType) {
      case ("", "MatMul"): isTransposed = false
      case ("", "Gemm"):
        guard !node.isSet("transA"), let added = index.rowBias(ofGeneral: node) else { return nil }
        isTransposed = node.isSet("transB")
        bias = added
      case ("com.microsoft", "FusedMatMul"):
        guard !["transA", "transBatchA", "transBatchB"].contains(where: node.isSet) else {
          return nil
        }
        isTransposed = node.isSet("transB")
      default: return nil
      }
      columns = isTransposed ? dims[0] : dims[1]
      self.node = node
    }

    func fused(
      activation: String = "none", residual: String = "", outputs: [String]
    ) -> Node {
      var attributes: [String: Attribute] = ["activation": .string(activation)]
      if isTransposed { attributes["transB"] = .int(1) }
      if let alpha = node.attributes["alpha"] { attributes["alpha"] = alpha }
      return Node(
        "FusedMatMul",
        inputs: node.inputs.prefix(2) + [bias] + (residual.isEmpty ? [] : [residual]),
        outputs: outputs,
        attributes: attributes, name: node.name, domain: "ai.stacklens")
    }
  }

  /// A sum of products and other values, as gradients of a value with many readers are, becomes a
  /// chain of products that each take in the sum so far.
  static func fuseSumOfProducts(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let sum = graph.nodes[place]
      guard sum.opType == "Sum", sum.domain.isEmpty, sum.inputs.count > 1 else { return nil }
      var rest: [String] = []
      var products: [(index: Int, factor: MatrixFactor)] = []
      for name in sum.inputs {
        if let made = index.place(of: name), index.onlyReader(of: name)?.index == place,
          let factor = MatrixFactor(graph.nodes[made], index)
        {
          products.append((made, factor))
        } else {
          rest.append(name)
        }
      }
      // One product stays as it is where there is nothing else to begin with.
      if rest.isEmpty { rest = products.removeFirst().factor.outputs }
      guard !products.isEmpty else { return nil }
      var nodes: [Node] = []
      var total = rest[0]
      if rest.count > 1 {
        total = sum.outputs[0] + " rest"
        nodes.append(Node("Sum", inputs: rest, outputs: [total]))
      }
      for (_, factor) in products.dropLast() {
        nodes.append(factor.fused(residual: total, outputs: factor.outputs))
        total = factor.outputs[0]
      }
      if let last = products.last?.factor {
        nodes.append(last.fused(residual: total, outputs: sum.outputs))
      }
      return Replacement(at: place, removed: products.map(\.index) + [place], nodes: nodes)
    }
  }

  /// The gradient of a ReLU goes into the product that makes what arrives at it: the value of the ReLU
  /// says which elements stay.
  static func fuseSlope(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let slope = graph.nodes[place]
      guard slope.opType == "ActivationGradient", slope.domain == "ai.stacklens",
        case .string("Relu")? = slope.attributes["function"],
        let made = index.place(of: slope.inputs[0]),
        index.onlyReader(of: slope.inputs[0])?.index == place
      else { return nil }
      let product = graph.nodes[made]
      var node = product
      if let factor = MatrixFactor(product, index) {
        node = factor.fused(outputs: slope.outputs)
      } else {
        guard product.opType == "FusedMatMul", product.domain == "ai.stacklens",
          product.inputs.count <= 4
        else { return nil }
        node.outputs = slope.outputs
      }
      node.inputs += [String](repeating: "", count: 4 - node.inputs.count) + [slope.inputs[1]]
      return Replacement(at: place, removed: [made, place], nodes: [node])
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

  /// Whether a node is the normalisation of a value over its last axes, or goes back through it.
  private static func normalizes(_ name: String, _ node: Node) -> Bool {
    switch node.opType {
    case "LayerNormalization": node.inputs[0] == name
    case "LayerNormalizationGradient": node.inputs[1] == name && node.inputs[0] != name
    default: false
    }
  }

  /// A sum with a fused product that has no activation yet goes into the product as its residual.
  ///
  /// Only in front of a LayerNormalization and beside another one's result: there both sides have
  /// the same shape, and the fused product is fast. Other shapes are right, but slower.
  static func fuseResidual(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let add = graph.nodes[place]
      let readers = index.readers(of: add.outputs[0])
      guard add.opType == "Add", add.domain.isEmpty, !readers.isEmpty,
        readers.allSatisfy({ normalizes(add.outputs[0], $0.node) })
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
