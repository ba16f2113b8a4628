import Base
import Graphs
import Tensors

extension OperatorTable {
  /// Contributed gates, and others that a few operators make up.
  static let contributedGates: [OperatorDefinition] = [
    .gatedRMSNorm, .linearAttentionGate, .isAllFinite, .torchEmbedding,
  ]
}

extension OperatorDefinition {
  private static let float32: [String: Attribute] = [
    "to": .int(Int64(ElementType.float32.rawValue))
  ]

  /// The root-mean-square normalisation of every group of `scale`'s length along the last axis, times
  /// an activation of the gate; computed in float32.
  fileprivate static let gatedRMSNorm = composed(
    "GatedRMSNorm", domain: "com.microsoft", inputs: 3...3,
    attributes: [.string("activation", default: "silu"), .float("epsilon", default: 1e-5)],
    samples: [
      Sample([.floats(2, 3, 8), .floats(4), .floats(2, 3, 8)]),
      Sample([.floats(2, 4), .floats(4), .floats(2, 4)], ["activation": .string("sigmoid")]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    let activations = ["silu": "Swish", "swish": "Swish", "sigmoid": "Sigmoid"]
    let name = try call.string("activation")
    guard let activation = activations[name] else {
      throw .invalidArgument("attribute 'activation' is '\(name)', expected silu, swish or sigmoid")
    }
    var parts = Decomposition(call.node, .max)
    let (x, scale) = (try call.required(0, "X"), try call.required(1, "scale"))
    let wide = parts.apply("Cast", [x], float32, &rewriter)
    let length = parts.apply("Shape", [scale], &rewriter)
    let rows = parts.apply(
      "Concat", [try rewriter.ints([-1], "rows"), length], ["axis": .int(0)], &rewriter)
    let grouped = parts.apply("Reshape", [wide, rows], &rewriter)
    let wideScale = parts.apply("Cast", [scale], float32, &rewriter)
    let normal = parts.apply(
      "RMSNormalization", [grouped, wideScale], ["epsilon": .float(try call.float("epsilon"))],
      &rewriter)
    let shape = parts.apply("Shape", [x], &rewriter)
    let back = parts.apply("Reshape", [normal, shape], &rewriter)
    let wideGate = parts.apply("Cast", [try call.required(2, "gate")], float32, &rewriter)
    let gate = parts.apply(activation, [wideGate], &rewriter)
    let product = parts.apply("Mul", [back, gate], &rewriter)
    return parts.finish("CastLike", [product, x])
  }

  /// scale softplus(a + bias) and sigmoid(b), computed in float32.
  fileprivate static let linearAttentionGate = composed(
    "LinearAttentionGate", domain: "com.microsoft", inputs: 3...4, outputs: 1...2,
    samples: [
      Sample([.floats(2, 3, 4), .floats(4), .floats(4), .floats(2, 3, 4)], outputs: 2),
      Sample([.floats(1, 2, 3), .floats(3), .floats(3)]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var parts = Decomposition(call.node, .max)
    let a = try call.required(0, "a")
    if call.makes(1) { parts.output(1, "Sigmoid", [try call.required(3, "b")]) }
    let wide = parts.apply("Cast", [a], float32, &rewriter)
    let sum = parts.apply("Add", [wide, try call.required(1, "dt_bias")], &rewriter)
    let soft = parts.apply("Softplus", [sum], &rewriter)
    let decay = parts.apply("Mul", [soft, try call.required(2, "decay_scale")], &rewriter)
    return parts.finish("CastLike", [decay, a])
  }

  /// Whether no element of any input is NaN or infinite.
  fileprivate static let isAllFinite = composed(
    "IsAllFinite", domain: "com.microsoft", inputs: 1...(.max),
    attributes: [.int("isinf_only", default: 0), .int("isnan_only", default: 0)],
    samples: [Sample([.floats(2, 3), .floats()]), Sample([.floats(0)])]
  ) { (call, rewriter) throws(StackLensError) in
    var tests: [String] = []
    if try !call.flag("isinf_only") { tests.append("IsNaN") }
    if try !call.flag("isnan_only") { tests.append("IsInf") }
    guard !tests.isEmpty else {
      throw .invalidArgument("attributes 'isinf_only' and 'isnan_only' exclude each other")
    }
    var parts = Decomposition(call.node, .max)
    var found: String?
    for index in call.node.inputs.indices {
      for test in tests {
        let marks = parts.apply(test, [try call.required(index, "input")], &rewriter)
        let any = parts.apply("ReduceMax", [marks], ["keepdims": .int(0)], &rewriter)
        if let before = found {
          found = parts.apply("Or", [before, any], &rewriter)
        } else {
          found = any
        }
      }
    }
    return parts.finish("Not", [found ?? ""])
  }

  /// Rows of a table; how gradients are scaled says nothing here.
  fileprivate static let torchEmbedding = composed(
    "TorchEmbedding", domain: "com.microsoft", inputs: 2...4,
    samples: [
      Sample([.floats(5, 3), .indices([[0, 4], [2, 2]])]), Sample([.floats(5, 3), .ints([])]),
    ]
  ) { (call, _) throws(StackLensError) in
    var node = call.node
    node.opType = "Gather"
    node.domain = ""
    node.inputs = Array(node.inputs.prefix(2))
    return [node]
  }
}
