import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Crops or pads around the centre to the extents wanted, on some axes or all.
  /// ONNX CenterCropPad-18.
  static let centerCropPad = OperatorDefinition(
    "CenterCropPad", versions: [18], inputs: 2...2, attributes: [.optional("axes", .ints)],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let shape = try centered(context, input.shape, wanted: try context.value(1))
      return [TensorType(input.elementType, shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let (input, output) = (try preparation.input(0), preparation.outputs[0])
        let options = NodeOptions(preparation)
        // What both have in common lies in the middle of each.
        let common = zip(input.shape.dims, output.shape.dims).map { min($0, $1) }
        func start(_ shape: Shape) -> Int {
          zip(zip(shape.dims, common), shape.strides).reduce(0) { sum, axis in
            sum + (axis.0.0 - axis.0.1) / 2 * axis.1
          }
        }
        let copy = StridedCopy(
          input.elementType, common, from: input.shape.strides, to: output.shape.strides,
          sourceStart: start(input.shape), targetStart: start(output.shape))
        return PreparedKernel { (run) throws(StackLensError) in
          let shape = try centered(options, input.shape, wanted: try run.input(1))
          guard shape == output.shape else {
            throw .shapeMismatch("CenterCropPad gives \(shape), planned \(output.shape)")
          }
          if common != output.shape.dims {
            output.elementType.byWidth(
              ClearAll(target: run.outputs[0].base, count: output.shape.count))
          }
          copy.run(from: try run.input(0).base, to: run.outputs[0].base, run.parallel)
        }
      }
    ]),
    gradient: GradientRule(inputs: 1) { (scope) throws(StackLensError) in
      // What was in the middle of both goes back to the middle.
      let shape = scope.shape(of: try scope.input(0))
      return [scope.apply("CenterCropPad", try scope.arriving(), shape), nil]
    },
    samples: [
      Sample([.floats(20, 10, 3), .ints([10, 7, 3])]),
      Sample([.floats(5, 4), .ints([8])], ["axes": .ints([-1])]),
      Sample([.floats(5, 7), .ints([8, 4])]), Sample([.floats(0, 3), .ints([2, 3])]),
      Sample([.floats(), .ints([])]),
    ])

  private static func centered(
    _ view: some NodeView, _ input: Shape, wanted: Tensor
  ) throws(StackLensError) -> Shape {
    let extents = try wanted.integers()
    let axes = try view.ints("axes") ?? Array(0..<input.rank)
    guard axes.count == extents.count else {
      throw .shapeMismatch("\(extents.count) extents for the axes \(axes) of \(input)")
    }
    var dims = input.dims
    var seen: Set<Int> = []
    for (axis, extent) in zip(axes, extents) {
      let axis = try input.axis(axis)
      guard seen.insert(axis).inserted else {
        throw .invalidArgument("axis \(axis) is named twice in \(axes)")
      }
      dims[axis] = extent
    }
    return try Shape(dims)
  }
}

private struct ClearAll: WidthWork {
  let target: UnsafeMutableRawPointer
  let count: Int

  func callAsFunction<Element>(_ type: Element.Type) {
    clearElements(target.assumingMemoryBound(to: Element.self), count: count)
  }
}
