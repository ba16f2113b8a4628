import Graphs
import Tensors

extension Transform {
  /// (x - mean) / √(mean((x - mean)²) + ε) · scale + bias over the last axis, written out in parts,
  /// becomes LayerNormalization.
  static func fuseLayerNormalization(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let root = graph.nodes[place]
      guard root.opType == "Sqrt", root.domain.isEmpty,
        let add = index.producer(of: root.inputs[0], "Add"),
        let epsilon = index.scalarOperand(add.node, rank: 1), epsilon.scalar > 0,
        epsilon.scalar < 0.1,
        let variance = index.producer(of: epsilon.other, "ReduceMean"),
        isOverLastAxis(variance.node, index),
        let square = squared(variance.node.inputs[0], index),
        let centred = index.producer(of: square.base, "Sub"),
        let mean = index.producer(of: centred.node.inputs[1], "ReduceMean"),
        isOverLastAxis(mean.node, index), mean.node.inputs[0] == centred.node.inputs[0],
        let quotient = index.onlyReader(of: root.outputs[0], "Div"),
        quotient.node.inputs[1] == root.outputs[0],
        let numerator = index.producer(of: quotient.node.inputs[0], "Sub"),
        numerator.node.inputs == centred.node.inputs,
        let width = index.lastExtent(of: centred.node.inputs[0]),
        let scaled = index.onlyReader(of: quotient.node.outputs[0], "Mul"),
        let scale = vectorOperand(scaled.node, width, index),
        let shifted = index.onlyReader(of: scaled.node.outputs[0], "Add"),
        let bias = vectorOperand(shifted.node, width, index)
      else { return nil }
      let node = Node(
        "LayerNormalization", inputs: [centred.node.inputs[0], scale, bias],
        outputs: shifted.node.outputs,
        attributes: ["axis": .int(-1), "epsilon": .float(epsilon.scalar)],
        name: shifted.node.name)
      // The mean and the difference stay where others read them; dead ones go later.
      return Replacement(
        at: shifted.index,
        removed: [place, quotient.index, scaled.index, shifted.index], nodes: [node])
    }
  }

  /// Whether a ReduceMean keeps its dims and takes the mean over the last axis.
  static func isOverLastAxis(_ node: Node, _ index: GraphIndex) -> Bool {
    if case .int(0)? = node.attributes["keepdims"] { return false }
    guard node.inputs.count == 2, let axes = index.constant(node.inputs[1]),
      let values = try? axes.integers()
    else { return false }
    return values == [-1]
  }

  /// The base of x² or x · x.
  private static func squared(_ name: String, _ index: GraphIndex) -> (base: String, index: Int)? {
    if let pow = index.producer(of: name, "Pow"), index.scalar(pow.node.inputs[1], rank: 1) == 2 {
      return (pow.node.inputs[0], pow.index)
    }
    if let mul = index.producer(of: name, "Mul"), mul.node.inputs[0] == mul.node.inputs[1] {
      return (mul.node.inputs[0], mul.index)
    }
    return nil
  }

  /// The operand that is a constant vector of `width` numbers.
  private static func vectorOperand(_ node: Node, _ width: Int, _ index: GraphIndex) -> String? {
    node.inputs.first { name in
      index.constant(name).map { $0.shape.dims == [width] && $0.elementType == .float32 } ?? false
    }
  }
}
