import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// All slices of `size` elements along an axis, `step` apart, each along a new last axis.
  /// Contributed UnfoldTensor.
  static let unfoldTensor = OperatorDefinition(
    "UnfoldTensor", domain: "com.microsoft", versions: [1], inputs: 1...1,
    attributes: [.int("dim", default: -1), .required("size", .int), .int("step", default: 1)],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let slices = try Slices(context, input.shape)
      var dims = input.shape.dims
      dims[slices.axis] = slices.count
      return [TensorType(input.elementType, try Shape(dims + [slices.size]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let (input, output) = (try preparation.input(0), preparation.outputs[0])
        let slices = try Slices(preparation, input.shape)
        var strides = input.shape.strides
        let along = strides[slices.axis]
        strides[slices.axis] = along &* slices.step  // without elements it may wrap
        let copy = StridedCopy(
          input.elementType, output.shape.dims, from: strides + [along], to: output.shape.strides)
        return PreparedKernel { (run) throws(StackLensError) in
          copy.run(from: try run.input(0).base, to: run.outputs[0].base, run.parallel)
        }
      }
    ]),
    gradient: .pick,
    samples: [
      Sample([.floats(2, 7, 3)], ["dim": .int(1), "size": .int(3), "step": .int(2)]),
      Sample([.random(.int64, [6], low: 0, high: 9)], ["size": .int(6)]),
      Sample([.floats(0, 4)], ["size": .int(2)]),
    ])

  private struct Slices {
    let axis: Int
    let size: Int
    let step: Int
    let count: Int

    init(_ view: some NodeView, _ shape: Shape) throws(StackLensError) {
      axis = try view.axis("dim", rank: shape.rank)
      size = try view.int("size")
      step = try view.int("step")
      guard size > 0, size <= shape[axis], step > 0, step <= 1 << 31 else {
        throw .invalidArgument(
          "slices of \(size) every \(step) along axis \(axis) of \(shape)")
      }
      count = (shape[axis] - size) / step + 1
    }
  }
}
