import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Output axis i is input axis `perm[i]`; without `perm` the axes are reversed.
  /// ONNX Transpose-25.
  static let transpose = OperatorDefinition(
    "Transpose", versions: [1, 13, 21, 23, 24, 25], inputs: 1...1,
    attributes: [.optional("perm", .ints)],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let order = try permutation(context, rank: input.rank)
      return [TensorType(input.elementType, try Shape(order.map { input.shape[$0] }))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let input = try preparation.input(0)
        let order = try permutation(preparation, rank: input.rank)
        let target = preparation.outputs[0].shape
        let strides = input.shape.strides
        let plan = StridedCopy(
          input.elementType, target.dims, from: order.map { strides[$0] }, to: target.strides)
        return PreparedKernel { (run) throws(StackLensError) in
          plan.run(from: try run.input(0).base, to: run.outputs[0].base, run.parallel)
        }
      }
    ]),
    gradient: .transpose,
    samples: [
      Sample([.floats(2, 3, 4)]), Sample([.floats(2, 5, 3, 4)], ["perm": .ints([0, 2, 1, 3])]),
      Sample([.floats(33, 70)]), Sample([.floats()]),
      Sample([.floats(2, 0, 4)], ["perm": .ints([1, 2, 0])]),
    ])
}

private func permutation(_ view: some NodeView, rank: Int) throws(StackLensError) -> [Int] {
  guard let order = try view.ints("perm") else { return Array((0..<rank).reversed()) }
  guard order.count == rank else {
    throw .invalidArgument("attribute 'perm' \(order) does not fit rank \(rank)")
  }
  return try checkedAxes(order, rank: rank)
}
