import Base
import Graphs
import Tensors

extension OperatorDefinition {
  static let contribQuantizeLinear = renamed(
    "QuantizeLinear", samples: [Sample([.floats(2, 3), .scale(), .zero()])])

  static let contribDequantizeLinear = renamed(
    "DequantizeLinear", samples: [Sample([.bytes(2, 3), .scale(3), .zero(3)])])

  /// An operator that the standard took over as it was.
  private static func renamed(_ name: String, samples: [Sample]) -> OperatorDefinition {
    OperatorDefinition(
      composing: name, domain: runtimeDomain, versions: [1], inputs: 2...3,
      attributes: [.optional("axis", .int)],
      samples: samples
    ) { (node, opset, rewriter) throws(StackLensError) in
      var node = node
      node.domain = ""
      return [node]
    }
  }

  static let qLinearSigmoid = quantizedUnary("QLinearSigmoid", "Sigmoid")
  static let qLinearLeakyRelu = quantizedUnary(
    "QLinearLeakyRelu", "LeakyRelu", [.float("alpha", default: 0.01)])

  /// f of quantised values, quantised.
  private static func quantizedUnary(
    _ name: String, _ operation: String, _ attributes: [AttributeSpec] = []
  ) -> OperatorDefinition {
    OperatorDefinition(
      composing: name, domain: runtimeDomain, versions: [1], inputs: 4...5, attributes: attributes,
      samples: [
        Sample([.bytes(2, 3), .scale(), .zero(), .scale(), .zero()]),
        Sample([.signedBytes(2, 0), .scale(), .absent, .scale()]),
      ]
    ) { (node, opset, rewriter) throws(StackLensError) in
      try requantized(node, opset, &rewriter) { (parts, x, rewriter) in
        parts.apply(operation, [x], node.attributes, &rewriter)
      }
    }
  }

  /// Softmax of quantised values, quantised. `opset` says whose Softmax is meant: before 13 all axes
  /// from `axis` on count as one. How many steps make 1 is a whole number, the steps that fit: files
  /// that hold this operator were calibrated for a runtime that counts so.
  static let qLinearSoftmax = OperatorDefinition(
    composing: "QLinearSoftmax", domain: runtimeDomain, versions: [1], inputs: 5...5,
    attributes: [.optional("axis", .int), .required("opset", .int)],
    samples: [
      Sample(
        [.bytes(2, 3, 4), .scale(), .zero(), .scale(), .zero()],
        ["opset": .int(13), "axis": .int(1)]),
      Sample(
        [.signedBytes(2, 3, 4), .scale(), .absent, .scale(), .signedZero()], ["opset": .int(12)]),
    ]
  ) { (node, opset, rewriter) throws(StackLensError) in
    guard case .int(let version)? = node.attributes["opset"] else {
      throw .invalidArgument("attribute 'opset' (int) is missing")
    }
    var axis = Attribute.int(version < 13 ? 1 : -1)
    if let given = node.attributes["axis"] { axis = given }
    return try requantized(
      node, opset, &rewriter,
      scale: { (parts, scale, rewriter) in
        let steps = parts.apply("Reciprocal", [scale], &rewriter)
        return parts.apply(
          "Reciprocal", [parts.apply("Floor", [steps], &rewriter)], &rewriter)
      },
      body: { (parts, x, rewriter) in
        if version >= 13 { return parts.apply("Softmax", [x], ["axis": axis], &rewriter) }
        let flat = parts.apply("Flatten", [x], ["axis": axis], &rewriter)
        let weights = parts.apply("Softmax", [flat], ["axis": .int(-1)], &rewriter)
        return parts.apply("Reshape", [weights, parts.apply("Shape", [x], &rewriter)], &rewriter)
      })
  }

  /// The mean over axes of quantised values, quantised.
  static let qLinearReduceMean = OperatorDefinition(
    composing: "QLinearReduceMean", domain: runtimeDomain, versions: [1], inputs: 4...5,
    attributes: [.required("axes", .ints), .required("keepdims", .int)],
    samples: [
      Sample(
        [.bytes(2, 3, 4), .scale(), .zero(), .scale(), .zero()],
        ["axes": .ints([1, -1]), "keepdims": .int(1)]),
      Sample(
        [.signedBytes(2, 3), .scale(), .absent, .scale()],
        ["axes": .ints([0]), "keepdims": .int(0)]),
    ]
  ) { (node, opset, rewriter) throws(StackLensError) in
    guard case .ints(let axes)? = node.attributes["axes"] else {
      throw .invalidArgument("attribute 'axes' (ints) is missing")
    }
    let constant = try rewriter.ints(axes, "axes")
    return try requantized(node, opset, &rewriter) { (parts, x, rewriter) in
      parts.apply(
        "ReduceMean", [x, constant], node.attributes.filter { $0.key == "keepdims" }, &rewriter)
    }
  }

  /// Inputs x, x scale, x zero point, y scale, y zero point, around the same on numbers.
  /// - Parameter scale: what the scale of y becomes.
  private static func requantized(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter,
    scale: (inout Decomposition, _ scale: String, inout Rewriter) -> String = { (_, scale, _) in
      scale
    },
    body: (inout Decomposition, _ x: String, inout Rewriter) -> String
  ) throws(StackLensError) -> [Node] {
    var parts = Decomposition(node, opset)
    let x = parts.dequantized(
      parts.input(0), scale: parts.input(1), zero: parts.input(2), &rewriter)
    let y = body(&parts, x, &rewriter)
    let step = scale(&parts, parts.input(3), &rewriter)
    _ = try parts.quantized(
      y, scale: step, zero: parts.input(4), like: parts.input(0), &rewriter)
    parts.rename()
    return parts.nodes
  }

  /// Joins quantised tensors, each brought to the scale and zero point of the result first. Inputs: y scale,
  /// y zero point, then a tensor with its scale and zero point at a time.
  static let qLinearConcat = OperatorDefinition(
    composing: "QLinearConcat", domain: runtimeDomain, versions: [1], inputs: 5...Int(Int32.max),
    attributes: [.required("axis", .int)],
    samples: [
      Sample(
        [.scale(), .zero(), .bytes(2, 3), .scale(), .zero(), .bytes(2, 2), .scale(), .zero()],
        ["axis": .int(1)]),
      Sample([.scale(), .zero(), .bytes(2, 3), .scale(), .zero()], ["axis": .int(-2)]),
    ]
  ) { (node, opset, rewriter) throws(StackLensError) in
    guard (node.inputs.count - 2) % 3 == 0 else {
      throw .invalidArgument(
        "\(node.inputs.count) inputs, expected two and three for each tensor to join")
    }
    var parts = Decomposition(node, opset)
    var joined: [String] = []
    for index in stride(from: 2, to: node.inputs.count, by: 3) {
      let x = parts.dequantized(
        parts.input(index), scale: parts.input(index + 1), zero: parts.input(index + 2), &rewriter)
      try joined.append(
        parts.quantized(
          x, scale: parts.input(0), zero: parts.input(1), like: parts.input(index), &rewriter))
    }
    return parts.finish("Concat", joined, node.attributes)
  }

  /// x where the condition holds, else y, of quantised tensors, both brought to the scale and zero
  /// point of the result.
  static let qLinearWhere = OperatorDefinition(
    composing: "QLinearWhere", domain: runtimeDomain, versions: [1], inputs: 9...9,
    samples: [
      Sample([
        .random(.bool, [2, 3], low: 0, high: 2), .bytes(2, 3), .scale(), .zero(), .bytes(3),
        .scale(), .zero(), .scale(), .zero(),
      ]),
      Sample([
        .random(.bool, [], low: 0, high: 2), .signedBytes(0), .scale(), .signedZero(),
        .signedBytes(1), .scale(), .signedZero(), .scale(), .signedZero(),
      ]),
    ]
  ) { (node, opset, rewriter) throws(StackLensError) in
    var parts = Decomposition(node, opset)
    var sides: [String] = []
    for index in [1, 4] {
      let x = parts.dequantized(
        parts.input(index), scale: parts.input(index + 1), zero: parts.input(index + 2), &rewriter)
      try sides.append(
        parts.quantized(
          x, scale: parts.input(7), zero: parts.input(8), like: parts.input(index), &rewriter))
    }
    return parts.finish("Where", [parts.input(0), sides[0], sides[1]])
  }

  /// QLinearConv of the standard, with the channels last if `channels_last` says so.
  static let contribQLinearConv = OperatorDefinition(
    composing: "QLinearConv", domain: runtimeDomain, versions: [1], inputs: 8...9,
    attributes: convolutionAttributes + [.int("channels_last", default: 0)],
    samples: [
      Sample(
        [
          .bytes(1, 5, 5, 2), .scale(), .zero(), .signedBytes(3, 2, 3, 3), .scale(3),
          .signedZero(3), .scale(), .zero(),
        ], ["channels_last": .int(1)])
    ]
  ) { (node, opset, rewriter) throws(StackLensError) in
    var parts = Decomposition(node, opset)
    var attributes = node.attributes
    attributes["channels_last"] = nil
    guard case .int(let flag)? = node.attributes["channels_last"], flag != 0 else {
      return parts.finish("QLinearConv", node.inputs, attributes)
    }
    guard let rank = rewriter.value(of: parts.input(3))?.rank, rank >= 3 else {
      throw .unsupported("QLinearConv with channels_last and weights that are not constant")
    }
    let inner = (2..<Int64(rank)).map { $0 }
    let first: [Int64] = [0, Int64(rank) - 1] + inner.map { $0 - 1 }
    let last: [Int64] = [0] + inner + [1]
    var inputs = node.inputs
    inputs[0] = parts.apply("Transpose", [inputs[0]], ["perm": .ints(first)], &rewriter)
    let y = parts.apply("QLinearConv", inputs, attributes, &rewriter)
    return parts.finish("Transpose", [y], ["perm": .ints(last)])
  }

  /// The embedding layer of an encoder with quantised tables: the sum of the rows for the words,
  /// their places and their segments, normalised; and how many words each text has.
  static let qEmbedLayerNormalization = OperatorDefinition(
    composing: "QEmbedLayerNormalization", domain: runtimeDomain, versions: [1], inputs: 18...18,
    outputs: 1...2,
    attributes: [.float("epsilon", default: 1e-12)],
    samples: [
      Sample(
        [
          .random(.int32, [2, 3], low: 0, high: 9), .random(.int32, [2, 3], low: 0, high: 2),
          .bytes(9, 4), .bytes(5, 4), .bytes(2, 4), .bytes(4), .bytes(4),
          .random(.int32, [2, 3], low: 0, high: 2), .scale(), .scale(), .scale(), .scale(),
          .scale(), .zero(), .zero(), .zero(), .zero(), .zero(),
        ], outputs: 2)
    ]
  ) { (node, opset, rewriter) throws(StackLensError) in
    var parts = Decomposition(node, opset)
    let (ids, segments, mask) = (parts.input(0), parts.input(1), parts.input(7))
    func numbers(_ x: String, scale: Int) -> String {
      parts.dequantized(x, scale: parts.input(scale), zero: parts.input(scale + 5), &rewriter)
    }
    let words = parts.apply("Gather", [parts.input(2), ids], &rewriter)
    let length = parts.apply(
      "Shape", [ids], ["start": .int(1), "end": .int(2)], &rewriter)
    let zero = try rewriter.ints([0], "start")
    let places = parts.apply("Slice", [parts.input(3), zero, length, zero], &rewriter)
    var sum = parts.apply("Add", [numbers(words, scale: 8), numbers(places, scale: 9)], &rewriter)
    if !segments.isEmpty {
      let rows = parts.apply("Gather", [parts.input(4), segments], &rewriter)
      sum = parts.apply("Add", [sum, numbers(rows, scale: 10)], &rewriter)
    }
    let (gamma, beta) = (
      numbers(parts.input(5), scale: 11), numbers(parts.input(6), scale: 12)
    )
    var epsilon = Attribute.float(1e-12)
    if let given = node.attributes["epsilon"] { epsilon = given }
    parts.output(
      0, "LayerNormalization", [sum, gamma, beta], ["axis": .int(-1), "epsilon": epsilon])
    if node.outputs.count > 1, !node.outputs[1].isEmpty {
      let one = try rewriter.ints([1], "axes")
      let counted =
        mask.isEmpty
        ? parts.apply("Sub", [ids, ids], &rewriter)
        : parts.cast(
          parts.apply(
            "Equal", [mask, rewriter.constant(try Tensor(scalar: Int32(1)), "one")], &rewriter),
          to: .int32, &rewriter)
      parts.output(1, "ReduceSum", [counted, one], ["keepdims": .int(0)])
    }
    return parts.nodes
  }
}
