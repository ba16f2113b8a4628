import Base
import CKernels
import Graphs
import Tensors

extension OperatorTable {
  /// Operators over images whose channels lie side by side: [batch, height, width, channels]. A pass
  /// puts them in place of the standard ones, which have the channels first.
  static let channelsLast: [OperatorDefinition] = [
    .channelsLastConv, .channelsLastPool, .channelsLastQLinearConv, .channelsLastBytePool,
    .channelsLastConvInputGradient, .channelsLastConvWeightGradient, .channelsLastPoolGradient,
  ]
}

extension OperatorDefinition {
  /// Y = activation(convolution + bias + residual) in two dimensions: X [N, H, W, C], weights as Conv
  /// has them, [M, C / group, kh, kw], bias? [M], residual? that broadcasts to Y [N, H', W', M], and
  /// gate? [N, 1, 1, C], which X is multiplied by.
  static let channelsLastConv = OperatorDefinition(
    "ChannelsLastConv", domain: stackLensDomain, versions: [1], inputs: 2...5,
    attributes: convolutionAttributes + [.string("activation", default: "none")],
    infer: { (context) throws(StackLensError) in
      _ = try context.input(0, oneOf: [.float32])
      _ = try context.sameElementType(0, 1, 2, 3, 4)
      _ = try FusedActivation(context)
      let geometry = try channelsLastGeometry(
        context, x: context.input(0).shape, w: context.input(1).shape)
      try checkBias(context, geometry)
      if context.hasInput(4) {
        let (gate, x) = (try context.input(4).shape, try context.input(0).shape)
        guard gate.dims == [x[0], 1, 1, x[3]] else {
          throw .shapeMismatch("gate has shape \(gate) for images \(x)")
        }
      }
      var shape = try Shape(geometry.channelsLastDims)
      if context.hasInput(3) { shape = try shape.broadcast(with: context.input(3).shape) }
      return [TensorType(.float32, shape)]
    },
    execution: .kernels([
      Kernel("depthwise") { (preparation) throws(StackLensError) in
        try ChannelsLastDepthwise(preparation)?.prepared
      },
      Kernel("winograd") { (preparation) throws(StackLensError) in
        try ChannelsLastWinograd(preparation, ChannelsLastForm(preparation))?.prepared
      },
      Kernel("packed") { (preparation) throws(StackLensError) in
        try ChannelsLastProduct(preparation, ChannelsLastForm(preparation))?.prepared
      },
      .reference { (preparation) throws(StackLensError) in
        try channelsLastReference(preparation)
      },
    ]),
    samples: [
      Sample(
        [.floats(1, 7, 6, 2), .floats(3, 2, 3, 3), .floats(3)],
        ["pads": .ints([1, 1, 1, 1]), "strides": .ints([2, 1])]),
      Sample(
        [.floats(2, 9, 9, 3), .floats(5, 3, 1, 1), .absent, .floats(2, 9, 9, 5)],
        ["activation": .string("silu")]),
      Sample(
        [.floats(2, 5, 6, 20), .floats(50, 20, 3, 3), .floats(50), .floats(1, 1, 1, 50)],
        ["activation": .string("relu"), "dilations": .ints([2, 1]), "pads": .ints([2, 0, 1, 1])]),
      Sample(
        [.floats(1, 9, 9, 36), .floats(36, 1, 3, 3), .floats(36), .floats(1, 7, 7, 36)],
        ["group": .int(36), "activation": .string("hard_swish")]),
      Sample(
        [.floats(1, 8, 8, 12), .floats(18, 6, 3, 3), .floats(18)],
        ["group": .int(2), "auto_pad": .string("SAME_UPPER"), "activation": .string("relu6")]),
      Sample(
        [.floats(1, 14, 15, 40), .floats(36, 40, 3, 3), .floats(36), .floats(1, 14, 15, 36)],
        ["pads": .ints([1, 1, 1, 1]), "activation": .string("relu")]),
      Sample([.floats(2, 10, 15, 32), .floats(70, 32, 3, 3)], ["pads": .ints([0, 1, 0, 0])]),
      Sample([.floats(0, 5, 5, 2), .floats(3, 2, 3, 3)]),
      Sample([.floats(1, 6, 6, 24), .floats(8, 24, 1, 1)], ["strides": .ints([2, 2])]),
      Sample(
        [.floats(1, 9, 9, 20), .floats(50, 20, 1, 1), .floats(50), .absent, .floats(1, 1, 1, 20)],
        ["activation": .string("relu")]),
      Sample([
        .floats(3, 2, 3, 40), .floats(24, 40, 1, 1), .absent, .floats(3, 2, 3, 24),
        .floats(3, 1, 1, 40),
      ]),
      Sample(
        [.floats(2, 5, 5, 3), .floats(4, 3, 3, 3), .absent, .absent, .floats(2, 1, 1, 3)],
        ["pads": .ints([1, 1, 1, 1])]),
    ])

  static func channelsLastGeometry(
    _ view: some NodeView, x: Shape, w: Shape
  ) throws(StackLensError) -> ConvolutionGeometry {
    guard x.rank == 4 else { throw .shapeMismatch("images need four axes, found \(x)") }
    return try .convolution(view, x: Shape([x[0], x[3], x[1], x[2]]), w: w)
  }

  /// Images with their channels last as ones that have them first, for the plain formulas.
  static func putChannelsFirst(
    _ source: UnsafePointer<Float>, _ images: Int, _ channels: Int, _ pixels: Int,
    _ target: UnsafeMutablePointer<Float>
  ) {
    for image in 0..<images {
      let start = image * pixels * channels
      slk_transpose(source + start, channels, target + start, pixels, pixels, channels, 4)
    }
  }

  /// The formula on the images with their channels first.
  private static func channelsLastReference(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let geometry = try channelsLastGeometry(
      preparation, x: preparation.input(0).shape, w: preparation.input(1).shape)
    let activation = try FusedActivation(preparation)
    let (inputs, outputs) = (
      geometry.groupCount * geometry.inputChannels, geometry.groupCount * geometry.outputChannels
    )
    let (pixels, results) = (geometry.inputPixels, geometry.outputPixels)
    let output = preparation.outputs[0].shape
    var plan = ScratchPlan()
    let xRoom = try plan.reserve(preparation.input(0).shape.count, of: Float.self)
    let yRoom = try plan.reserve(Shape(geometry.outputDims).count, of: Float.self)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let (source, w) = (try run.input(0).floats, try run.input(1).floats)
      let x = (run.scratch + xRoom).assumingMemoryBound(to: Float.self)
      let sums = (run.scratch + yRoom).assumingMemoryBound(to: Float.self)
      putChannelsFirst(source, geometry.batch, inputs, pixels, x)
      if run.inputs.count > 4, let gate = run.inputs[4] {
        for index in 0..<gate.count * pixels { x[index] *= gate.floats[index / pixels] }
      }
      geometry.computeReference(x, w, sums, run.parallel)
      func optional(_ index: Int) -> Tensor? {
        index < run.inputs.count ? run.inputs[index] : nil
      }
      let (bias, residual) = (optional(2)?.floats, optional(3))
      let own = geometry.channelsLastDims
      for index in 0..<output.count {
        var (rest, place, other) = (index, [0, 0, 0, 0], 0)
        for axis in (0..<4).reversed() {
          place[axis] = rest % output[axis]
          rest /= output[axis]
        }
        if let residual {
          for axis in 0..<residual.rank {
            let extent = residual.shape[axis]
            other = other * extent + (extent == 1 ? 0 : place[4 - residual.rank + axis])
          }
        }
        for axis in 0..<4 where own[axis] == 1 { place[axis] = 0 }
        let pixel = place[1] * own[2] + place[2]
        var value = sums[(place[0] * outputs + place[3]) * results + pixel]
        if let bias { value += bias[place[3]] }
        if let residual { value += residual.floats[other] }
        run.outputs[0].floats[index] =
          activation == .none ? value : Float(activation(Double(value)))
      }
    }
  }
}

extension ConvolutionGeometry {
  var channelsLastDims: [Int] {
    [batch, axes[1].output, axes[2].output, groupCount * outputChannels]
  }
}
