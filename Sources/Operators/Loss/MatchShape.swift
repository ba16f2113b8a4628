import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Input 0 in the shape of input 1; the two may differ by extents of 1 and in nothing else. What
  /// losses compare is never broadcast by mistake.
  static let matchShape = OperatorDefinition(
    "MatchShape", domain: "ai.stacklens", versions: [1], inputs: 2...2,
    infer: { (context) throws(StackLensError) in
      let (input, like) = (try context.input(0), try context.input(1))
      guard input.shape.dims.filter({ $0 != 1 }) == like.shape.dims.filter({ $0 != 1 }) else {
        throw .shapeMismatch("target has shape \(input.shape), expected \(like.shape)")
      }
      return [TensorType(input.elementType, like.shape)]
    },
    execution: .view,
    lower: { (node, _, rewriter) throws(StackLensError) in
      let shape = rewriter.fresh("shape")
      return [
        Node("Shape", inputs: [node.inputs[1]], outputs: [shape]),
        Node(
          "Reshape", inputs: [node.inputs[0], shape], outputs: node.outputs,
          attributes: ["allowzero": .int(1)], name: node.name),
      ]
    },
    gradient: GradientRule(inputs: 1) { (scope) throws(StackLensError) in
      let (g, x) = (try scope.arriving(), try scope.input(0))
      return [scope.graph.add("MatchShape", [g, x], domain: "ai.stacklens"), nil]
    },
    samples: [
      Sample([.floats(2, 3, 1), .floats(2, 3)]), Sample([.floats(3), .floats(1, 3, 1)]),
      Sample([.floats(), .floats(1)]), Sample([.floats(2, 3), .floats(2, 3)]),
      Sample([.floats(0, 3), .floats(0, 1, 3)]),
    ])
}
