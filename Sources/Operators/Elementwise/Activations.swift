import Base
import Graphs
import Tensors

extension OperatorTable {
  /// Activation functions; parameters are attributes of the node.
  static let activations: [OperatorDefinition] = [
    .unary(
      "Relu", [1, 6, 13, 14], on: ElementType.reals + [.int8, .int16, .int32, .int64]
    ) { (_) throws(StackLensError) in UnaryFunction(.relu) },
    .unary(
      "LeakyRelu", [1, 6, 16], attributes: [.float("alpha", default: 0.01)],
      sampleAttributes: ["alpha": .float(0.3)]
    ) { (node) throws(StackLensError) in
      UnaryFunction(.leakyRelu, Double(try node.float("alpha")))
    },
    .unary(
      "Elu", [1, 6, 22], attributes: [.float("alpha", default: 1)],
      sampleAttributes: ["alpha": .float(0.7)]
    ) { (node) throws(StackLensError) in
      UnaryFunction(.elu, Double(try node.float("alpha")))
    },
    .unary(
      "Selu", [1, 6, 22],
      attributes: [.float("gamma", default: 1.0507010), .float("alpha", default: 1.6732632)],
      lift: { (node, opset, rewriter) throws(StackLensError) in
        guard
          let node = try liftDefault(before: 6, "gamma", .float(1.0507))(
            node, opset, &rewriter
          ).first
        else { return [] }
        return try liftDefault(before: 6, "alpha", .float(1.6732))(node, opset, &rewriter)
      },
      sampleAttributes: ["alpha": .float(2), "gamma": .float(3)]
    ) { (node) throws(StackLensError) in
      UnaryFunction(.selu, Double(try node.float("alpha")), Double(try node.float("gamma")))
    },
    .unary(
      "Celu", [12, 28], attributes: [.float("alpha", default: 1)], lower: lowerCelu,
      sampleAttributes: ["alpha": .float(2)]
    ) { (node) throws(StackLensError) in
      UnaryFunction(.celu, Double(try node.float("alpha")))
    },
    .unary(
      "HardSigmoid", [1, 6, 22],
      attributes: [.float("alpha", default: 0.2), .float("beta", default: 0.5)],
      samples: -4...4, sampleAttributes: ["alpha": .float(0.5), "beta": .float(0.6)]
    ) { (node) throws(StackLensError) in
      UnaryFunction(.hardSigmoid, Double(try node.float("alpha")), Double(try node.float("beta")))
    },
    .unary(
      "ThresholdedRelu", [1, 10, 22], attributes: [.float("alpha", default: 1)], samples: -3...3,
      lower: lowerThresholdedRelu,
      sampleAttributes: ["alpha": .float(2)]
    ) { (node) throws(StackLensError) in
      UnaryFunction(.thresholdedRelu, Double(try node.float("alpha")))
    },
    .unary(
      "Swish", [24], attributes: [.float("alpha", default: 1)], samples: -9...9,
      lower: lowerSwish, sampleAttributes: ["alpha": .float(1.5)]
    ) { (node) throws(StackLensError) in
      UnaryFunction(.swish, Double(try node.float("alpha")))
    },
    .unary(
      "Gelu", [20], attributes: [.string("approximate", default: "none")], samples: -6...6,
      lower: lowerGelu, sampleAttributes: ["approximate": .string("tanh")]
    ) { (node) throws(StackLensError) in
      switch try node.string("approximate") {
      case "none": return UnaryFunction(.geluErf)
      case "tanh": return UnaryFunction(.geluTanh)
      case let name:
        throw .invalidArgument("attribute 'approximate' is '\(name)', expected none or tanh")
      }
    },
    .unary(
      "Shrink", [9], on: ElementType.numbers,
      attributes: [.float("bias", default: 0), .float("lambd", default: 0.5)], samples: -3...3,
      sampleAttributes: ["bias": .float(0.5), "lambd": .float(1.5)]
    ) { (node) throws(StackLensError) in
      UnaryFunction(.shrink, Double(try node.float("bias")), Double(try node.float("lambd")))
    },
    .unary("Sigmoid", [1, 6, 13], samples: -20...20) { (_) throws(StackLensError) in
      UnaryFunction(.sigmoid)
    },
    .unary("HardSwish", [14, 22], samples: -5...5, lower: lowerHardSwish) {
      (_) throws(StackLensError) in UnaryFunction(.hardSwish)
    },
    .unary("Mish", [18, 22], samples: -9...9, lower: lowerMish) { (_) throws(StackLensError) in
      UnaryFunction(.mish)
    },
    .unary("Softplus", [1, 22], samples: -20...20) { (_) throws(StackLensError) in
      UnaryFunction(.softplus)
    },
    .unary("Softsign", [1, 22], samples: -9...9) { (_) throws(StackLensError) in
      UnaryFunction(.softsign)
    },
    .unary("Tanh", [1, 6, 13], samples: -9...9) { (_) throws(StackLensError) in
      UnaryFunction(.tanh)
    },
  ]

  private static func alpha(_ node: Node) -> Double {
    if case .float(let value)? = node.attributes["alpha"] { Double(value) } else { 1 }
  }

  /// x where it is greater than alpha. What opset 1 had under the name was an experiment.
  private static func lowerThresholdedRelu(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    guard opset < 10 else { return [node] }
    guard opset >= 9, let type = rewriter.elementType(of: node.inputs[0]) else {
      throw .unsupported("ThresholdedRelu needs opset 10, not \(opset)")
    }
    var old = Decomposition(node, opset)
    let limit = try old.scalar(alpha(node), &rewriter)
    let isAbove = old.apply("Greater", [node.inputs[0], limit], &rewriter)
    let zero = rewriter.constant(try Tensor(zeros: type, .scalar), "zero")
    return old.finish("Where", [isAbove, node.inputs[0], zero])
  }

  /// alpha elu(x / alpha).
  private static func lowerCelu(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    guard opset < 12 else { return [node] }
    var old = Decomposition(node, opset)
    let factor = try old.scalar(alpha(node), &rewriter)
    let inner = old.apply("Div", [node.inputs[0], factor], &rewriter)
    let curve = old.apply("Elu", [inner], &rewriter)
    return old.finish("Mul", [curve, factor])
  }

  /// x sigmoid(alpha x) in older operators.
  private static func lowerSwish(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    guard opset < 24 else { return [node] }
    var alpha: Float = 1
    if case .float(let value)? = node.attributes["alpha"] { alpha = value }
    var old = Decomposition(node, opset)
    let x = node.inputs[0]
    let scaled =
      alpha == 1 ? x : try old.apply("Mul", [x, old.scalar(Double(alpha), &rewriter)], &rewriter)
    let gate = old.apply("Sigmoid", [scaled], &rewriter)
    return old.finish("Mul", [x, gate])
  }

  /// x Phi(x), or its tanh approximation, in older operators.
  private static func lowerGelu(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    guard opset < 20 else { return [node] }
    var isTanh = false
    if case .string("tanh")? = node.attributes["approximate"] { isTanh = true }
    var old = Decomposition(node, opset)
    let x = node.inputs[0]
    var inner: String
    if isTanh {
      let square = old.apply("Mul", [x, x], &rewriter)
      let cube = old.apply("Mul", [square, x], &rewriter)
      let small = try old.apply("Mul", [cube, old.scalar(0.044715, &rewriter)], &rewriter)
      let sum = old.apply("Add", [x, small], &rewriter)
      inner = try old.apply(
        "Mul", [sum, old.scalar((2 / Double.pi).squareRoot(), &rewriter)], &rewriter)
      inner = old.apply("Tanh", [inner], &rewriter)
    } else {
      inner = try old.apply("Div", [x, old.scalar(2.0.squareRoot(), &rewriter)], &rewriter)
      inner = old.apply("Erf", [inner], &rewriter)
    }
    let raised = try old.apply("Add", [inner, old.scalar(1, &rewriter)], &rewriter)
    let product = old.apply("Mul", [x, raised], &rewriter)
    // Before `finish` takes the nodes: the scalar may be one of them.
    let half = try old.scalar(0.5, &rewriter)
    return old.finish("Mul", [product, half])
  }

  private static func lowerHardSwish(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    guard opset < 14 else { return [node] }
    var old = Decomposition(node, opset)
    if rewriter.elementType(of: node.inputs[0]) == .float64 {
      // An attribute holds 1/6 as float32, too coarse for doubles.
      guard opset >= 8 else {
        throw .unsupported("HardSwish of float64 needs opset 8, not \(opset)")
      }
      let moved = try old.apply(
        "Add", [node.inputs[0], old.scalar(3, &rewriter)], &rewriter)
      let raised = try old.apply("Max", [moved, old.scalar(0, &rewriter)], &rewriter)
      let gate = try old.apply("Min", [raised, old.scalar(6, &rewriter)], &rewriter)
      let product = old.apply("Mul", [node.inputs[0], gate], &rewriter)
      let six = try old.scalar(6, &rewriter)
      return old.finish("Div", [product, six])
    }
    let gate = old.apply(
      "HardSigmoid", [node.inputs[0]], ["alpha": .float(1.0 / 6), "beta": .float(0.5)], &rewriter)
    return old.finish("Mul", [node.inputs[0], gate])
  }

  private static func lowerMish(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    guard opset < 18 else { return [node] }
    var old = Decomposition(node, opset)
    let softplus = old.apply("Softplus", [node.inputs[0]], &rewriter)
    let gate = old.apply("Tanh", [softplus], &rewriter)
    return old.finish("Mul", [node.inputs[0], gate])
  }
}
