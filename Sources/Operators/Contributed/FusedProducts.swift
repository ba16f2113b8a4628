import Base
import Graphs
import Tensors

extension OperatorTable {
  /// Products and convolutions with an activation behind them, and in channels-last order, as ONNX
  /// Runtime's optimiser writes them.
  static let contributedProducts: [OperatorDefinition] = [
    .contributedGemm, .contributedConv, .fusedMatMulActivation, .nhwcConv("NhwcConv"),
    .nhwcConv("NhwcFusedConv"), .nhwcMaxPool,
  ]
}

extension OperatorDefinition {
  private static let activationAttributes: [AttributeSpec] = [
    .string("activation", default: ""), .optional("activation_alpha", .float),
    .optional("activation_beta", .float), .optional("activation_gamma", .float),
  ]

  private static let activationNames: Set<String> = [
    "activation", "activation_alpha", "activation_beta", "activation_gamma", "activation_params",
    "activation_axis",
  ]

  /// Activations with the attributes that their parameters become.
  private static let activations: [String: [String]] = [
    "Relu": [], "Tanh": [], "Sigmoid": [], "Softplus": [], "Softsign": [],
    "LeakyRelu": ["alpha"], "ThresholdedRelu": ["alpha"], "Elu": ["alpha"], "Celu": ["alpha"],
    "HardSigmoid": ["alpha", "beta"], "HardSwish": [],
  ]

  /// The node `product` with the activation of `call` behind it.
  private static func activated(
    _ product: Node, _ call: ComposedNode, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    let name = try call.string("activation")
    var product = product
    product.name = call.node.name
    let output = call.node.outputs[0]
    guard !name.isEmpty else { return [product] }
    var parameters = try call.floats("activation_params") ?? []
    for key in ["activation_alpha", "activation_beta", "activation_gamma"] where call.has(key) {
      parameters.append(try call.float(key))
    }
    product.outputs = [rewriter.fresh("product")]
    if name == "Clip" {
      guard parameters.count == 2 else {
        throw .invalidArgument("Clip with \(parameters.count) parameters, expected 2")
      }
      var parts = Decomposition(call.node, 28)
      var bounds: [String] = []
      for parameter in parameters {
        let bound = rewriter.constant(try Tensor(scalar: parameter), "bound")
        bounds.append(parts.apply("CastLike", [bound, product.outputs[0]], &rewriter))
      }
      return [product] + parts.finish("Clip", product.outputs + bounds)
    }
    guard let keys = activations[name], parameters.count <= max(keys.count, 3) else {
      throw .unsupported(
        "activation '\(name)' behind \(call.node.opType), known are Clip, "
          + activations.keys.sorted().joined(separator: ", "))
    }
    var attributes: [String: Attribute] = [:]
    for (key, parameter) in zip(keys, parameters) { attributes[key] = .float(parameter) }
    return [
      product, Node(name, inputs: product.outputs, outputs: [output], attributes: attributes),
    ]
  }

  private static func withoutActivation(_ node: Node, _ opType: String) -> Node {
    var node = node
    node.opType = opType
    node.domain = ""
    node.attributes = node.attributes.filter { !activationNames.contains($0.key) }
    return node
  }

  fileprivate static let contributedGemm = composed(
    "FusedGemm", domain: "com.microsoft", inputs: 2...3,
    attributes: activationAttributes + [
      .float("alpha", default: 1), .float("beta", default: 1), .int("transA", default: 0),
      .int("transB", default: 0),
    ],
    samples: [
      Sample([.floats(3, 4), .floats(4, 5), .floats(5)], ["activation": .string("Relu")]),
      Sample(
        [.floats(3, 4), .floats(5, 4)],
        [
          "activation": .string("LeakyRelu"), "activation_alpha": .float(0.2), "transB": .int(1),
        ]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    try activated(withoutActivation(call.node, "Gemm"), call, &rewriter)
  }

  fileprivate static let contributedConv = composed(
    "FusedConv", domain: "com.microsoft", inputs: 2...4,
    attributes: convolutionAttributes + [
      .string("activation", default: ""), .optional("activation_params", .floats),
    ],
    samples: [
      Sample(
        [.floats(1, 2, 7, 6), .floats(3, 2, 3, 3), .floats(3)],
        ["pads": .ints([1, 1, 1, 1]), "activation": .string("Relu")]),
      Sample(
        [.floats(1, 2, 5, 5), .floats(3, 2, 3, 3), .absent, .floats(1, 3, 3, 3)],
        ["activation": .string("Clip"), "activation_params": .floats([0, 0.5])]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    try fusedConvolution(call, &rewriter)
  }

  /// activation(X * W + B + Z).
  static func fusedConvolution(
    _ call: ComposedNode, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    var convolution = withoutActivation(call.node, "Conv")
    convolution.inputs = Array(call.node.inputs.prefix(3))
    guard let residual = call.input(3) else { return try activated(convolution, call, &rewriter) }
    convolution.outputs = [rewriter.fresh("convolution")]
    let sum = Node(
      "Add", inputs: [convolution.outputs[0], residual], outputs: call.node.outputs)
    return [convolution] + (try activated(sum, call, &rewriter))
  }

  fileprivate static let fusedMatMulActivation = composed(
    "FusedMatMulActivation", domain: "com.microsoft", inputs: 2...2,
    attributes: contribFusedMatMul.attributes + activationAttributes + [
      .optional("activation_axis", .int)
    ],
    samples: [
      Sample([.floats(3, 4), .floats(4, 5)], ["activation": .string("Tanh")]),
      Sample(
        [.floats(2, 3, 4), .floats(5, 4)],
        ["activation": .string("Relu"), "transB": .int(1), "alpha": .float(2)]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var product = withoutActivation(call.node, "FusedMatMul")
    product.domain = "com.microsoft"
    return try activated(product, call, &rewriter)
  }

  /// A convolution of images with their channels last; the filters are as everywhere.
  fileprivate static func nhwcConv(_ name: String) -> OperatorDefinition {
    composed(
      name, domain: "com.microsoft", inputs: 2...(name == "NhwcConv" ? 3 : 4),
      attributes: convolutionAttributes + [
        .string("activation", default: ""), .optional("activation_params", .floats),
      ],
      samples: [
        Sample(
          [.floats(1, 7, 6, 2), .floats(3, 2, 3, 3), .floats(3)], ["pads": .ints([1, 1, 1, 1])]),
        Sample([.floats(1, 5, 5, 2), .floats(4, 2, 1, 1)], ["activation": .string("Relu")]),
      ]
    ) { (call, rewriter) throws(StackLensError) in
      let filters = try call.required(1, "W")
      let spatialRank = try call.ints("kernel_shape")?.count ?? 2
      let rank = rewriter.rank(of: filters) ?? spatialRank + 2
      return try channelsFirst(call, rank: rank, &rewriter) {
        (call, rewriter) throws(StackLensError) in try fusedConvolution(call, &rewriter)
      }
    }
  }

  fileprivate static let nhwcMaxPool = composed(
    "NhwcMaxPool", domain: "com.microsoft", inputs: 1...1,
    attributes: maxPool.attributes.filter { $0.name != "storage_order" },
    samples: [
      Sample(
        [.random(.uint8, [1, 8, 7, 3], low: 0, high: 255)],
        ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
      Sample([.random(.int8, [0, 4, 4, 3], low: -9, high: 9)], ["kernel_shape": .ints([2, 2])]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    let rank = (try call.ints("kernel_shape")?.count ?? 2) + 2
    return try channelsFirst(call, rank: rank, &rewriter) { (call, _) throws(StackLensError) in
      var pool = call.node
      pool.opType = "MaxPool"
      pool.domain = ""
      return [pool]
    }
  }

  /// What `body` makes of the node with its images turned to channels first and back.
  private static func channelsFirst(
    _ call: ComposedNode, rank: Int, _ rewriter: inout Rewriter,
    _ body: (ComposedNode, inout Rewriter) throws(StackLensError) -> [Node]
  ) throws(StackLensError) -> [Node] {
    guard rank >= 3, rank <= 5 else {
      throw .unsupported("\(call.node.opType) over images of rank \(rank)")
    }
    let last = Int64(rank - 1)
    let there = Attribute.ints([0, last] + Array(1..<last))
    let back = Attribute.ints([0] + Array(2...last) + [1])
    var nodes: [Node] = []
    var inner = call.node
    for index in [0, 3] where index < inner.inputs.count && !inner.inputs[index].isEmpty {
      let turned = rewriter.fresh("channels_first")
      nodes.append(
        Node(
          "Transpose", inputs: [inner.inputs[index]], outputs: [turned],
          attributes: ["perm": there]))
      inner.inputs[index] = turned
    }
    inner.outputs = [rewriter.fresh("channels_first")]
    nodes += try body(ComposedNode(node: inner, definition: call.definition), &rewriter)
    nodes.append(
      Node(
        "Transpose", inputs: inner.outputs, outputs: call.node.outputs,
        attributes: ["perm": back]))
    return nodes
  }
}
