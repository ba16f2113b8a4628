import Base
import Graphs
import Tensors

extension OperatorTable {
  /// Activations that ONNX Runtime's optimiser writes.
  static let contributedActivations: [OperatorDefinition] = [
    gelu("Gelu", inputs: 1...1), gelu("BiasGelu", inputs: 2...2),
    gelu("FastGelu", inputs: 1...2, approximate: "tanh"),
    .composed(
      "QuickGelu", domain: runtimeDomain, versions: [1], inputs: 1...1,
      attributes: [.float("alpha", default: 1.702)],
      samples: [Sample([.floats(2, 9)]), Sample([.floats(0)], ["alpha": .float(1)])]
    ) { (node, _) throws(StackLensError) in
      Decomposition(node.node, newestOpset).finish(
        "Swish", node.node.inputs, ["alpha": .float(try node.float("alpha"))])
    },
    .composed(
      "BiasAdd", domain: runtimeDomain, versions: [1], inputs: 3...3,
      samples: [
        Sample([.floats(2, 3, 8), .floats(8), .floats(2, 3, 8)]),
        Sample([.floats(0, 8), .floats(8), .floats(0, 8)]),
      ]
    ) { (node, rewriter) throws(StackLensError) in
      var nodes = Decomposition(node.node, newestOpset)
      let raised = nodes.apply("Add", Array(node.node.inputs[..<2]), &rewriter)
      return nodes.finish("Add", [raised, node.node.inputs[2]])
    },
    .composed(
      "BiasSplitGelu", domain: runtimeDomain, versions: [1], inputs: 2...2,
      samples: [
        Sample([.floats(2, 3, 8), .floats(8)]), Sample([.floats(0, 3, 8), .floats(8)]),
      ]
    ) { (node, rewriter) throws(StackLensError) in
      var nodes = Decomposition(node.node, newestOpset)
      let raised = nodes.apply("Add", node.node.inputs, &rewriter)
      let halves = nodes.split(raised, into: 2, axis: -1, &rewriter)
      let gate = nodes.apply("Gelu", [halves[1]], &rewriter)
      return nodes.finish("Mul", [halves[0], gate])
    },
  ]

  /// gelu(x + bias) with an optional bias along the last axis.
  private static func gelu(
    _ name: String, inputs: ClosedRange<Int>, approximate: String = "none"
  ) -> OperatorDefinition {
    var samples: [Sample] = []
    if inputs.contains(1) { samples += [Sample([.floats(2, 3, 8)]), Sample([.floats(0, 8)])] }
    if inputs.contains(2) {
      samples += [Sample([.floats(2, 3, 8), .floats(8)]), Sample([.floats(0, 8), .floats(8)])]
    }
    return .composed(name, domain: runtimeDomain, versions: [1], inputs: inputs, samples: samples) {
      (node, rewriter) throws(StackLensError) in
      var nodes = Decomposition(node.node, newestOpset)
      var x = try node.required(0, "x")
      if let bias = node.input(1) { x = nodes.apply("Add", [x, bias], &rewriter) }
      return nodes.finish("Gelu", [x], ["approximate": .string(approximate)])
    }
  }
}

/// The domain of the operators that ONNX Runtime contributes.
let runtimeDomain = "com.microsoft"

/// The opset whose forms the graph in memory has.
let newestOpset = 28
