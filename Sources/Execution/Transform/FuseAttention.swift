import Graphs
import Tensors

extension Transform {
  /// Scaled dot-product attention over heads, written out as exporters do, becomes one operator.
  ///
  /// From the softmax: up through an optional mask sum and a scale to the product of queries and
  /// transposed keys, each a Reshape to heads and a Transpose; down through the product with the
  /// values, a Transpose and a Reshape.
  static func fuseAttention(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let softmax = graph.nodes[place]
      guard softmax.opType == "Softmax", softmax.domain.isEmpty,
        let scores = scaledScores(softmax.inputs[0], index),
        let query = heads(of: scores.query, [0, 2, 1, 3], index),
        let key = heads(of: scores.key, [0, 2, 3, 1], index),
        let mixed = index.onlyReader(of: softmax.outputs[0]), mixed.node.opType == "MatMul",
        mixed.node.inputs[0] == softmax.outputs[0],
        let value = heads(of: mixed.node.inputs[1], [0, 2, 1, 3], index),
        query.count == key.count, query.count == value.count, query.width == key.width,
        query.width == value.width,
        let back = index.onlyReader(of: mixed.node.outputs[0]), back.node.opType == "Transpose",
        case .ints([0, 2, 1, 3])? = back.node.attributes["perm"],
        let merged = index.onlyReader(of: back.node.outputs[0]), merged.node.opType == "Reshape",
        trailing(merged.node.inputs[1], index)?.last == query.count * query.width
      else { return nil }
      if case .int(let axis)? = softmax.attributes["axis"], axis != -1, axis != 3 { return nil }
      let node = Node(
        "Attention", inputs: [query.source, key.source, value.source, scores.mask],
        outputs: merged.node.outputs,
        attributes: ["heads": .int(Int64(query.count)), "scale": .float(scores.scale)],
        name: softmax.name, domain: "ai.stacklens")
      return Replacement(
        at: merged.index, removed: [place, mixed.index, back.index, merged.index], nodes: [node])
    }
  }

  private struct Scores {
    var query: String
    var key: String
    var mask = ""
    var scale: Float = 1
  }

  /// Reads `(q · kᵀ) · scale + mask`.
  private static func scaledScores(_ name: String, _ index: GraphIndex) -> Scores? {
    var name = name
    var mask = ""
    var scale: Float = 1
    if let add = index.producer(of: name, "Add") {
      let isScored = add.node.inputs.map { product(behind: $0, index) != nil }
      guard let side = isScored.firstIndex(of: true) else { return nil }
      mask = add.node.inputs[1 - side]
      name = add.node.inputs[side]
    }
    guard let found = product(behind: name, index) else { return nil }
    scale = found.scale
    return Scores(query: found.node.inputs[0], key: found.node.inputs[1], mask: mask, scale: scale)
  }

  /// The MatMul behind an optional division or multiplication by a scalar.
  private static func product(
    behind name: String, _ index: GraphIndex
  ) -> (node: Node, scale: Float)? {
    if let product = index.producer(of: name, "MatMul") { return (product.node, 1) }
    if let div = index.producer(of: name, "Div"), let divisor = index.scalar(div.node.inputs[1]),
      divisor != 0, let product = index.producer(of: div.node.inputs[0], "MatMul")
    {
      return (product.node, 1 / divisor)
    }
    if let mul = index.producer(of: name, "Mul"), let factor = index.scalarOperand(mul.node),
      let product = index.producer(of: factor.other, "MatMul")
    {
      return (product.node, factor.scalar)
    }
    return nil
  }

  /// The [batch, length, heads · width] value behind Reshape and Transpose.
  private static func heads(
    of name: String, _ permutation: [Int64], _ index: GraphIndex
  ) -> (source: String, count: Int, width: Int)? {
    guard let transpose = index.producer(of: name, "Transpose"),
      case .ints(permutation)? = transpose.node.attributes["perm"],
      let reshape = index.producer(of: transpose.node.inputs[0], "Reshape"),
      let dims = trailing(reshape.node.inputs[1], index), dims.count == 2, dims[0] > 0, dims[1] > 0
    else { return nil }
    return (reshape.node.inputs[0], dims[0], dims[1])
  }

  /// The last extents of a shape of which the first two may be computed: two of a rank-4 shape, one
  /// of a rank-3 shape.
  private static func trailing(_ name: String, _ index: GraphIndex) -> [Int]? {
    if let tensor = index.constant(name), let dims = try? tensor.integers(), dims.count >= 3 {
      return Array(dims.dropFirst(2))
    }
    guard let concat = index.producer(of: name, "Concat"), concat.node.inputs.count >= 3 else {
      return nil
    }
    var dims: [Int] = []
    for part in concat.node.inputs.dropFirst(2) {
      guard let tensor = index.constant(part), tensor.count == 1,
        let value = try? tensor.integers()
      else { return nil }
      dims.append(value[0])
    }
    return dims
  }
}
