import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Before opset 7 the second input was extended only when `broadcast` asked for it, and its axes
  /// were those of the first from `axis` on; without `axis` the last ones, as they are since.
  static let liftBroadcast: Convert = { (node, opset, rewriter) throws(StackLensError) in
    guard opset < 7 else { return [node] }
    var node = node
    node.attributes["broadcast"] = nil
    switch node.attributes.removeValue(forKey: "axis") {
    case nil, .int(-1)?: return [node]
    case .int(let axis)? where node.inputs.count == 2 && axis >= 0:
      return try alignSecondInput(node, axis: axis, &rewriter)
    case let found?:
      throw .formatError("attribute 'axis' is \(found), expected an axis of the first input")
    }
  }

  /// The node with its second input under a shape whose axes meet those of the first from `axis`
  /// on, by ones behind its own.
  static func alignSecondInput(
    _ node: Node, axis: Int64, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    var node = node
    let (first, second) = (node.inputs[0], node.inputs[1])
    if let whole = rewriter.rank(of: first), let part = rewriter.rank(of: second) {
      guard axis < Int64(whole) - Int64(part) else { return [node] }
      let missing = Array(Int64(part)..<Int64(whole) - axis)
      var steps = Decomposition(node, 1)
      node.inputs[1] = steps.apply(
        "Unsqueeze", [second, try rewriter.ints(missing, "axes")], &rewriter)
      return steps.nodes + [node]
    }
    var steps = Decomposition(node, 1)
    let extents = steps.apply("Shape", [second], &rewriter)
    let rank = steps.apply("Shape", [extents], &rewriter)
    let start = steps.apply("Add", [rank, try rewriter.ints([axis], "axis")], &rewriter)
    let whole = steps.apply("Shape", [first], &rewriter)
    let end = try rewriter.ints([.max], "end")
    let rest = steps.apply("Slice", [whole, start, end], &rewriter)
    let missing = steps.apply("Shape", [rest], &rewriter)
    let ones = steps.apply(
      "ConstantOfShape", [missing], ["value": .tensor(try Tensor([Int64(1)]))], &rewriter)
    let shape = steps.apply("Concat", [extents, ones], ["axis": .int(0)], &rewriter)
    node.inputs[1] = steps.apply("Reshape", [second, shape], &rewriter)
    return steps.nodes + [node]
  }
}
