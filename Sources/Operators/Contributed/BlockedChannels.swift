import Base
import CKernels
import Graphs
import Tensors

extension OperatorTable {
  /// Operators on images whose channels lie in blocks, which ONNX Runtime's optimiser writes at its
  /// highest level. Here the images stay channels first: only the number of channels is rounded up
  /// to whole blocks, and filters are put back in order.
  static let blockedChannels: [OperatorDefinition] = [
    .blockedConv, .reorderInput, .reorderOutput,
    .blockedPool("MaxPool", .maxPool), .blockedPool("AveragePool", .averagePool),
    .blockedPool("GlobalMaxPool", .globalMaxPool),
    .blockedPool("GlobalAveragePool", .globalAveragePool), .blockedUpsample,
  ]
}

extension OperatorDefinition {
  private static let blockedDomain = "com.microsoft.nchwc"

  /// Channels of a block. A file does not say how many: ONNX Runtime writes and reads what its
  /// kernels have on the processor at hand, 16 with AVX-512 and 8 without.
  private static var blockSize: Int { slk_cpu_tier() == SLK_TIER_AVX512 ? 16 : 8 }

  fileprivate static let blockedConv = composed(
    "Conv", domain: blockedDomain, versions: [1], inputs: 2...4,
    attributes: convolutionAttributes + [
      .string("activation", default: ""), .optional("activation_params", .floats),
    ],
    samples: [
      Sample([.floats(1, 3, 7, 6), .floats(16, 3, 3, 3), .floats(16)]),
      Sample(
        [.floats(1, 16, 5, 5), .floats(32, 16, 1, 1), .absent, .floats(1, 32, 5, 5)],
        ["activation": .string("Relu")]),
      Sample([.floats(1, 16, 5, 5), .floats(16, 1, 3, 3)], ["group": .int(16)]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    let name = try call.required(1, "W")
    guard let filters = rewriter.value(of: name), filters.rank == 4 else {
      throw .unsupported("filters in blocks that are not a constant of rank 4")
    }
    let ordered = try inOrder(filters, group: call.int("group"), &rewriter)
    var node = call.node
    node.domain = "com.microsoft"
    node.inputs[1] = ordered.name
    let convolution = ComposedNode(node: node, definition: call.definition)
    return ordered.nodes + (try fusedConvolution(convolution, &rewriter))
  }

  /// The nodes that put filters back in order, and the name of the result.
  ///
  /// Blocks of output channels lie innermost; where the input has blocks too, its channels lie
  /// outside of them: [O / b, I / b, height, width, b inputs, b outputs].
  private static func inOrder(
    _ filters: Tensor, group: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> (nodes: [Node], name: String) {
    let dims = filters.shape.dims
    let block = dims[0] % blockSize == 0 ? blockSize : 8
    guard dims[0] % block == 0 else {
      throw .shapeMismatch("filters of shape \(filters.shape) do not lie in blocks of \(block)")
    }
    let hasInputBlocks = dims[1] % block == 0
    let (b, outer) = (Int64(block), Int64(dims[0] / block))
    let (inner, high, wide) = (Int64(dims[1]), Int64(dims[2]), Int64(dims[3]))
    let blocked =
      hasInputBlocks ? [outer, inner / b, high, wide, b, b] : [outer, inner, high, wide, b]
    let order: [Int64] = hasInputBlocks ? [0, 5, 1, 4, 2, 3] : [0, 4, 1, 2, 3]
    let source = rewriter.constant(try filters.reshaped(to: Shape(blocked.map(Int.init))), "blocks")
    let (turned, result) = (rewriter.fresh("filters"), rewriter.fresh("filters"))
    let shape = try rewriter.ints(dims.map(Int64.init), "shape")
    return (
      [
        Node("Transpose", inputs: [source], outputs: [turned], attributes: ["perm": .ints(order)]),
        Node("Reshape", inputs: [turned, shape], outputs: [result]),
      ], result
    )
  }

  /// Adds channels of zeros up to whole blocks.
  fileprivate static let reorderInput = composed(
    "ReorderInput", domain: blockedDomain, versions: [1], inputs: 1...1,
    attributes: [.int("channels_last", default: 0)],
    samples: [
      Sample([.floats(1, 12, 3, 4)]),
      Sample([.floats(2, 3, 4, 16)], ["channels_last": .int(1)]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var nodes = Decomposition(call.node, 28)
    var x = try call.required(0, "X")
    if try call.flag("channels_last") {
      x = nodes.apply("Transpose", [x], ["perm": .ints([0, 3, 1, 2])], &rewriter)
    }
    let channels = nodes.apply("Shape", [x], ["start": .int(1), "end": .int(2)], &rewriter)
    let block = try rewriter.ints([Int64(blockSize)], "block")
    let less = nodes.apply("Neg", [channels], &rewriter)
    let missing = nodes.apply("Mod", [less, block], &rewriter)
    let before = try rewriter.ints([0, 0, 0, 0, 0], "pads")
    let after = try rewriter.ints([0, 0], "pads")
    let pads = nodes.apply("Concat", [before, missing, after], ["axis": .int(0)], &rewriter)
    return nodes.finish("Pad", [x, pads])
  }

  /// Takes the first `channels` channels.
  fileprivate static let reorderOutput = composed(
    "ReorderOutput", domain: blockedDomain, versions: [1], inputs: 1...1,
    attributes: [.required("channels", .int), .int("channels_last", default: 0)],
    samples: [
      Sample([.floats(1, 16, 3, 4)], ["channels": .int(12)]),
      Sample([.floats(2, 16, 3, 4)], ["channels": .int(16), "channels_last": .int(1)]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var nodes = Decomposition(call.node, 28)
    let bounds = [
      try call.required(0, "X"), try rewriter.ints([0], "start"),
      try rewriter.ints([Int64(call.int("channels"))], "end"), try rewriter.ints([1], "axis"),
    ]
    guard try call.flag("channels_last") else { return nodes.finish("Slice", bounds) }
    let cut = nodes.apply("Slice", bounds, &rewriter)
    return nodes.finish("Transpose", [cut], ["perm": .ints([0, 2, 3, 1])])
  }

  /// Pooling treats every channel alike.
  fileprivate static func blockedPool(
    _ name: String, _ pool: OperatorDefinition
  ) -> OperatorDefinition {
    let isGlobal = name.hasPrefix("Global")
    let window: [String: Attribute] = isGlobal ? [:] : ["kernel_shape": .ints([2, 2])]
    return composed(
      name, domain: blockedDomain, versions: [1], inputs: 1...1, attributes: pool.attributes,
      samples: [Sample([.floats(1, 16, 4, 5)], window), Sample([.floats(2, 8, 3, 3)], window)]
    ) { (call, _) throws(StackLensError) in
      var node = call.node
      node.domain = ""
      return [node]
    }
  }

  /// Larger by whole factors, which are given for all axes. The nearest pixel is the one before.
  fileprivate static let blockedUpsample = composed(
    "Upsample", domain: blockedDomain, versions: [1], inputs: 1...1,
    attributes: [
      .required("scales", .ints), .string("mode", default: "nearest"),
      .string("coordinate_transformation_mode", default: "asymmetric"),
    ],
    samples: [
      Sample([.floats(1, 8, 3, 4)], ["scales": .ints([1, 1, 2, 3])]),
      Sample(
        [.floats(2, 8, 3, 2)],
        [
          "scales": .ints([1, 1, 2, 2]), "mode": .string("linear"),
          "coordinate_transformation_mode": .string("half_pixel"),
        ]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    let factors = try call.ints("scales") ?? []
    let scales = rewriter.constant(try Tensor(factors.map(Float.init)), "scales")
    return Decomposition(call.node, newestOpset).finish(
      "Resize", [try call.required(0, "X"), "", scales],
      [
        "mode": .string(try call.string("mode")), "nearest_mode": .string("floor"),
        "coordinate_transformation_mode": .string(
          try call.string("coordinate_transformation_mode")),
      ])
  }
}
