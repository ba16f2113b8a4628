import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// ConvInputGradient with the channels last: g [N, H', W', M], weights [M, C / group, kh, kw] and the
  /// extents of the data with their channels first, [N, C, H, W], give [N, H, W, C].
  static let channelsLastConvInputGradient = OperatorDefinition(
    "ChannelsLastConvInputGradient", domain: stackLensDomain, versions: [1], inputs: 3...3,
    attributes: convolutionAttributes,
    infer: { (context) throws(StackLensError) in
      _ = try context.input(0, oneOf: [.float32])
      _ = try context.sameElementType(0, 1)
      let geometry = try inputGradientGeometry(
        context, Shape(try context.value(2).integers()), w: context.input(1).shape)
      try requireLast(context.input(0), geometry)
      return [TensorType(.float32, try Shape(geometry.channelsLastInputDims))]
    },
    execution: .kernels([
      Kernel("winograd") { (preparation) throws(StackLensError) in
        let form = try ChannelsLastForm(gradientOf: inputGradientGeometry(preparation))
        return try ChannelsLastWinograd(preparation, form)?.prepared
      },
      Kernel("packed") { (preparation) throws(StackLensError) in
        let form = try ChannelsLastForm(gradientOf: inputGradientGeometry(preparation))
        return try ChannelsLastProduct(preparation, form)?.prepared
      },
      Kernel("folded") { (preparation) throws(StackLensError) in
        try ChannelsLastFold(preparation, inputGradientGeometry(preparation))?.prepared
      },
      .reference { (preparation) throws(StackLensError) in
        let geometry = try inputGradientGeometry(preparation)
        let (channels, outputs) = (geometry.channelsLastInputDims[3], geometry.channelsLastDims[3])
        var plan = ScratchPlan()
        let gRoom = try plan.reserve(preparation.input(0).shape.count, of: Float.self)
        let dxRoom = try plan.reserve(preparation.outputs[0].shape.count, of: Float.self)
        return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
          let g = (run.scratch + gRoom).assumingMemoryBound(to: Float.self)
          let dx = (run.scratch + dxRoom).assumingMemoryBound(to: Float.self)
          putChannelsFirst(
            try run.input(0).floats, geometry.batch, outputs, geometry.outputPixels, g)
          geometry.swapped.computeTransposedReference(
            g, try run.input(1).floats, dx, run.parallel)
          // Channels and pixels change places once more.
          putChannelsFirst(
            dx, geometry.batch, geometry.inputPixels, channels, run.outputs[0].floats)
        }
      },
    ]),
    outline: { (context) throws(StackLensError) in
      guard let dims = try context.value(2)?.integers(), dims.count == 4 else {
        return [.elements(.float32)]
      }
      return try [.tensor(.float32, [dims[0], dims[2], dims[3], dims[1]])]
    },
    samples: [
      Sample(
        [.floats(2, 4, 6, 3), .floats(3, 2, 3, 3), .ints([2, 2, 7, 6])],
        ["pads": .ints([1, 1, 1, 1]), "strides": .ints([2, 1])]),
      Sample(
        [.floats(2, 5, 4, 6), .floats(6, 2, 3, 3), .ints([2, 4, 9, 6])],
        ["group": .int(2), "dilations": .ints([2, 1])]),
      Sample([.floats(1, 6, 5, 20), .floats(20, 7, 1, 1), .ints([1, 7, 6, 5])]),
      Sample(
        [.floats(1, 3, 3, 20), .floats(20, 7, 1, 1), .ints([1, 7, 6, 5])],
        ["strides": .ints([2, 2])]),
      Sample(
        [.floats(3, 14, 15, 36), .floats(36, 40, 3, 3), .ints([3, 40, 14, 15])],
        ["pads": .ints([1, 1, 1, 1])]),
      Sample([.floats(0, 3, 3, 3), .floats(3, 2, 3, 3), .ints([0, 2, 5, 5])]),
    ])

  /// ConvWeightGradient with the channels last: g [N, H', W', M], the data [N, H, W, C] and the extents of
  /// the weights give those of the weights [M, C / group, kh, kw] and of the bias [M].
  static let channelsLastConvWeightGradient = OperatorDefinition(
    "ChannelsLastConvWeightGradient", domain: stackLensDomain, versions: [1], inputs: 3...3,
    outputs: 1...2, attributes: convolutionAttributes,
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: [.float32])
      _ = try context.sameElementType(0, 1)
      let shape = try Shape(try context.value(2).integers())
      try requireLast(g, channelsLastGeometry(context, x: context.input(1).shape, w: shape))
      return [TensorType(.float32, shape), TensorType(.float32, try Shape([g.shape[3]]))]
    },
    execution: .kernels([
      Kernel("winograd") { (preparation) throws(StackLensError) in
        try WinogradWeightGradient(preparation, weightGradientGeometry(preparation))?.prepared
      },
      Kernel("packed") { (preparation) throws(StackLensError) in
        try ChannelsLastWeightGradient(preparation, weightGradientGeometry(preparation))?.prepared
      },
      .reference { (preparation) throws(StackLensError) in
        try weightGradientReference(preparation, weightGradientGeometry(preparation))
      },
    ]),
    outline: outline(extents: 2),
    samples: [
      Sample(
        [.floats(2, 4, 6, 3), .floats(2, 7, 6, 2), .ints([3, 2, 3, 3])],
        ["pads": .ints([1, 1, 1, 1]), "strides": .ints([2, 1])], outputs: 2),
      Sample(
        [.floats(3, 5, 4, 6), .floats(3, 9, 6, 4), .ints([6, 2, 3, 3])],
        ["group": .int(2), "dilations": .ints([2, 1])], outputs: 2),
      Sample(
        [.floats(2, 3, 3, 33), .floats(2, 6, 5, 18), .ints([33, 18, 1, 1])],
        ["strides": .ints([2, 2])], outputs: 2),
      Sample(
        [.floats(9, 20, 21, 8), .floats(9, 20, 21, 1), .ints([8, 1, 3, 3])],
        ["pads": .ints([1, 1, 1, 1])], outputs: 2),
      Sample(
        [.floats(3, 14, 15, 36), .floats(3, 14, 15, 40), .ints([36, 40, 3, 3])],
        ["pads": .ints([1, 1, 1, 1])], outputs: 2),
      Sample([.floats(0, 3, 3, 3), .floats(0, 5, 5, 2), .ints([3, 2, 3, 3])], outputs: 2),
    ])

  private static func inputGradientGeometry(
    _ view: some NodeView, _ x: Shape, w: Shape
  ) throws(StackLensError) -> ConvolutionGeometry {
    guard x.rank == 4 else { throw .shapeMismatch("images need four axes, found \(x)") }
    return try .convolution(view, x: x, w: w)
  }

  private static func inputGradientGeometry(
    _ preparation: Preparation
  ) throws(StackLensError) -> ConvolutionGeometry {
    let x = preparation.outputs[0].shape
    return try inputGradientGeometry(
      preparation, Shape([x[0], x[3], x[1], x[2]]), w: preparation.input(1).shape)
  }

  private static func weightGradientGeometry(
    _ preparation: Preparation
  ) throws(StackLensError) -> ConvolutionGeometry {
    try channelsLastGeometry(
      preparation, x: preparation.input(1).shape, w: preparation.outputs[0].shape)
  }

  /// Checks that a gradient has the shape of a convolution's result.
  private static func requireLast(
    _ g: TensorType, _ geometry: ConvolutionGeometry
  ) throws(StackLensError) {
    guard g.shape.dims == geometry.channelsLastDims else {
      throw .shapeMismatch("gradient \(g) of a convolution that makes \(geometry.channelsLastDims)")
    }
  }

  /// The sums in double precision, one weight after the other.
  private static func weightGradientReference(
    _ preparation: Preparation, _ geometry: ConvolutionGeometry
  ) throws(StackLensError) -> PreparedKernel {
    let (channels, outputs) = (geometry.inputChannels, geometry.outputChannels)
    let (inputs, results) = (geometry.groupCount * channels, geometry.groupCount * outputs)
    return PreparedKernel { (run) throws(StackLensError) in
      let (g, x) = (try run.input(0).floats, try run.input(1).floats)
      let (dw, db) = (run.outputs[0].floats, run.outputs[1].floats)
      for output in 0..<results {
        geometry.forEachTap { tap, shift in
          for channel in 0..<channels {
            let from = output / outputs * channels + channel
            var sum = 0.0
            for image in 0..<geometry.batch {
              let (made, read) = (image * geometry.outputPixels, image * geometry.inputPixels)
              geometry.forEachLine(shift) { input, result, count, stride in
                for index in 0..<count {
                  sum +=
                    Double(g[(made + result + index) * results + output])
                    * Double(x[(read + input + index * stride) * inputs + from])
                }
              }
            }
            dw[(output * channels + channel) * geometry.kernelCount + tap] = Float(sum)
          }
        }
        var sum = 0.0
        for pixel in 0..<geometry.batch * geometry.outputPixels {
          sum += Double(g[pixel * results + output])
        }
        db[output] = Float(sum)
      }
    }
  }
}

extension ConvolutionGeometry {
  var channelsLastInputDims: [Int] {
    [batch, axes[1].input, axes[2].input, groupCount * inputChannels]
  }
}
