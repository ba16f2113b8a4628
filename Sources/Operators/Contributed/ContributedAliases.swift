import Base
import Graphs
import Tensors

extension OperatorTable {
  /// Contributed operators that the standard has under another name or in another form.
  static let contributedAliases: [OperatorDefinition] = [
    .alias(
      "Trilu", inputs: 1...2, attributes: [.int("upper", default: 1)],
      samples: [Sample([.floats(2, 3, 4)]), Sample([.floats(4, 3), .ints([-1])])]),
    .alias(
      "GatherND", inputs: 2...2,
      samples: [
        Sample([.floats(2, 2), .indices([[0, 0], [1, 1]])]),
        Sample([.floats(2, 0), .indices([[1], [0]])]),
      ]),
    .alias(
      "Pad", inputs: 2...3, attributes: [.string("mode", default: "constant")],
      samples: [
        Sample([.floats(2, 3), .ints([0, 2, 1, 0])]),
        Sample([.floats(2, 3), .ints([0, 1, 0, 1])], ["mode": .string("edge")]),
      ]),
    .alias("ExpandDims", as: "Unsqueeze", inputs: 2...2, samples: expandSamples),
    .alias("SampleOp", as: "Identity", inputs: 1...1, samples: unarySamples),
    .alias(
      "TransposeMatMul", as: "FusedMatMul", domain: "com.microsoft", inputs: 2...2,
      attributes: [
        .float("alpha", default: 1), .int("transA", default: 0), .int("transB", default: 0),
      ],
      samples: [
        Sample([.floats(3, 4), .floats(5, 4)], ["transB": .int(1), "alpha": .float(0.5)]),
        Sample([.floats(0, 4), .floats(4, 2)]),
      ]),
    // Sparse matrices are dense here.
    .alias(
      "SparseToDenseMatMul", as: "FusedMatMul", domain: "com.microsoft", inputs: 2...2,
      attributes: [
        .float("alpha", default: 1), .int("transA", default: 0), .int("transB", default: 0),
      ],
      samples: [
        Sample([.floats(4, 3), .floats(4, 5)], ["transA": .int(1), "alpha": .float(2)]),
        Sample([.floats(0, 4), .floats(4, 2)]),
      ]),
    .contributedUnique, .contributedRange, .contributedGridSample, .rfft, .irfft,
    .matMulInteger16, .gatedAdd, .scaledSiLU, .convTransposeWithDynamicPads,
  ]

  private static let expandSamples: [Sample] = [
    Sample([.floats(2, 3), .ints([1])]), Sample([.floats(), .ints([-1])]),
  ]

  private static let unarySamples: [Sample] = [Sample([.floats(2, 3)]), Sample([.floats(0)])]
}

extension OperatorDefinition {
  /// An operator whose inputs, outputs and attributes are those of another one.
  fileprivate static func alias(
    _ name: String, as other: String? = nil, domain: String = "", inputs: ClosedRange<Int>,
    attributes: [AttributeSpec] = [], samples: [Sample]
  ) -> OperatorDefinition {
    composed(
      name, domain: "com.microsoft", inputs: inputs, attributes: attributes,
      samples: samples
    ) { (call, _) throws(StackLensError) in
      var node = call.node
      node.opType = other ?? name
      node.domain = domain
      return [node]
    }
  }

  /// The different elements of a vector in the order in which they come first.
  fileprivate static let contributedUnique = composed(
    "Unique", domain: "com.microsoft", inputs: 1...1, outputs: 1...3,
    samples: [Sample([.floats(5)], outputs: 3), Sample([.floats(0)])]
  ) { (call, _) throws(StackLensError) in
    let outputs = call.node.outputs
    func output(_ index: Int) -> String { index < outputs.count ? outputs[index] : "" }
    return [
      Node(
        "Unique", inputs: call.node.inputs, outputs: [output(0), "", output(1), output(2)],
        attributes: ["sorted": .int(0)], name: call.node.name)
    ]
  }

  /// A Range whose step may be left out.
  fileprivate static let contributedRange = composed(
    "Range", domain: "com.microsoft", inputs: 2...3,
    samples: [
      Sample([.ints([2]), .ints([9]), .ints([3])]), Sample([.number(1), .number(4)]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var parts = Decomposition(call.node, 28)
    let start = try call.required(0, "start")
    var step = call.input(2)
    if step == nil {
      let one = rewriter.constant(try Tensor(scalar: Int64(1)), "one")
      step = parts.apply("CastLike", [one, start], &rewriter)
    }
    return parts.finish("Range", [start, try call.required(1, "limit"), step ?? ""])
  }

  fileprivate static let contributedGridSample = composed(
    "GridSample", domain: "com.microsoft", inputs: 2...2,
    attributes: [
      .int("align_corners", default: 0), .string("mode", default: "bilinear"),
      .string("padding_mode", default: "zeros"),
    ],
    samples: [
      Sample([.floats(2, 3, 4, 5), .floats(2, 3, 2, 2)]),
      Sample([.floats(1, 2, 4, 5), .floats(1, 3, 3, 2)], ["mode": .string("bicubic")]),
    ]
  ) { (call, _) throws(StackLensError) in
    let modes = ["bilinear": "linear", "bicubic": "cubic"]
    let mode = try call.string("mode")
    var node = call.node
    node.domain = ""
    node.attributes["mode"] = .string(modes[mode] ?? mode)
    return [node]
  }

  private static let fourierAttributes: [AttributeSpec] = [
    .int("normalized", default: 0), .int("onesided", default: 1), .int("signal_ndim", default: 1),
  ]

  /// The one-sided spectrum of the last axis.
  fileprivate static let rfft = composed(
    "Rfft", domain: "com.microsoft", inputs: 1...1, attributes: fourierAttributes,
    samples: [Sample([.floats(2, 8)]), Sample([.floats(6)])]
  ) { (call, rewriter) throws(StackLensError) in
    try checkFourier(call)
    var parts = Decomposition(call.node, 28)
    let last = try rewriter.ints([-1], "last")
    let signal = parts.apply("Unsqueeze", [try call.required(0, "X"), last], &rewriter)
    return parts.finish("DFT", [signal], ["onesided": .int(1)])
  }

  /// The real signal of a one-sided spectrum.
  fileprivate static let irfft = composed(
    "Irfft", domain: "com.microsoft", inputs: 1...1, attributes: fourierAttributes,
    samples: [Sample([.floats(2, 5, 2)]), Sample([.floats(4, 2)])]
  ) { (call, rewriter) throws(StackLensError) in
    try checkFourier(call)
    var parts = Decomposition(call.node, 28)
    let last = try rewriter.ints([-1], "last")
    let signal = parts.apply(
      "DFT", [try call.required(0, "X")], ["inverse": .int(1), "onesided": .int(1)], &rewriter)
    return parts.finish("Squeeze", [signal, last])
  }

  private static func checkFourier(_ call: ComposedNode) throws(StackLensError) {
    guard try call.int("normalized") == 0, try call.int("onesided") == 1,
      try call.int("signal_ndim") == 1
    else {
      throw .unsupported(
        "\(call.node.opType) with normalized, two-sided or signals of several axes")
    }
  }

  /// A product of int16 matrices in int32.
  fileprivate static let matMulInteger16 = composed(
    "MatMulInteger16", domain: "com.microsoft", inputs: 2...2,
    samples: [
      Sample([
        .random(.int16, [3, 4], low: -9, high: 9), .random(.int16, [4, 2], low: -9, high: 9),
      ]),
      Sample([
        .random(.int16, [0, 4], low: -9, high: 9), .random(.int16, [4, 2], low: -9, high: 9),
      ]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var parts = Decomposition(call.node, 28)
    let target: [String: Attribute] = ["to": .int(Int64(ElementType.int32.rawValue))]
    let a = parts.apply("Cast", [try call.required(0, "A")], target, &rewriter)
    let b = parts.apply("Cast", [try call.required(1, "B")], target, &rewriter)
    return parts.finish("MatMul", [a, b])
  }

  /// X + Y gate.
  fileprivate static let gatedAdd = composed(
    "GatedAdd", domain: "com.microsoft", inputs: 3...3,
    samples: [
      Sample([.floats(2, 3, 4), .floats(2, 3, 4), .floats(2, 3, 1)]),
      Sample([.floats(0, 4), .floats(0, 4), .floats(0, 1)]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var parts = Decomposition(call.node, 28)
    let gated = parts.apply(
      "Mul", [try call.required(1, "Y"), try call.required(2, "gate")], &rewriter)
    return parts.finish("Add", [try call.required(0, "X"), gated])
  }

  /// z sigmoid(z) with z = scale x, every step rounded to the type of x.
  fileprivate static let scaledSiLU = composed(
    "ScaledSiLU", domain: "com.microsoft", inputs: 1...2,
    attributes: [.float("alpha", default: 1)],
    samples: [
      Sample([.floats(2, 5)], ["alpha": .float(1.5)]), Sample([.floats(0), .number(2)]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var parts = Decomposition(call.node, 28)
    let x = try call.required(0, "X")
    var scale = rewriter.constant(try Tensor(scalar: try call.float("alpha")), "alpha")
    if let given = call.input(1) { scale = given }
    let factor = parts.apply("CastLike", [scale, x], &rewriter)
    let z = parts.apply("Mul", [x, factor], &rewriter)
    let gate = parts.apply("Sigmoid", [z], &rewriter)
    return parts.finish("Mul", [z, gate])
  }

  /// A transposed convolution whose padding is only known while running: all of it is computed, and
  /// what the padding takes away is cut off.
  fileprivate static let convTransposeWithDynamicPads = composed(
    "ConvTransposeWithDynamicPads", domain: "com.microsoft", inputs: 2...4,
    attributes: convolutionAttributes.filter { $0.name != "pads" } + [
      .optional("output_padding", .ints)
    ],
    samples: [
      Sample([.floats(1, 2, 4, 4), .floats(2, 3, 3, 3), .ints([1, 0, 1, 1]), .floats(3)]),
      Sample([.floats(1, 2, 4, 4), .floats(2, 3, 3, 3)], ["strides": .ints([2, 2])]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var parts = Decomposition(call.node, 28)
    var inputs = [try call.required(0, "X"), try call.required(1, "W")]
    if let bias = call.input(3) { inputs.append(bias) }
    guard let pads = call.input(2) else {
      return parts.finish("ConvTranspose", inputs, call.node.attributes)
    }
    func scalar(_ value: Int64, _ hint: String) throws(StackLensError) -> String {
      rewriter.constant(try Tensor(scalar: value), hint)
    }
    let (one, two) = (try scalar(1, "one"), try scalar(2, "two"))
    let full = parts.apply("ConvTranspose", inputs, call.node.attributes, &rewriter)
    let half = parts.apply(
      "Div", [parts.apply("Size", [pads], &rewriter), two], &rewriter)
    let end = parts.apply("Add", [half, two], &rewriter)
    let axes = parts.apply("Range", [two, end, one], &rewriter)
    let cut = parts.apply("Neg", [pads], &rewriter)
    return parts.finish("Pad", [full, cut, "", axes])
  }
}
