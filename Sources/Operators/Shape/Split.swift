import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Cuts a tensor along an axis into parts of the sizes `split`, or into `num_outputs` equal
  /// parts of which the last may be smaller. ONNX Split-18.
  static let split = OperatorDefinition(
    "Split", versions: [1, 2, 11, 13, 18], inputs: 1...2, outputs: 1...Int(Int32.max),
    attributes: [.int("axis", default: 0), .optional("num_outputs", .int)],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let axis = try context.axis("axis", rank: input.rank)
      let sizes: [Int]
      if let given = try context.optionalValue(1) {
        sizes = try given.integers()
      } else {
        let count =
          context.has("num_outputs")
          ? try context.int("num_outputs") : context.node.outputs.count
        guard count == context.node.outputs.count else {
          throw .invalidArgument(
            "attribute 'num_outputs' is \(count), the node has \(context.node.outputs.count)")
        }
        sizes = try equalParts(of: input.shape[axis], count: count)
      }
      guard sizes.count == context.node.outputs.count else {
        throw .invalidArgument(
          "split \(sizes) does not fit \(context.node.outputs.count) outputs")
      }
      guard !sizes.contains(where: { $0 < 0 }), try extentSum(sizes) == input.shape[axis] else {
        throw .shapeMismatch("split \(sizes) does not add up to extent \(input.shape[axis])")
      }
      var types: [TensorType] = []
      for size in sizes {
        var dims = input.shape.dims
        dims[axis] = size
        types.append(TensorType(input.elementType, try Shape(dims)))
      }
      return types
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let input = try preparation.input(0)
        let axis = try preparation.axis("axis", rank: input.rank)
        let whole = input.shape.count(axis..<input.rank)
        let blocks = input.shape.count(0..<axis)
        var copies: [StridedCopy] = []
        var start = 0
        for output in preparation.outputs {
          let part = output.shape.count(axis..<input.rank)
          copies.append(
            StridedCopy(
              input.elementType, [blocks, part], from: [whole, 1], to: [part, 1],
              sourceStart: start))
          start += part
        }
        return PreparedKernel { [copies] (run) throws(StackLensError) in
          let source = try run.input(0).base
          for (copy, target) in zip(copies, run.outputs) {
            copy.run(from: source, to: target.base, run.parallel)
          }
        }
      }
    ]),
    lift: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 18 else { return [node] }
      var node = node
      if opset < 13, case .ints(let sizes)? = node.attributes.removeValue(forKey: "split") {
        node.inputs.append(try rewriter.ints(sizes, "split"))
      }
      if opset < 2, node.inputs.count == 2, !node.inputs[1].isEmpty {
        // The sizes had the type of the data.
        var steps = Decomposition(node, opset)
        node.inputs[1] = steps.apply(
          "Cast", [node.inputs[1]], ["to": .int(Int64(ElementType.int64.rawValue))], &rewriter)
        return steps.nodes + [node]
      }
      if node.inputs.count < 2 || node.inputs[1].isEmpty {
        node.inputs = Array(node.inputs.prefix(1))
        node.attributes["num_outputs"] = .int(Int64(node.outputs.count))
      }
      return [node]
    },
    lower: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 18 else { return [node] }
      var node = node
      let isCounted = node.attributes.removeValue(forKey: "num_outputs") != nil
      var steps = Decomposition(node, opset)
      if isCounted || node.inputs.count < 2 || node.inputs[1].isEmpty {
        node.inputs = [node.inputs[0]]
        if let sizes = try unevenSizes(node, opset, &steps, &rewriter) {
          node.inputs.append(sizes)
        }
      }
      if opset < 13 {
        if let sizes = try constantInts(node, 1, "split", opset, rewriter) {
          node.attributes["split"] = .ints(sizes)
        }
        node.inputs = Array(node.inputs.prefix(1))
      }
      return steps.nodes + [node]
    },
    gradient: .split,
    samples: [
      Sample([.floats(2, 6)], ["axis": .int(-1), "num_outputs": .int(3)], outputs: 3),
      Sample([.floats(7), .ints([2, 0, 5])], outputs: 3),
      Sample([.floats(5, 2)], ["num_outputs": .int(2)], outputs: 2),
    ])
}

/// Before opset 18 parts without sizes were all equal; these are the sizes where they may not be.
/// Before opset 13 they have to be known.
private func unevenSizes(
  _ node: Node, _ opset: Int, _ steps: inout Decomposition, _ rewriter: inout Rewriter
) throws(StackLensError) -> String? {
  let parts = node.outputs.count
  var axis = 0
  if case .int(let value)? = node.attributes["axis"], let narrow = Int(exactly: value) {
    axis = narrow
  }
  if let dims = rewriter.dims(of: node.inputs[0]) {
    let place = axis < 0 ? axis + dims.count : axis
    if dims.indices.contains(place), let extent = dims[place] {
      if extent % parts == 0 { return nil }
      let sizes = try equalParts(of: extent, count: parts)
      return try rewriter.ints(sizes.map(Int64.init), "split")
    }
  }
  guard opset >= 13, parts > 1 else { return nil }
  let shape = steps.apply("Shape", [node.inputs[0]], &rewriter)
  let place = try rewriter.ints([Int64(axis)], "axis")
  let extent = steps.apply("Gather", [shape, place], &rewriter)
  let raised = steps.apply(
    "Add", [extent, try rewriter.ints([Int64(parts - 1)], "rest")], &rewriter)
  let size = steps.apply("Div", [raised, try rewriter.ints([Int64(parts)], "parts")], &rewriter)
  let most = steps.apply("Mul", [size, try rewriter.ints([Int64(parts - 1)], "rest")], &rewriter)
  let last = steps.apply("Sub", [extent, most], &rewriter)
  return steps.apply(
    "Concat", [String](repeating: size, count: parts - 1) + [last], ["axis": .int(0)], &rewriter)
}

/// Sizes of `count` parts, all as large as the first but the last.
func equalParts(of extent: Int, count: Int) throws(StackLensError) -> [Int] {
  guard count > 0 else { throw .invalidArgument("cannot split into \(count) parts") }
  let size = extent / count + (extent % count == 0 ? 0 : 1)
  let last = extent - size * (count - 1)
  guard last >= 0 else {
    throw .shapeMismatch("cannot split extent \(extent) into \(count) parts of \(size)")
  }
  return [Int](repeating: size, count: count - 1) + [last]
}
