import Base
import Graphs
import Tensors

extension OperatorTable {
  /// Normalisations that ONNX Runtime's optimiser writes.
  static let contributedNormalization: [OperatorDefinition] = [
    skipNormalization("SkipLayerNormalization", inputs: 3...5, isCentred: true),
    skipNormalization("SkipSimplifiedLayerNormalization", inputs: 3...4, isCentred: false),
    simplifiedLayerNormalization,
    embedLayerNormalization,
  ]

  /// The normalisation of input + bias + skip. Outputs: the result, mean and 1 / deviation of each
  /// row, and the sum.
  private static func skipNormalization(
    _ name: String, inputs: ClosedRange<Int>, isCentred: Bool
  ) -> OperatorDefinition {
    let rows = [Sample.Input.floats(2, 3, 8), .floats(2, 3, 8), .floats(8)]
    let shift: [Sample.Input] = isCentred ? [.floats(8)] : []
    return .composed(
      name, domain: runtimeDomain, versions: [1], inputs: inputs, outputs: 1...4,
      attributes: [.float("epsilon", default: 1e-12)],
      samples: [
        Sample(rows + shift + [.floats(8)], ["epsilon": .float(1e-5)], outputs: 4),
        Sample([.floats(2, 3, 8), .floats(3, 8), .floats(8)]),
        Sample([.floats(0, 3, 8), .floats(0, 3, 8), .floats(8)]),
      ]
    ) { (node, rewriter) throws(StackLensError) in
      var nodes = Decomposition(node.node, newestOpset)
      var x = try node.required(0, "input")
      let skip = try node.required(1, "skip")
      if let bias = node.input(isCentred ? 4 : 3) { x = nodes.apply("Add", [x, bias], &rewriter) }
      let sum = node.makes(3) ? node.node.outputs[3] : rewriter.fresh("sum")
      nodes.apply("Add", [x, skip], to: [sum])
      let scale = try node.required(2, "gamma")
      let epsilon = try node.float("epsilon")
      if isCentred {
        nodes.apply(
          "LayerNormalization", [sum, scale] + (node.input(3).map { [$0] } ?? []),
          ["epsilon": .float(epsilon)], to: Array(node.node.outputs.prefix(3)))
      } else {
        try nodes.simplified(node, sum, scale, deviation: 2, &rewriter)
        if node.makes(1) {
          let mean = nodes.apply(
            "ReduceMean", [sum, try rewriter.ints([-1], "axes")], ["keepdims": .int(1)], &rewriter)
          nodes.output(1, "Cast", [mean], ["to": .int(Int64(ElementType.float32.rawValue))])
        }
      }
      return nodes.nodes
    }
  }

  /// RMSNormalization under the name, and in the domain, that ONNX Runtime uses for it.
  private static let simplifiedLayerNormalization = OperatorDefinition.composed(
    "SimplifiedLayerNormalization", versions: [1], inputs: 2...2, outputs: 1...2,
    attributes: [
      .int("axis", default: -1), .float("epsilon", default: 1e-5), .int("stash_type", default: 1),
    ],
    samples: [
      Sample([.floats(2, 3, 8), .floats(8)], outputs: 2),
      Sample([.floats(2, 3, 4), .floats(3, 4)], ["axis": .int(1)]),
      Sample([.floats(0, 8), .floats(8)]),
    ]
  ) { (node, rewriter) throws(StackLensError) in
    var nodes = Decomposition(node.node, newestOpset)
    try nodes.simplified(
      node, try node.required(0, "X"), try node.required(1, "scale"), deviation: 1, &rewriter)
    return nodes.nodes
  }

  /// The sum of word, position and segment embeddings, normalised. Outputs: the result, how many
  /// tokens of each text the mask keeps, and the sum.
  private static let embedLayerNormalization = OperatorDefinition.composed(
    "EmbedLayerNormalization", domain: runtimeDomain, versions: [1], inputs: 7...9,
    outputs: 1...3,
    attributes: [.float("epsilon", default: 1e-12), .int("mask_index_type", default: 0)],
    samples: [
      Sample(
        [
          ids(2, 3), ids(2, 3), .floats(5, 8), .floats(4, 8), .floats(5, 8), .floats(8), .floats(8),
          ids(2, 3, below: 2), ids(1, 3),
        ], ["epsilon": .float(1e-5)], outputs: 3),
      Sample(
        [
          ids(2, 3), .absent, .floats(5, 8), .floats(4, 8), .absent, .floats(8), .floats(8),
        ], outputs: 2),
    ]
  ) { (node, rewriter) throws(StackLensError) in
    var nodes = Decomposition(node.node, newestOpset)
    let tokens = try node.required(0, "input_ids")
    let table = try node.required(3, "position_embedding")
    var sum = nodes.apply("Gather", [try node.required(2, "word_embedding"), tokens], &rewriter)
    let positions: String
    if let chosen = node.input(8) {
      positions = nodes.apply("Gather", [table, chosen], &rewriter)
    } else {
      let length = nodes.apply(
        "Shape", [tokens], ["start": .int(1), "end": .int(2)], &rewriter)
      positions = nodes.apply(
        "Slice", [table, try rewriter.ints([0], "start"), length, try rewriter.ints([0], "axes")],
        &rewriter)
    }
    sum = nodes.apply("Add", [sum, positions], &rewriter)
    if let segments = node.input(1) {
      let segment = nodes.apply(
        "Gather", [try node.required(4, "segment_embedding"), segments], &rewriter)
      sum = nodes.apply("Add", [sum, segment], &rewriter)
    }
    nodes.output(
      0, "LayerNormalization",
      [sum, try node.required(5, "gamma"), try node.required(6, "beta")],
      ["epsilon": .float(try node.float("epsilon"))])
    if node.makes(1) { try nodes.keptCounts(node, &rewriter) }
    if node.makes(2) { nodes.output(2, "Identity", [sum]) }
    return nodes.nodes
  }

  private static func ids(_ dims: Int..., below count: Int = 4) -> Sample.Input {
    .tensor { () throws(StackLensError) in
      let shape = try Shape(dims)
      return try Tensor((0..<shape.count).map { Int32($0 * 7 % count) }, shape: shape)
    }
  }
}

extension Decomposition {
  /// x / sqrt(mean(x²) + epsilon) * scale as output 0, and 1 / sqrt(...) as another one if wanted.
  fileprivate mutating func simplified(
    _ node: ComposedNode, _ x: String, _ scale: String, deviation: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) {
    let axis = node.has("axis") ? try node.int("axis") : -1
    let epsilon = try node.float("epsilon")
    output(
      0, "RMSNormalization", [x, scale], ["axis": .int(Int64(axis)), "epsilon": .float(epsilon)])
    guard node.makes(deviation) else { return }
    guard axis < 0, axis >= -8 else {
      throw .unsupported("the second output is only made for an axis counted from the end")
    }
    let wide = apply(
      "Cast", [x], ["to": .int(Int64(ElementType.float32.rawValue))], &rewriter)
    let square = apply("Mul", [wide, wide], &rewriter)
    let mean = apply(
      "ReduceMean", [square, try rewriter.ints((axis...(-1)).map(Int64.init), "axes")], &rewriter)
    let least = rewriter.constant(try Tensor(scalar: epsilon), "epsilon")
    let root = apply("Sqrt", [apply("Add", [mean, least], &rewriter)], &rewriter)
    output(deviation, "Reciprocal", [root])
  }

  /// How many tokens of each text the mask of an embedding keeps, as output 1; zeros without one.
  fileprivate mutating func keptCounts(
    _ node: ComposedNode, _ rewriter: inout Rewriter
  ) throws(StackLensError) {
    guard let mask = node.input(7) else {
      let batch = apply(
        "Shape", [try node.required(0, "input_ids")], ["start": .int(0), "end": .int(1)],
        &rewriter)
      output(1, "ConstantOfShape", [batch], ["value": .tensor(try Tensor([Int32(0)]))])
      return
    }
    let one = rewriter.constant(try Tensor(scalar: Int32(1)), "one")
    let kept = apply(
      "Cast", [apply("Equal", [mask, one], &rewriter)],
      ["to": .int(Int64(ElementType.int32.rawValue))], &rewriter)
    output(
      1, "ReduceSum", [kept, try rewriter.ints([1], "axes")], ["keepdims": .int(0)])
  }
}
