import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Sums over the axes along which a value of the given shape was broadcast to the input: the
  /// transpose of Expand.
  static let sumTo = OperatorDefinition(
    "SumTo", domain: "ai.stacklens", versions: [1], inputs: 2...2,
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0, oneOf: ElementType.reals)
      let shape = try Shape(try context.value(1).integers())
      guard try shape.broadcast(with: input.shape) == input.shape else {
        throw .shapeMismatch("\(shape) does not broadcast to \(input.shape)")
      }
      return [TensorType(input.elementType, shape)]
    },
    execution: .kernels([
      Kernel("copy") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).shape.count == preparation.outputs[0].shape.count else {
          return nil
        }
        return PreparedKernel(isIdentity: true) { (run) throws(StackLensError) in
          run.outputs[0].fillElements(from: try run.input(0), run.parallel)
        }
      },
      Kernel("vector") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        let plan = try broadcastPlan(preparation)
        guard let vector = VectorReduction(.sum, count: plan.reducedCount) else { return nil }
        return PreparedKernel { (run) throws(StackLensError) in
          plan.reduce(
            try run.input(0).base.assumingMemoryBound(to: Float.self),
            run.outputs[0].base.assumingMemoryBound(to: Float.self), vector, run.parallel)
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let plan = try broadcastPlan(preparation)
        return try wideKernel(Double.self, preparation, inputs: 1) {
          (wide) throws(StackLensError) in
          let y = wide.outputs[0]
          plan.reduce(
            try wide.input(0), wide.run.parallel, from: 0.0, step: { $1 + $2 },
            combine: { $0 + $1 }, store: { y[$0] = $1 })
        }
      },
    ]),
    lower: { (node, _, rewriter) throws(StackLensError) in
      var parts = Decomposition(node, .max)
      let (input, shape) = (node.inputs[0], node.inputs[1])
      let extents = parts.apply("Shape", [input], &rewriter)
      let rank = parts.apply("Shape", [extents], &rewriter)
      let missing = parts.apply(
        "Sub", [rank, parts.apply("Shape", [shape], &rewriter)], &rewriter)
      let ones = parts.apply(
        "ConstantOfShape", [missing], ["value": .tensor(try Tensor([Int64(1)]))], &rewriter)
      let aligned = parts.apply("Concat", [ones, shape], ["axis": .int(0)], &rewriter)
      let isSame = parts.apply("Equal", [aligned, extents], &rewriter)
      let places = parts.apply(
        "NonZero", [parts.apply("Not", [isSame], &rewriter)], &rewriter)
      let axes = parts.apply("Reshape", [places, try rewriter.ints([-1], "flat")], &rewriter)
      let sum = parts.apply(
        "ReduceSum", [input, axes], ["noop_with_empty_axes": .int(1)], &rewriter)
      return parts.finish("Reshape", [sum, shape], ["allowzero": .int(1)])
    },
    gradient: GradientRule(inputs: 1) { (scope) throws(StackLensError) in
      let input = try scope.input(0)
      return [scope.apply("Expand", try scope.arriving(), scope.shape(of: input)), nil]
    },
    samples: [
      Sample([.floats(2, 3, 4), .ints([3, 1])]), Sample([.floats(2, 3), .ints([])]),
      Sample([.floats(2, 3), .ints([2, 3])]), Sample([.floats(0, 3), .ints([1, 3])]),
      Sample([.random(.float64, [5, 2, 300], low: -1, high: 1), .ints([2, 300])]),
    ])

  private static func broadcastPlan(
    _ preparation: Preparation
  ) throws(StackLensError) -> ReductionPlan {
    let (input, output) = (try preparation.input(0).shape, preparation.outputs[0].shape)
    let missing = input.rank - output.rank
    let axes = (0..<input.rank).filter { axis in
      axis < missing || output[axis - missing] == 1 && input[axis] != 1
    }
    return ReductionPlan(input, axes: axes)
  }
}
