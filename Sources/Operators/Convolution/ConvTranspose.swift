import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The transpose of a convolution (fractionally strided), one to three dimensions, with groups.
  /// ONNX ConvTranspose-22.
  static let convTranspose = OperatorDefinition(
    "ConvTranspose", versions: [1, 11, 22], inputs: 2...3,
    attributes: convolutionAttributes + [
      .optional("output_padding", .ints), .optional("output_shape", .ints),
    ],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: convolutionTypes).elementType
      _ = try context.sameElementType(0, 1, 2)
      let geometry = try ConvolutionGeometry.transposed(
        context, x: context.input(0).shape, w: context.input(1).shape)
      try checkBias(context, geometry)
      return [TensorType(type, try Shape(geometry.outputDims))]
    },
    execution: .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        let geometry = try ConvolutionGeometry.transposed(
          preparation, x: preparation.input(0).shape, w: preparation.input(1).shape)
        var plan = ScratchPlan()
        let convolution = try PackedConvTranspose(preparation, geometry, plan: &plan)
        guard let convolution else { return nil }
        return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
          convolution.compute(try operands(run), run.scratch, run.parallel)
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let geometry = try ConvolutionGeometry.transposed(
          preparation, x: preparation.input(0).shape, w: preparation.input(1).shape)
        return try preparation.input(0).elementType == .float64
          ? try floatingKernel(Double.self, preparation, geometry, .none) {
            geometry.computeTransposedReference($0, $1, $2, $3)
          }
          : try floatingKernel(Float.self, preparation, geometry, .none) {
            geometry.computeTransposedReference($0, $1, $2, $3)
          }
      },
    ]),
    gradient: .convTranspose,
    samples: [
      Sample([.floats(1, 2, 3, 3), .floats(2, 3, 3, 3), .floats(3)], ["strides": .ints([2, 2])]),
      Sample(
        [.floats(1, 4, 5), .floats(4, 2, 3)],
        [
          "group": .int(2), "strides": .ints([2]), "pads": .ints([1, 1]),
          "output_padding": .ints([1]),
        ]),
      Sample(
        [.floats(1, 1, 3, 3), .floats(1, 2, 3, 3)],
        ["auto_pad": .string("SAME_UPPER"), "strides": .ints([2, 2])]),
      Sample(
        [.floats(2, 8, 6, 7), .floats(8, 5, 4, 4), .floats(5)],
        ["strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1])]),
      Sample([.floats(0, 2, 3, 3), .floats(2, 3, 3, 3)]),
    ])
}
