import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// A · B where A is quantised on the way, with one scale and zero point for all of it, and B is
  /// quantised already.
  static let dynamicQuantizeMatMul = OperatorDefinition(
    composing: "DynamicQuantizeMatMul", domain: runtimeDomain, versions: [1], inputs: 3...5,
    samples: [
      Sample([.floats(2, 3, 4), .signedBytes(4, 5), .scale(5)]),
      Sample([.floats(3, 4), .bytes(4, 5), .scale(), .zero(), .floats(5)]),
    ]
  ) { (node, opset, rewriter) throws(StackLensError) in
    var parts = Decomposition(node, opset)
    let a = parts.apply("DynamicQuantizeLinear", [parts.input(0)], outputs: 3, &rewriter)
    _ = parts.scaledProduct(
      a: a[0], b: parts.input(1), aScale: a[1], bScale: parts.input(2), aZero: a[2],
      bZero: parts.input(3), bias: parts.input(4), &rewriter)
    parts.rename()
    return parts.nodes
  }

  /// The product of quantised A and B as numbers, plus a bias.
  static let matMulIntegerToFloat = OperatorDefinition(
    composing: "MatMulIntegerToFloat", domain: runtimeDomain, versions: [1], inputs: 4...7,
    samples: [
      Sample([.bytes(2, 3, 4), .signedBytes(4, 5), .scale(), .scale(5), .zero()]),
      Sample([.bytes(3, 4), .bytes(4, 5), .scale(1), .scale(), .absent, .zero(5), .floats(5)]),
      Sample([
        .signedBytes(3, 4), .signedBytes(4, 5), .random(.float16, [], low: 0.1, high: 0.2),
        .random(.float16, [5], low: 0.1, high: 0.2),
      ]),
    ]
  ) { (node, opset, rewriter) throws(StackLensError) in
    var parts = Decomposition(node, opset)
    let (aScale, bScale, bias) = (parts.input(2), parts.input(3), parts.input(6))
    let type = [aScale, bScale, bias].compactMap { rewriter.elementType(of: $0) }.first
    guard type == .float32 else {
      // Halves: their product may be too small for the type, so everything is done in float32.
      let wide = [aScale, bScale, bias].map {
        $0.isEmpty ? "" : parts.cast($0, to: .float32, &rewriter)
      }
      let product = parts.scaledProduct(
        a: parts.input(0), b: parts.input(1), aScale: wide[0], bScale: wide[1],
        aZero: parts.input(4), bZero: parts.input(5), bias: wide[2], &rewriter)
      return parts.finish("CastLike", [product, aScale])
    }
    _ = parts.scaledProduct(
      a: parts.input(0), b: parts.input(1), aScale: aScale, bScale: bScale,
      aZero: parts.input(4), bZero: parts.input(5), bias: bias, &rewriter)
    parts.rename()
    return parts.nodes
  }

  /// alpha A' B' + C of quantised matrices, quantised where a scale for the result is given.
  static let qGemm = OperatorDefinition(
    composing: "QGemm", domain: runtimeDomain, versions: [1], inputs: 6...9,
    attributes: [
      .int("transA", default: 0), .int("transB", default: 0), .float("alpha", default: 1),
    ],
    samples: [
      Sample(
        [
          .bytes(3, 4), .scale(), .zero(), .signedBytes(5, 4), .scale(5), .signedZero(5),
          .random(.int32, [5], low: -999, high: 999), .scale(), .zero(),
        ], ["transB": .int(1)]),
      Sample(
        [.bytes(4, 3), .scale(), .zero(), .signedBytes(4, 5), .scale(), .signedZero()],
        ["transA": .int(1), "alpha": .float(0.5)]),
    ]
  ) { (node, opset, rewriter) throws(StackLensError) in
    var parts = Decomposition(node, opset)
    func matrix(_ index: Int, _ attribute: String) -> String {
      guard case .int(let flag)? = node.attributes[attribute], flag != 0 else {
        return parts.input(index)
      }
      return parts.apply("Transpose", [parts.input(index)], ["perm": .ints([1, 0])], &rewriter)
    }
    let factors = [
      matrix(0, "transA"), matrix(3, "transB"), parts.input(2), parts.input(5),
    ].withoutTrailingBlanks
    var sums = parts.apply("MatMulInteger", factors, &rewriter)
    if !parts.input(6).isEmpty { sums = parts.apply("Add", [sums, parts.input(6)], &rewriter) }
    var scale = parts.apply("Mul", [parts.input(1), parts.input(4)], &rewriter)
    if case .float(let alpha)? = node.attributes["alpha"], alpha != 1 {
      let factor = rewriter.constant(try Tensor(scalar: alpha), "alpha")
      scale = parts.apply("Mul", [scale, factor], &rewriter)
    }
    sums = parts.cast(sums, to: .float32, &rewriter)
    guard !parts.input(7).isEmpty else { return parts.finish("Mul", [sums, scale]) }
    let product = parts.apply("Mul", [sums, scale], &rewriter)
    _ = try parts.quantized(
      product, scale: parts.input(7), zero: parts.input(8), like: parts.input(0), &rewriter)
    parts.rename()
    return parts.nodes
  }

  /// A long short-term memory whose weights are quantised: [directions, inputs, 4 hidden], with a
  /// scale for each direction or for each of its columns.
  static let dynamicQuantizeLSTM = OperatorDefinition(
    composing: "DynamicQuantizeLSTM", domain: runtimeDomain, versions: [1], inputs: 12...12,
    outputs: 0...3,
    attributes: [
      .optional("activation_alpha", .floats), .optional("activation_beta", .floats),
      .optional("activations", .strings), .optional("clip", .float),
      .string("direction", default: "forward"), .optional("hidden_size", .int),
      .int("input_forget", default: 0),
    ],
    samples: [
      Sample(
        [
          .floats(4, 2, 3), .signedBytes(1, 3, 8), .signedBytes(1, 2, 8), .floats(1, 16), .absent,
          .absent, .absent, .absent, .scale(1), .signedZero(1), .scale(1, 8), .signedZero(1, 8),
        ], ["hidden_size": .int(2)], outputs: 3)
    ]
  ) { (node, opset, rewriter) throws(StackLensError) in
    var parts = Decomposition(node, opset)
    let columns = try rewriter.ints([0, 1, -1], "columns")
    func weights(_ w: Int, _ scale: Int) -> String {
      let scales = parts.apply("Reshape", [parts.input(scale), columns], &rewriter)
      var numbers = parts.cast(parts.input(w), to: .float32, &rewriter)
      if !parts.input(scale + 1).isEmpty {
        let zeros = parts.apply("Reshape", [parts.input(scale + 1), columns], &rewriter)
        numbers = parts.apply(
          "Sub", [numbers, parts.cast(zeros, to: .float32, &rewriter)], &rewriter)
      }
      numbers = parts.apply("Mul", [numbers, scales], &rewriter)
      return parts.apply("Transpose", [numbers], ["perm": .ints([0, 2, 1])], &rewriter)
    }
    let (w, r) = (weights(1, 8), weights(2, 10))
    let inputs = [parts.input(0), w, r] + (3...7).map { parts.input($0) }
    parts.nodes.append(
      Node(
        "LSTM", inputs: inputs.withoutTrailingBlanks, outputs: node.outputs,
        attributes: node.attributes, name: node.name))
    return parts.nodes
  }
}
