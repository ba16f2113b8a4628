import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Its input, or an optional without content. ONNX Optional-28.
  static let optional = OperatorDefinition(
    "Optional", versions: [15, 28], inputs: 0...1, attributes: [.optional("type", .type)],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      [context.hasInput(0) ? try context.value(0) : .none]
    },
    samples: [
      Sample([.floats(2)]),
      Sample([], ["type": .type(.tensor(.float32, nil))]),
    ])

  /// The content of an optional. ONNX OptionalGetElement-28.
  static let optionalGetElement = OperatorDefinition(
    "OptionalGetElement", versions: [15, 18, 28], inputs: 1...1,
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      let value = try context.value(0)
      if case .none = value { throw .invalidArgument("input 0 is an empty optional") }
      return [value]
    },
    samples: [Sample([.floats(2)]), Sample([.floats()])])

  /// Whether an optional has content. ONNX OptionalHasElement-28.
  static let optionalHasElement = OperatorDefinition(
    "OptionalHasElement", versions: [15, 18, 28], inputs: 0...1,
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      var isThere = false
      if context.hasInput(0) {
        if case .none = try context.value(0) {} else { isThere = true }
      }
      return [.tensor(try Tensor(scalar: isThere))]
    },
    lower: { (node, opset, _) throws(StackLensError) in
      guard opset >= 18 || node.inputs.first?.isEmpty == false else {
        throw .unsupported("OptionalHasElement without input needs opset 18, not \(opset)")
      }
      return [node]
    },
    samples: [Sample([.floats(2)]), Sample([])])
}
