import Graphs
import Tensors

extension Transform {
  /// Scaled dot-product attention over heads, written out as exporters do, becomes one operator.
  ///
  /// From the softmax: up through an optional mask sum and scales to the product of queries and
  /// keys, each transposed from [batch, length, heads, width]; down through a dropout in training and
  /// the product with the values to the transposition back. The reshapes around it stay: they move
  /// no data. Keys and values of a cache are [batch, heads, length, width] as they are.
  static func fuseAttention(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let softmax = graph.nodes[place]
      guard softmax.opType == "Softmax", softmax.domain.isEmpty,
        let plain = weights(softmax, index), let scores = scaledScores(plain.scores, index)
      else { return nil }
      let guarded = guarded(plain.result, index)
      var weights = guarded ?? (plain.result, [])
      var dropping: (inputs: [String], salt: Attribute)?
      if let drop = index.onlyReader(of: weights.result), drop.node.isSeededDropout {
        weights = (drop.node.outputs[0], weights.removed + [drop.index])
        dropping = (Array(drop.node.inputs.dropFirst()), drop.node.attributes["salt"] ?? .int(0))
      }
      guard let mixed = index.onlyReader(of: weights.result, "MatMul"),
        mixed.node.inputs[0] == weights.result,
        let memory = memory(scores, mixed.node.inputs[1], index),
        let end = turnedBack(mixed.node, scores.product, index)
      else { return nil }
      let node = Node(
        "Attention",
        inputs: [scores.query, memory.key, memory.value, scores.mask] + (dropping?.inputs ?? []),
        outputs: end.turn.node.outputs,
        attributes: [
          "scale": .float(scores.scale), "no_keys_as_zero": .int(guarded == nil ? 0 : 1),
          "keeps_query_length": .int(end.removed.isEmpty ? 0 : 1),
          "keys_by_head": .int(memory.byHead ? 1 : 0),
          "salt": dropping?.salt ?? .int(0),
        ],
        name: softmax.name, domain: "ai.stacklens")
      return Replacement(
        at: end.turn.index,
        removed: [place, mixed.index, end.turn.index] + plain.removed + weights.removed
          + end.removed,
        nodes: [node])
    }
  }

  /// The transposition of the mixed values, and what stands before it: nothing, or the Reshape to
  /// [batch, any, query length, value width] that exporters write, with the nodes of its shape.
  private static func turnedBack(
    _ mixed: Node, _ product: Node, _ index: GraphIndex
  ) -> (turn: (index: Int, node: Node), removed: [Int])? {
    let name = mixed.outputs[0]
    func turn(_ name: String) -> (index: Int, node: Node)? {
      guard let turn = index.onlyReader(of: name, "Transpose"),
        case .ints(lengthAndHeads)? = turn.node.attributes["perm"]
      else { return nil }
      return turn
    }
    if let turn = turn(name) { return (turn, []) }
    guard let reshape = index.readers(of: name).first(where: { $0.node.opType == "Reshape" }),
      reshape.node.domain.isEmpty, reshape.node.inputs[0] == name,
      reshape.node.attributes["allowzero"].map({ !$0.isTrue }) ?? true,
      let turn = turn(reshape.node.outputs[0]),
      let target = index.onlyReader(of: reshape.node.inputs[1]), target.index == reshape.index,
      let concat = index.producer(of: reshape.node.inputs[1], "Concat"),
      concat.node.inputs.count == 4,
      let any = index.constant(concat.node.inputs[1]), any.rank == 1,
      (try? any.integers()) == [-1],
      let batch = index.extent(concat.node.inputs[0]), batch.of == name, batch.axis == 0,
      let length = index.extent(concat.node.inputs[2]), length.axis == 2,
      [product.inputs[0], scaling(product.inputs[0], index).name].contains(length.of),
      let width = index.extent(concat.node.inputs[3]), width.axis == 3,
      [name, mixed.inputs[1]].contains(width.of)
    else { return nil }
    // Nothing else may read the mixed values: what is left of them are the nodes of the shape.
    let shapes = [batch, width].filter { $0.of == name }
    let nodes = Set(shapes.flatMap(\.nodes))
    guard Set(index.readers(of: name).map(\.index)).isSubset(of: nodes.union([reshape.index])),
      nodes.allSatisfy({ place in
        let readers = index.readers(of: index.graph.nodes[place].outputs[0])
        return !readers.isEmpty
          && readers.allSatisfy { nodes.contains($0.index) || $0.index == concat.index }
      }), index.onlyReader(of: concat.node.outputs[0]) != nil
    else { return nil }
    return (turn, [reshape.index, concat.index] + nodes.sorted())
  }

  /// Weights that stand in for rows without a key: where they are not numbers, they are zero.
  private static func guarded(
    _ name: String, _ index: GraphIndex
  ) -> (result: String, removed: [Int])? {
    let readers = index.readers(of: name)
    guard readers.count == 2,
      let test = readers.first(where: { $0.node.opType == "IsNaN" && $0.node.domain.isEmpty }),
      let choice = readers.first(where: { $0.node.opType == "Where" && $0.node.domain.isEmpty }),
      choice.node.inputs[0] == test.node.outputs[0], choice.node.inputs[2] == name,
      index.scalar(choice.node.inputs[1], rank: 4) == 0,
      index.onlyReader(of: test.node.outputs[0]) != nil
    else { return nil }
    return (choice.node.outputs[0], [test.index, choice.index])
  }

  /// Swaps lengths and heads of a tensor of rank 4, or its last two axes, or both in one.
  private static let lengthAndHeads: [Int64] = [0, 2, 1, 3]
  private static let lastTwo: [Int64] = [0, 1, 3, 2]
  private static let lengthLast: [Int64] = [0, 2, 3, 1]

  /// What a softmax over the last of four axes reads and makes. Before opset 13 it worked on a
  /// matrix: then it stands between a Flatten and the Reshape that takes that back.
  private static func weights(
    _ softmax: Node, _ index: GraphIndex
  ) -> (scores: String, result: String, removed: [Int])? {
    var axis: Int64 = -1
    if case .int(let value)? = softmax.attributes["axis"] { axis = value }
    guard let flat = index.producer(of: softmax.inputs[0], "Flatten") else {
      return axis == -1 || axis == 3 ? (softmax.inputs[0], softmax.outputs[0], []) : nil
    }
    let scores = flat.node.inputs[0]
    guard axis == -1 || axis == 1, case .int(3)? = flat.node.attributes["axis"],
      let back = index.onlyReader(of: softmax.outputs[0], "Reshape"),
      back.node.inputs[0] == softmax.outputs[0],
      let shape = index.producer(of: back.node.inputs[1], "Shape"),
      shape.node.inputs == [scores], shape.node.attributes.isEmpty
    else { return nil }
    return (scores, back.node.outputs[0], [back.index])
  }

  private struct Scores {
    var query: String
    /// The keys with their lengths before their heads, where they exist so.
    var key: String?
    /// The keys with their heads before their lengths, where they exist so.
    var keyByHead: String?
    var mask = ""
    var scale: Float
    /// The product of queries and keys.
    var product: Node
  }

  /// Reads `(q · kᵀ) · scale + mask`, where q and k may be scaled as well.
  private static func scaledScores(_ name: String, _ index: GraphIndex) -> Scores? {
    if let scores = products(name, index) { return scores }
    guard let add = index.producer(of: name, "Add") else { return nil }
    for side in [0, 1] {
      if var scores = products(add.node.inputs[side], index) {
        scores.mask = add.node.inputs[1 - side]
        return scores
      }
    }
    return nil
  }

  private static func products(_ name: String, _ index: GraphIndex) -> Scores? {
    let (scaled, outer) = scaling(name, index)
    guard let product = index.producer(of: scaled, "MatMul") else { return nil }
    let (left, queryScale) = scaling(product.node.inputs[0], index)
    let (right, keyScale) = scaling(product.node.inputs[1], index)
    guard let query = transposed(left, lengthAndHeads, index) else { return nil }
    let keyByHead = transposed(right, lastTwo, index)
    let key =
      transposed(right, lengthLast, index)
      ?? keyByHead.flatMap { transposed($0, lengthAndHeads, index) }
    guard key != nil || keyByHead != nil else { return nil }
    return Scores(
      query: query, key: key, keyByHead: keyByHead, scale: outer * queryScale * keyScale,
      product: product.node)
  }

  /// Keys and values, both with their lengths before their heads or both the other way round.
  private static func memory(
    _ scores: Scores, _ value: String, _ index: GraphIndex
  ) -> (key: String, value: String, byHead: Bool)? {
    if let key = scores.key, let value = transposed(value, lengthAndHeads, index) {
      return (key, value, false)
    }
    guard let key = scores.keyByHead, index.rank(of: value) == 4 else { return nil }
    return (key, value, true)
  }

  /// The value behind an optional division or multiplication by a scalar.
  private static func scaling(
    _ name: String, _ index: GraphIndex
  ) -> (name: String, scale: Float) {
    if let div = index.producer(of: name, "Div"),
      let divisor = index.scalar(div.node.inputs[1], rank: 4), divisor.isNormal
    {
      return (div.node.inputs[0], 1 / divisor)
    }
    if let mul = index.producer(of: name, "Mul"),
      let factor = index.scalarOperand(mul.node, rank: 4)
    {
      return (factor.other, factor.scalar)
    }
    return (name, 1)
  }

  /// What a Transpose by `permutation` reads.
  private static func transposed(
    _ name: String, _ permutation: [Int64], _ index: GraphIndex
  ) -> String? {
    guard let transpose = index.producer(of: name, "Transpose"),
      case .ints(permutation)? = transpose.node.attributes["perm"]
    else { return nil }
    return transpose.node.inputs[0]
  }
}

extension Node {
  /// A dropout in training, with a ratio and a seed.
  fileprivate var isSeededDropout: Bool {
    domain == "ai.stacklens" && opType == "SeededDropout" && inputs.count == 3
  }
}
