import Graphs

extension Transform {
  /// x · ½ · (1 + erf(x / √2)), in the orders in which exporters write it, becomes Gelu.
  static func fuseGelu(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let erf = graph.nodes[place]
      guard erf.opType == "Erf", erf.domain.isEmpty, let x = halfRootOperand(erf, index),
        let add = index.onlyReader(of: erf.outputs[0], "Add"),
        let one = index.scalarOperand(add.node, rank: rank(of: x, index)), one.scalar == 1
      else { return nil }
      return finish(add.node.outputs[0], x, "none", [place, add.index], index)
    }
  }

  /// x · ½ · (1 + tanh(√(2 / π) (x + 0.044715 x³))) becomes Gelu by tanh.
  static func fuseTanhGelu(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let tanh = graph.nodes[place]
      guard tanh.opType == "Tanh", tanh.domain.isEmpty,
        let inner = index.producer(of: tanh.inputs[0], "Mul"),
        let root = index.scalarOperand(inner.node, rank: 1), abs(root.scalar - 0.7978846) < 1e-6,
        let sum = index.producer(of: root.other, "Add")
      else { return nil }
      for (x, cubic) in [(0, 1), (1, 0)] {
        let x = sum.node.inputs[x]
        let rank = rank(of: x, index)
        guard index.scalarOperand(inner.node, rank: rank) != nil,
          let scaled = index.producer(of: sum.node.inputs[cubic], "Mul"),
          let factor = index.scalarOperand(scaled.node, rank: rank),
          abs(factor.scalar - 0.044715) < 1e-6,
          let cube = index.producer(of: factor.other, "Pow"), cube.node.inputs[0] == x,
          index.scalar(cube.node.inputs[1], rank: rank) == 3,
          let add = index.onlyReader(of: tanh.outputs[0], "Add"),
          let one = index.scalarOperand(add.node, rank: rank), one.scalar == 1
        else { continue }
        return finish(add.node.outputs[0], x, "tanh", [place, add.index], index)
      }
      return nil
    }
  }

  /// Axes that x surely has, as far as scalars care: exporters write them with none or one.
  private static func rank(of x: String, _ index: GraphIndex) -> Int {
    index.lastExtent(of: x) == nil ? 0 : 1
  }

  /// x of erf(x / √2) or erf(x · 0.7071).
  private static func halfRootOperand(_ erf: Node, _ index: GraphIndex) -> String? {
    if let div = index.producer(of: erf.inputs[0], "Div"),
      let root = index.scalar(div.node.inputs[1], rank: rank(of: div.node.inputs[0], index)),
      abs(root - 1.4142135) < 1e-5
    {
      return div.node.inputs[0]
    }
    if let mul = index.producer(of: erf.inputs[0], "Mul"),
      let factor = index.scalarOperand(mul.node, rank: 1), abs(factor.scalar - 0.70710677) < 1e-5,
      index.scalarOperand(mul.node, rank: rank(of: factor.other, index)) != nil
    {
      return factor.other
    }
    return nil
  }

  /// Follows `bell` = 1 + erf(…) or 1 + tanh(…) through the products with x and ½.
  private static func finish(
    _ bell: String, _ x: String, _ approximation: String, _ seen: [Int], _ index: GraphIndex
  ) -> Replacement? {
    let attributes = ["approximate": Attribute.string(approximation)]
    guard let first = index.onlyReader(of: bell, "Mul") else { return nil }
    let rank = Self.rank(of: x, index)
    var removed = seen + [first.index]
    let result: (index: Int, node: Node)
    if let half = index.scalarOperand(first.node, rank: rank), half.scalar == 0.5 {
      // x · (½ · bell)
      guard let last = index.onlyReader(of: first.node.outputs[0], "Mul"),
        last.node.inputs.contains(x)
      else { return nil }
      result = last
    } else if first.node.inputs.contains(x) {
      // (x · bell) · ½
      guard let last = index.onlyReader(of: first.node.outputs[0], "Mul"),
        let half = index.scalarOperand(last.node, rank: rank), half.scalar == 0.5
      else { return nil }
      result = last
    } else {
      // (½ · x) · bell
      let other = first.node.inputs[0] == bell ? first.node.inputs[1] : first.node.inputs[0]
      guard let half = index.producer(of: other, "Mul"),
        let factor = index.scalarOperand(half.node, rank: rank), factor.scalar == 0.5,
        factor.other == x
      else { return nil }
      let gelu = Node(
        "Gelu", inputs: [x], outputs: first.node.outputs, attributes: attributes,
        name: first.node.name)
      return Replacement(at: first.index, removed: removed, nodes: [gelu])
    }
    removed.append(result.index)
    let gelu = Node(
      "Gelu", inputs: [x], outputs: result.node.outputs, attributes: attributes,
      name: result.node.name)
    return Replacement(at: result.index, removed: removed, nodes: [gelu])
  }
}
