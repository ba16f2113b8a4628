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
    outline: { (context) throws(StackLensError) in
      guard !context.hasInput(0) else { return [.optional(try context.input(0))] }
      guard case .type(let type)? = context.node.attributes["type"] else {
        return [.optional(.unknown)]
      }
      return [.optional(context.declared(type, "content"))]
    },
    gradient: .identity,
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
    outline: { (context) throws(StackLensError) in
      let input = try context.input(0)
      guard case .optional(let content) = input else { return [input] }
      return [content]
    },
    lower: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 18, rewriter.type(of: node.inputs[0]).hasContent else { return [node] }
      return Decomposition(node, opset).finish("Identity", node.inputs)
    },
    gradient: .identity, samples: [Sample([.floats(2)]), Sample([.floats()])])

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
    outline: { (_) throws(StackLensError) in [try .tensor(.bool, [])] },
    lower: { (node, opset, rewriter) throws(StackLensError) in
      // Before opset 18 the input was there, and an optional.
      let input = node.inputs.first ?? ""
      guard opset < 18, input.isEmpty || rewriter.type(of: input).hasContent else { return [node] }
      let answer = rewriter.constant(try Tensor(scalar: !input.isEmpty), "has")
      return Decomposition(node, opset).finish("Identity", [answer])
    },
    gradient: .zero, samples: [Sample([.floats(2)]), Sample([])])
}

extension ValueType {
  /// Whether values of the type are never empty.
  fileprivate var hasContent: Bool {
    switch self {
    case .tensor, .sequence, .map: true
    case .optional, .unknown: false
    }
  }
}
