import Graphs

extension Transform {
  /// x · Sigmoid(x) becomes Swish, x · HardSigmoid(x) with the slope of MobileNetV3 HardSwish.
  static func fuseSwish(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let gate = graph.nodes[place]
      guard gate.domain.isEmpty, let name = gatedName(gate),
        let product = index.onlyReader(of: gate.outputs[0], "Mul"),
        Set(product.node.inputs) == [gate.inputs[0], gate.outputs[0]]
      else { return nil }
      let node = Node(
        name, inputs: [gate.inputs[0]], outputs: product.node.outputs, name: product.node.name)
      return Replacement(at: product.index, removed: [place, product.index], nodes: [node])
    }
  }

  private static func gatedName(_ gate: Node) -> String? {
    switch gate.opType {
    case "Sigmoid": return "Swish"
    case "HardSigmoid":
      guard case .float(let slope)? = gate.attributes["alpha"], abs(slope - 1 / 6) < 1e-7 else {
        return nil
      }
      if case .float(let shift)? = gate.attributes["beta"], shift != 0.5 { return nil }
      return "HardSwish"
    default: return nil
    }
  }
}
