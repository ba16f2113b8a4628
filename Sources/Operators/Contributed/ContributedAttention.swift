import Base
import Graphs
import Tensors

extension OperatorTable {
  /// Attention as ONNX Runtime's optimiser writes it.
  static let contributedAttention: [OperatorDefinition] = [
    .contributedAttention, .multiHeadAttention, .decoderMaskedAttention, .groupQueryAttention,
    .contributedRotaryEmbedding,
  ]
}

extension OperatorDefinition {
  /// Self-attention with its projections: input [B, L, K], weights [K, Q + K + V], bias, a mask in
  /// several forms, the past as [2, B, heads, P, width], a bias of the scores.
  static let contributedAttention = OperatorDefinition.composed(
    "Attention", domain: runtimeDomain, versions: [1], inputs: 2...7, outputs: 1...2,
    attributes: [
      .required("num_heads", .int), .float("mask_filter_value", default: -10000),
      .optional("scale", .float), .int("unidirectional", default: 0),
      .optional("qkv_hidden_sizes", .ints), .int("do_rotary", default: 0),
      .int("rotary_embedding_dim", default: 0), .int("past_present_share_buffer", default: 0),
    ],
    samples: [
      Sample(
        [.floats(2, 3, 6), .floats(6, 24), .floats(24), counts],
        ["num_heads": .int(2), "unidirectional": .int(1)]),
      Sample(
        [
          .floats(1, 2, 6), .floats(6, 24), .floats(24), .absent, .floats(2, 1, 2, 3, 4),
          .floats(1, 2, 2, 5),
        ], ["num_heads": .int(2)], outputs: 2),
      Sample(
        [.floats(2, 3, 6), .floats(6, 20), .floats(20)],
        ["num_heads": .int(2), "qkv_hidden_sizes": .ints([8, 8, 4])]),
    ]
  ) { (node, rewriter) throws(StackLensError) in
    try node.requireAbsent(
      inputs: [6: "past_sequence_length"], flags: ["do_rotary", "past_present_share_buffer"])
    var made = Decomposition(node.node, newestOpset)
    let heads = try node.heads()
    let input = try node.required(0, "input")
    let parts = try made.projections(node, input, &rewriter)
    var keyCount = made.extent(input, 1, &rewriter)
    var (pastCount, past) = ("", ["", ""])
    if let both = node.input(4) {
      let axis = try rewriter.ints([0], "axes")
      past = made.split(both, into: 2, axis: 0, &rewriter)
      past = past.map { made.apply("Squeeze", [$0, axis], &rewriter) }
      pastCount = made.extent(past[0], 2, &rewriter)
      keyCount = made.apply("Add", [keyCount, pastCount], &rewriter)
    }
    let added = try made.scoreBias(
      mask: node.input(3), bias: node.input(5), filter: try node.float("mask_filter_value"),
      query: input, past: pastCount, keyCount: keyCount, &rewriter)
    let attributes = try node.attentionAttributes(
      queryHeads: heads, keyHeads: heads, isCausal: try node.flag("unidirectional"))
    guard node.makes(1) else {
      made.apply("Attention", parts + [added] + past, attributes, to: [node.node.outputs[0]])
      return made.nodes
    }
    let present = [rewriter.fresh("key"), rewriter.fresh("value")]
    made.apply(
      "Attention", parts + [added] + past, attributes, to: [node.node.outputs[0]] + present)
    let axis = try rewriter.ints([0], "axes")
    let rows = present.map { made.apply("Unsqueeze", [$0, axis], &rewriter) }
    made.output(1, "Concat", rows, ["axis": .int(0)])
    return made.nodes
  }

  private static let counts = Sample.Input.tensor { () throws(StackLensError) in
    try Tensor([Int32(2), 3])
  }
}

extension Decomposition {
  /// Queries, keys and values: three products where the weights are constant, else one that is cut.
  fileprivate mutating func projections(
    _ node: ComposedNode, _ input: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [String] {
    let (weights, bias) = (try node.required(1, "weights"), node.input(2))
    let sizes = try node.ints("qkv_hidden_sizes")
    if let sizes, sizes.count != 3 || sizes.contains(where: { $0 <= 0 }) {
      throw .invalidArgument("attribute 'qkv_hidden_sizes' is \(sizes), expected three widths")
    }
    let matrix = rewriter.value(of: weights)
    if let matrix, matrix.rank == 2 {
      let widths = sizes ?? [Int](repeating: matrix.shape[1] / 3, count: 3)
      let vector = bias.flatMap { rewriter.value(of: $0) }
      guard try extentSum(widths) == matrix.shape[1],
        vector == nil || vector?.shape.dims == [matrix.shape[1]]
      else {
        throw .shapeMismatch("weights of shape \(matrix.shape) do not hold widths \(widths)")
      }
      if bias == nil || vector != nil {
        var (parts, start) = ([String](), 0)
        for width in widths {
          let columns = try matrix.columns(start..<start + width)
          var part = apply("MatMul", [input, rewriter.constant(columns, "weights")], &rewriter)
          if let vector {
            let piece = rewriter.constant(try vector.rows(start..<start + width), "bias")
            part = apply("Add", [part, piece], &rewriter)
          }
          parts.append(part)
          start += width
        }
        return parts
      }
    }
    var all = apply("MatMul", [input, weights], &rewriter)
    if let bias { all = apply("Add", [all, bias], &rewriter) }
    guard let sizes else { return split(all, into: 3, axis: -1, &rewriter) }
    let parts = (0..<3).map { _ in rewriter.fresh("split") }
    apply(
      "Split", [all, try rewriter.ints(sizes.map(Int64.init), "sizes")], ["axis": .int(-1)],
      to: parts)
    return parts
  }
}

extension Tensor {
  /// A copy of some columns of a matrix.
  func columns(_ range: Range<Int>) throws(StackLensError) -> Tensor {
    let (rows, width) = (shape[0], shape[1])
    let result = try Tensor(uninitialized: elementType, Shape([rows, range.count]))
    StridedCopy(
      elementType, [rows, range.count], from: [width, 1], to: [range.count, 1],
      sourceStart: range.lowerBound
    ).run(from: base, to: result.base, .serial)
    return result
  }
}
