import Base
import CKernels
import Graphs
import Tensors

/// What the operators that gradients of convolutions are made of have in common. `transposed` tells
/// which of Conv and ConvTranspose they belong to; other attributes are that operator's.
struct ConvolutionBackward: Sendable {
  let isTransposed: Bool
  /// The convolution between the two images: from x to y of Conv, from y to x of ConvTranspose.
  let geometry: ConvolutionGeometry
  let outputDims: [Int]

  static let attributes =
    convolutionAttributes + [
      .optional("output_padding", .ints), .optional("output_shape", .ints),
      .int("transposed", default: 0),
    ]

  init(_ view: some NodeView, x: Shape, w: Shape) throws(StackLensError) {
    isTransposed = try view.flag("transposed")
    let forward =
      isTransposed
      ? try ConvolutionGeometry.transposed(view, x: x, w: w)
      : try ConvolutionGeometry.convolution(view, x: x, w: w)
    outputDims = forward.outputDims
    geometry = isTransposed ? forward.swapped : forward
  }

  /// Checks that the gradient has the shape of the operator's result.
  func requireGradient(_ g: TensorType) throws(StackLensError) {
    guard g.shape.dims == outputDims else {
      throw .shapeMismatch("gradient \(g) of a convolution that makes \(outputDims)")
    }
  }
}

extension ConvolutionGeometry {
  /// The convolution that makes the gradient of the input, from the weights that `turn` gives; nil
  /// where strides leave gaps.
  var turned: ConvolutionGeometry? {
    var result = swapped
    for index in axes.indices {
      let axis = axes[index]
      let pad = axis.dilation * (axis.kernel - 1) - axis.padBegin
      guard axis.stride == 1 || axis.output == 1 && axis.input == 1, pad >= 0 else { return nil }
      result.axes[index].stride = 1
      result.axes[index].padBegin = pad
    }
    return result
  }

  /// Weights [outputs, inputs, kernel] of each group as [inputs, outputs, kernel], every kernel from
  /// its end to its beginning.
  fileprivate func turn(_ w: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>) {
    let taps = kernelCount
    for group in 0..<groupCount {
      let start = group * outputChannels * inputChannels * taps
      for output in 0..<outputChannels {
        for input in 0..<inputChannels {
          let source = w + (start + (output * inputChannels + input) * taps)
          let place = target + (start + (input * outputChannels + output) * taps)
          for tap in 0..<taps { place[taps - 1 - tap] = source[tap] }
        }
      }
    }
  }

  /// The same pairs of elements read the other way: what was made is read.
  var swapped: ConvolutionGeometry {
    var result = self
    (result.inputChannels, result.outputChannels) = (outputChannels, inputChannels)
    for index in axes.indices {
      (result.axes[index].input, result.axes[index].output) = (
        axes[index].output, axes[index].input
      )
    }
    return result
  }
}

extension OperatorDefinition {
  /// The gradient of the data of a convolution: from g, the weights and the extents of the data.
  static let convInputGradient = OperatorDefinition(
    "ConvInputGradient", domain: "ai.stacklens", versions: [1], inputs: 3...3,
    attributes: ConvolutionBackward.attributes,
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: convolutionTypes)
      _ = try context.sameElementType(0, 1)
      let shape = try Shape(try context.value(2).integers())
      try ConvolutionBackward(context, x: shape, w: context.input(1).shape).requireGradient(g)
      return [TensorType(g.elementType, shape)]
    },
    execution: .kernels([
      Kernel("packed", prepare: inputGradientPacked),
      .reference { (preparation) throws(StackLensError) in
        try preparation.input(0).elementType == .float64
          ? try inputGradientReference(Double.self, preparation)
          : try inputGradientReference(Float.self, preparation)
      },
    ]),
    outline: outline(extents: 2), gradient: .convInputGradient,
    samples: [
      Sample(
        [.floats(2, 3, 4, 6), .floats(3, 2, 3, 3), .ints([2, 2, 7, 6])],
        ["pads": .ints([1, 1, 1, 1]), "strides": .ints([2, 1])]),
      Sample(
        [.floats(2, 6, 5), .floats(6, 2, 3), .ints([2, 4, 9])],
        ["group": .int(2), "dilations": .ints([2])]),
      Sample(
        [.floats(1, 3, 7, 7), .floats(2, 3, 3, 3), .ints([1, 2, 3, 3])],
        ["strides": .ints([2, 2]), "transposed": .int(1)]),
      Sample([.floats(0, 3, 3, 3), .floats(3, 2, 3, 3), .ints([0, 2, 5, 5])]),
    ])

  private static func inputGradientPacked(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    guard try preparation.input(0).elementType == .float32 else { return nil }
    let backward = try ConvolutionBackward(
      preparation, x: preparation.outputs[0].shape, w: preparation.input(1).shape)
    let geometry = backward.geometry
    var plan = ScratchPlan()
    @Sendable func operands(_ run: Invocation) throws(StackLensError) -> ConvolutionOperands {
      ConvolutionOperands(
        x: try run.input(0).floats, w: try run.input(1).floats, bias: nil, residual: nil,
        y: run.outputs[0].floats)
    }
    if !backward.isTransposed, let turned = try turnedConvolution(preparation, geometry) {
      return turned
    }
    guard backward.isTransposed else {
      let transposed = try PackedConvTranspose(preparation, geometry.swapped, plan: &plan)
      guard let transposed else { return nil }
      return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
        transposed.compute(try operands(run), run.scratch, run.parallel)
      }
    }
    guard !geometry.isEmpty, geometry.termCount > 0 else { return nil }
    let convolution = try PackedConvolution(
      geometry, .none, threadCount: preparation.threadCount, plan: &plan)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      convolution.compute(try operands(run), run.scratch, run.parallel)
    }
  }

  /// Where no stride leaves gaps: a convolution with the weights turned around.
  private static func turnedConvolution(
    _ preparation: Preparation, _ geometry: ConvolutionGeometry
  ) throws(StackLensError) -> PreparedKernel? {
    guard let turned = geometry.turned, !turned.isEmpty, turned.termCount > 0 else { return nil }
    var plan = ScratchPlan()
    let room = try plan.reserve(preparation.input(1).shape.count, of: Float.self)
    let convolution = try PackedConvolution(
      turned, .none, threadCount: preparation.threadCount, plan: &plan)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let weights = (run.scratch + room).assumingMemoryBound(to: Float.self)
      geometry.turn(try run.input(1).floats, to: weights)
      convolution.compute(
        ConvolutionOperands(
          x: try run.input(0).floats, w: UnsafePointer(weights), bias: nil, residual: nil,
          y: run.outputs[0].floats), run.scratch, run.parallel)
    }
  }

  private static func inputGradientReference<T: ComputeElement & TensorElement>(
    _ type: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let backward = try ConvolutionBackward(
      preparation, x: preparation.outputs[0].shape, w: preparation.input(1).shape)
    return try wideKernel(T.self, preparation, inputs: 2) { (wide) throws(StackLensError) in
      let (g, w, y) = (try wide.input(0), try wide.input(1), wide.outputs[0])
      if backward.isTransposed {
        backward.geometry.computeReference(g, w, y, wide.run.parallel)
      } else {
        backward.geometry.swapped.computeTransposedReference(g, w, y, wide.run.parallel)
      }
    }
  }

  /// The gradients of weights and bias of a convolution: from g, the data and the extents of the
  /// weights.
  static let convWeightGradient = OperatorDefinition(
    "ConvWeightGradient", domain: "ai.stacklens", versions: [1], inputs: 3...3, outputs: 1...2,
    attributes: ConvolutionBackward.attributes,
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: convolutionTypes)
      _ = try context.sameElementType(0, 1)
      let shape = try Shape(try context.value(2).integers())
      try ConvolutionBackward(context, x: context.input(1).shape, w: shape).requireGradient(g)
      return [
        TensorType(g.elementType, shape), TensorType(g.elementType, try Shape([g.shape[1]])),
      ]
    },
    execution: .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        return try PackedWeightGradient(preparation)?.prepared
      },
      Kernel("direct") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        return try weightGradient(Float.self, preparation)
      },
      .reference { (preparation) throws(StackLensError) in
        try weightGradient(Double.self, preparation)
      },
    ]),
    outline: outline(extents: 2), gradient: .convWeightGradient,
    samples: [
      Sample(
        [.floats(2, 3, 4, 6), .floats(2, 2, 7, 6), .ints([3, 2, 3, 3])],
        ["pads": .ints([1, 1, 1, 1]), "strides": .ints([2, 1])], outputs: 2),
      Sample(
        [.floats(3, 6, 5), .floats(3, 4, 9), .ints([6, 2, 3])],
        ["group": .int(2), "dilations": .ints([2])], outputs: 2),
      Sample(
        [.floats(2, 4, 5, 5), .floats(2, 4, 9, 9), .ints([4, 1, 3, 3])],
        ["group": .int(4), "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1])], outputs: 2),
      Sample(
        [.floats(2, 5, 7, 7), .floats(2, 6, 3, 3), .ints([6, 5, 3, 3])],
        ["strides": .ints([2, 2]), "transposed": .int(1)], outputs: 2),
      Sample(
        [.floats(1, 8, 40, 37), .floats(1, 9, 40, 37), .ints([8, 9, 3, 3])],
        ["pads": .ints([1, 1, 1, 1])]),
      Sample([.floats(0, 3, 3, 3), .floats(0, 2, 5, 5), .ints([3, 2, 3, 3])], outputs: 2),
    ])

  /// Each weight as a sum over all images of what it meets.
  private static func weightGradient<T: LineElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let backward = try ConvolutionBackward(
      preparation, x: preparation.input(1).shape, w: preparation.outputs[0].shape)
    let geometry = backward.geometry
    let g = try preparation.input(0).shape
    let pixels = g.count(2..<g.rank)
    return try wideKernel(T.self, preparation, inputs: 2) { (wide) throws(StackLensError) in
      let (made, read) = (
        try wide.input(backward.isTransposed ? 1 : 0), try wide.input(backward.isTransposed ? 0 : 1)
      )
      let dw = wide.outputs[0]
      let channels = geometry.groupCount * geometry.outputChannels
      wide.run.parallel.forEach(channels) { channel in
        geometry.forEachTap { tap, shift in
          var sums = [Double](repeating: 0, count: geometry.inputChannels)
          for image in 0..<geometry.batch {
            let target = made + (image * channels + channel) * geometry.outputPixels
            let group = image * geometry.groupCount + channel / geometry.outputChannels
            for c in 0..<geometry.inputChannels {
              let source = read + (group * geometry.inputChannels + c) * geometry.inputPixels
              geometry.forEachLine(shift) { from, to, count, stride in
                sums[c] += T.dot(target + to, source + from, stride: stride, count)
              }
            }
          }
          for c in 0..<geometry.inputChannels {
            dw[(channel * geometry.inputChannels + c) * geometry.kernelCount + tap] = T(
              rounding: sums[c])
          }
        }
      }
      T.sumChannels(try wide.input(0), g, pixels, wide.outputs[1])
    }
  }
}
