import Base
import Graphs
import Tensors

extension OperatorTable {
  /// Operators that gradients are made of.
  static let gradients: [OperatorDefinition] = [
    .sumTo, .stopGradient, .seededDropout, .seededNoise, .activationGradient, .softmaxGradient,
    .attentionGradient, .linearAttentionGradient, .gatherGradient, .sliceGradient,
    .layerNormalizationGradient,
    .rmsNormalizationGradient, .batchNormalizationGradient, .groupNormalizationGradient,
  ]
}

extension OperatorDefinition {
  /// What is known of an operator whose result has the extents that an input lists.
  static func outline(extents index: Int) -> Outline {
    { (context) throws(StackLensError) in
      guard let type = try context.input(0).elementType else { return [] }
      var result = AbstractValue.elements(type)
      if let extents = context.value(index) { result = try .tensor(type, extents.integers()) }
      return [result] + context.node.outputs.dropFirst().map { _ in .elements(type) }
    }
  }

  /// The value itself, through which no gradient flows.
  static let stopGradient = OperatorDefinition(
    "StopGradient", domain: "ai.stacklens", versions: [1], inputs: 1...1,
    infer: { (context) throws(StackLensError) in [try context.input(0)] },
    execution: .pass,
    lower: { (node, _, _) throws(StackLensError) in
      [Node("Identity", inputs: node.inputs, outputs: node.outputs, name: node.name)]
    },
    gradient: .zero, samples: [Sample([.floats(2, 3)]), Sample([.floats(0)])])
}
