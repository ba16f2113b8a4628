import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Repeats a tensor along axes of extent 1 by the rule of broadcasting, in which the input's
  /// extents count too. ONNX Expand-13.
  static let expand = OperatorDefinition(
    "Expand", versions: [8, 13], inputs: 2...2,
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let wanted = try Shape(try context.value(1).integers())
      return [TensorType(input.elementType, try input.shape.broadcast(with: wanted))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let input = try preparation.input(0)
        let target = preparation.outputs[0].shape
        let plan = StridedCopy(
          input.elementType, target.dims, from: input.shape.broadcastStrides(to: target),
          to: target.strides)
        return PreparedKernel(isIdentity: input.shape.count == target.count) {
          (run) throws(StackLensError) in
          plan.run(from: try run.input(0).base, to: run.outputs[0].base, run.parallel)
        }
      }
    ]),
    gradient: .expand,
    samples: [
      Sample([.floats(3, 1), .ints([2, 1, 6])]), Sample([.floats(), .ints([2, 3])]),
      Sample([.floats(2, 1), .ints([2, 0])]),
    ])

  /// Repeats a tensor along each axis. ONNX Tile-13.
  static let tile = OperatorDefinition(
    "Tile", versions: [1, 6, 13], inputs: 2...2,
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let repeats = try context.value(1).integers()
      guard repeats.count == input.rank, !repeats.contains(where: { $0 < 0 }) else {
        throw .invalidArgument("repeats \(repeats) do not fit shape \(input.shape)")
      }
      var dims: [Int] = []
      for (extent, count) in zip(input.shape.dims, repeats) {
        dims.append(try extentProduct(extent, count))
      }
      return [TensorType(input.elementType, try Shape(dims))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let input = try preparation.input(0)
        let target = preparation.outputs[0].shape
        let (read, write) = (input.shape.strides, target.strides)
        var (extents, from, to): ([Int], [Int], [Int]) = ([], [], [])
        for axis in 0..<target.rank where target.count > 0 {
          let extent = input.shape[axis]
          extents += [target[axis] / extent, extent]
          from += [0, read[axis]]
          to += [write[axis] * extent, write[axis]]
        }
        let plan = StridedCopy(
          input.elementType, target.count > 0 ? extents : [0], from: from + [0], to: to + [0])
        return PreparedKernel { (run) throws(StackLensError) in
          plan.run(from: try run.input(0).base, to: run.outputs[0].base, run.parallel)
        }
      }
    ]),
    lift: { (node, opset, rewriter) throws(StackLensError) in
      opset < 6 && node.inputs.count == 3 ? try tileAxis(node, opset, &rewriter) : [node]
    },
    gradient: .pick,
    samples: [
      Sample([.floats(2, 3), .ints([2, 2])]), Sample([.floats(2, 1, 3), .ints([1, 4, 1])]),
      Sample([.floats(2, 3), .ints([0, 2])]), Sample([.floats(), .ints([])]),
    ])

  /// The first form repeated along one axis; count and axis were scalars of the data's type.
  private static func tileAxis(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    var steps = Decomposition(node, opset)
    let one = try rewriter.ints([1], "one")
    let whole: [String: Attribute] = ["to": .int(Int64(ElementType.int64.rawValue))]
    func asInteger(
      _ name: String, _ steps: inout Decomposition, _ rewriter: inout Rewriter
    ) -> String {
      let cast = steps.apply("Cast", [name], whole, &rewriter)
      return steps.apply("Reshape", [cast, one], &rewriter)
    }
    let count = asInteger(node.inputs[1], &steps, &rewriter)
    let axis = asInteger(node.inputs[2], &steps, &rewriter)
    let shape = steps.apply("Shape", [node.inputs[0]], &rewriter)
    let rank = steps.apply("Shape", [shape], &rewriter)
    let ones = steps.apply(
      "ConstantOfShape", [rank], ["value": .tensor(try Tensor([Int64(1)]))], &rewriter)
    let repeats = steps.apply("ScatterElements", [ones, axis, count], &rewriter)
    return steps.finish("Tile", [node.inputs[0], repeats])
  }
}
