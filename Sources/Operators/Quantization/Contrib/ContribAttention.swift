import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Self-attention with its projections from quantised input and weights: Attention of the same
  /// domain on the numbers that they stand for.
  ///
  /// Inputs: input [B, L, K], weights [K, 3 D], bias, scale of the input, scale or scales of the
  /// weights, mask, zero points of the input and the weights, past; all from the mask on optional.
  static let qAttention = OperatorDefinition(
    composing: "QAttention", domain: runtimeDomain, versions: [1], inputs: 5...9, outputs: 1...2,
    attributes: [
      .required("num_heads", .int), .float("mask_filter_value", default: -10000),
      .optional("scale", .float), .int("unidirectional", default: 0), .int("do_rotary", default: 0),
      .int("past_present_share_buffer", default: 0),
    ],
    samples: [
      Sample(
        [
          .bytes(2, 3, 6), .signedBytes(6, 24), .floats(24), .scale(), .scale(24), .absent, .zero(),
        ],
        ["num_heads": .int(2)]),
      Sample(
        [
          .bytes(1, 2, 6), .bytes(6, 24), .floats(24), .scale(), .scale(), .absent, .zero(),
          .zero(), .floats(2, 1, 2, 3, 4),
        ], ["num_heads": .int(2), "unidirectional": .int(1)], outputs: 2),
    ]
  ) { (node, opset, rewriter) throws(StackLensError) in
    guard let lift = OperatorTable.find("Attention", domain: runtimeDomain)?.lift else {
      throw .internalError("com.microsoft.Attention is missing")
    }
    var parts = Decomposition(node, opset)
    let x = parts.dequantized(
      parts.input(0), scale: parts.input(3), zero: parts.input(6), &rewriter)
    let weights = parts.apply(
      "DequantizeLinear", [parts.input(1), parts.input(4), parts.input(7)].withoutTrailingBlanks,
      ["axis": .int(1)], &rewriter)
    let inputs = [x, weights, parts.input(2), parts.input(5), parts.input(8)]
    let attention = Node(
      "Attention", inputs: inputs.withoutTrailingBlanks, outputs: node.outputs,
      attributes: node.attributes, name: node.name, domain: runtimeDomain)
    return try parts.nodes + lift(attention, 1, &rewriter)
  }
}
