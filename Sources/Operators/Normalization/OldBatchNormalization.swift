import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Before opset 14 the outputs that a node names chose the mode (before opset 7 `is_test`), two
  /// more of them held the batch's own mean and variance, and before opset 9 `spatial` = 0 kept
  /// statistics of every element instead of every channel.
  static let liftBatchNormalization: Convert = { (node, opset, rewriter) throws(StackLensError) in
    guard opset < 14 else { return [node] }
    var node = node
    let isTest = node.attributes.removeValue(forKey: "is_test")?.isTrue ?? false
    let isSpatial = node.attributes.removeValue(forKey: "spatial")?.isTrue ?? true
    let isTraining =
      opset < 7 ? !isTest : node.outputs.dropFirst().contains { !$0.isEmpty }
    guard node.inputs.count == 5 else {
      throw .invalidArgument("\(node.inputs.count) inputs, not 5")
    }
    if !isSpatial { return try normalizeElements(node, isTraining: isTraining, &rewriter) }
    if isTraining { node.attributes["training_mode"] = .int(1) }
    let saved = node.outputs.dropFirst(3)
    node.outputs = Array(node.outputs.prefix(3))
    guard isTraining, saved.contains(where: { !$0.isEmpty }) else { return [node] }
    // Running statistics without memory are those of the batch.
    var batch = node
    batch.name = ""
    batch.attributes["momentum"] = .float(0)
    batch.outputs = [rewriter.fresh("y")] + saved
    return [node, batch]
  }

  /// The form with statistics of the shape of one item.
  private static func normalizeElements(
    _ node: Node, isTraining: Bool, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    func number(_ name: String, _ fallback: Float) -> Double {
      if case .float(let value)? = node.attributes[name] { Double(value) } else { Double(fallback) }
    }
    var steps = Decomposition(node, Int.max)
    let x = node.inputs[0]
    var (mean, variance) = (node.inputs[3], node.inputs[4])
    if isTraining {
      let batch = try rewriter.ints([0], "axes")
      let flat: [String: Attribute] = ["keepdims": .int(0)]
      mean = steps.apply("ReduceMean", [x, batch], flat, &rewriter)
      let distance = steps.apply("Sub", [x, mean], &rewriter)
      let square = steps.apply("Mul", [distance, distance], &rewriter)
      variance = steps.apply("ReduceMean", [square, batch], flat, &rewriter)
      let momentum = number("momentum", 0.9)
      for (index, new) in [mean, variance].enumerated()
      where index + 1 < node.outputs.count && !node.outputs[index + 1].isEmpty {
        let kept = try steps.apply(
          "Mul", [node.inputs[index + 3], steps.scalar(momentum, &rewriter)], &rewriter)
        let added = try steps.apply(
          "Mul", [new, steps.scalar(1 - momentum, &rewriter)], &rewriter)
        steps.output(index + 1, "Add", [kept, added])
      }
      for (output, new) in zip(node.outputs.dropFirst(3), [mean, variance]) where !output.isEmpty {
        steps.add(Node("Identity", inputs: [new], outputs: [output]))
      }
    }
    let distance = steps.apply("Sub", [x, mean], &rewriter)
    let epsilon = try steps.scalar(number("epsilon", 1e-5), &rewriter)
    let raised = steps.apply("Add", [variance, epsilon], &rewriter)
    let deviation = steps.apply("Sqrt", [raised], &rewriter)
    let normal = steps.apply("Div", [distance, deviation], &rewriter)
    let scaled = steps.apply("Mul", [normal, node.inputs[1]], &rewriter)
    return steps.finish("Add", [scaled, node.inputs[2]])
  }
}
