import Base
import CKernels
import Graphs
import Tensors

extension OperatorTable {
  /// Operators of transformers, of linear attention and of their caches.
  static let attention: [OperatorDefinition] = [
    .scaledDotProductAttention, .flexAttention, .rotaryEmbedding, .tensorScatter,
    .linearAttention, .causalConvWithState, .swiGLU,
  ]
}

extension OperatorDefinition {
  /// softmax(scale · Q Kᵀ + mask) V for each head, with grouped heads, caches, causal and windowed
  /// masks. ONNX Attention-25.
  static let scaledDotProductAttention = OperatorDefinition(
    "Attention", versions: [23, 24, 25], inputs: 3...7, outputs: 1...4,
    attributes: [
      .int("is_causal", default: 0), .optional("kv_num_heads", .int),
      .optional("q_num_heads", .int), .int("qk_matmul_output_mode", default: 0),
      .optional("scale", .float), .float("softcap", default: 0),
      .optional("softmax_precision", .int), .int("left_window_size", default: -1),
      .int("right_window_size", default: -1),
    ],
    infer: { (context) throws(StackLensError) in
      let query = try context.input(0, oneOf: ElementType.reals)
      let value = try context.input(2, oneOf: ElementType.reals)
      _ = try context.sameElementType(0, 1, 4)
      _ = try context.sameElementType(2, 5)
      if context.hasInput(3) {
        _ = try context.input(3, oneOf: ElementType.numbers + [.bool])
      }
      if context.hasInput(6) { _ = try context.input(6, oneOf: [.int64, .int32]) }
      let geometry = try AttentionGeometry(context, context.inputs)
      _ = try AttentionRules(context, headSize: geometry.headSize)
      let all = [
        TensorType(query.elementType, geometry.outputShape),
        TensorType(query.elementType, geometry.presentKeyShape),
        TensorType(value.elementType, geometry.presentValueShape),
        TensorType(query.elementType, geometry.scoreShape),
      ]
      return Array(all.prefix(max(1, context.node.outputs.count)))
    },
    execution: .kernels([
      Kernel("heads", prepare: attentionByHeads), .reference(plainAttention),
    ]),
    lower: { (node, opset, _) throws(StackLensError) in
      for (name, first) in [("left_window_size", 25), ("right_window_size", 25)] {
        if opset < first, case .int(let size)? = node.attributes[name], size >= 0 {
          throw .unsupported("\(name) of Attention needs opset \(first), not \(opset)")
        }
      }
      guard opset >= 24 || node.inputs.count < 7 || node.inputs[6].isEmpty else {
        throw .unsupported("nonpad_kv_seqlen of Attention needs opset 24, not \(opset)")
      }
      var node = node
      if opset < 25 {
        node.attributes["left_window_size"] = nil
        node.attributes["right_window_size"] = nil
      }
      return [node]
    },
    expand: expandAttention, gradient: .expanded,
    samples: attentionSamples)

  private static let attentionSamples: [Sample] = [
    Sample(
      [.floats(2, 3, 8), .floats(2, 5, 8), .floats(2, 5, 12)],
      ["q_num_heads": .int(2), "kv_num_heads": .int(2)]),
    Sample(
      [.floats(2, 4, 6, 8), .floats(2, 2, 6, 8), .floats(2, 2, 6, 8)], ["is_causal": .int(1)]),
    Sample(
      [
        .floats(2, 2, 3, 8), .floats(2, 2, 3, 8), .floats(2, 2, 3, 4), .floats(2, 1, 3, 7),
        .floats(2, 2, 4, 8), .floats(2, 2, 4, 4),
      ], ["softcap": .float(2), "scale": .float(0.7), "is_causal": .int(1)], outputs: 3),
    Sample(
      [
        .floats(1, 4, 16), .floats(1, 4, 8), .floats(1, 4, 8), flags(4, 4), .absent, .absent,
        .ints([3]),
      ],
      ["q_num_heads": .int(4), "kv_num_heads": .int(2), "qk_matmul_output_mode": .int(3)],
      outputs: 4),
    Sample(
      [.floats(1, 2, 9, 4), .floats(1, 2, 9, 4), .floats(1, 2, 9, 4)],
      ["left_window_size": .int(2), "right_window_size": .int(1)]),
    Sample(
      [
        .random(.float16, [1, 2, 5, 8], low: -1, high: 1),
        .random(.float16, [1, 1, 5, 8], low: -1, high: 1),
        .random(.float16, [1, 1, 5, 8], low: -1, high: 1), .absent,
        .random(.float16, [1, 1, 2, 8], low: -1, high: 1),
        .random(.float16, [1, 1, 2, 8], low: -1, high: 1),
      ], outputs: 3),
    Sample([.floats(1, 2, 0, 4), .floats(1, 2, 3, 4), .floats(1, 2, 3, 4)]),
    Sample([.floats(1, 2, 3, 4), .floats(1, 2, 0, 4), .floats(1, 2, 0, 4)]),
  ]

  private static func flags(_ dims: Int...) -> Sample.Input {
    .tensor { () throws(StackLensError) in
      let shape = try Shape(dims)
      return try Tensor((0..<shape.count).map { $0 % 3 != 1 }, shape: shape)
    }
  }

  /// A packed product for each head, as long as nobody asks for the scores.
  private static func attentionByHeads(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    let types = preparation.inputs.prefix(3)
    let isWanted = preparation.node.outputs.count > 3 && !preparation.node.outputs[3].isEmpty
    guard !isWanted, types.allSatisfy({ $0?.elementType != .float64 }) else { return nil }
    if preparation.has("softmax_precision"),
      try preparation.int("softmax_precision") == Int(ElementType.float64.rawValue)
    {
      return nil
    }
    let geometry = try AttentionGeometry(preparation, preparation.inputs)
    let rules = try AttentionRules(preparation, headSize: geometry.headSize)
    let heads = try HeadAttention(preparation, geometry, rules)
    // The mask and the counts are read as they are.
    return try wideKernel(
      Float.self, preparation, outputs: 1, scratch: heads.scratchByteCount
    ) { (wide) throws(StackLensError) in try heads.run(wide) }
  }
}
