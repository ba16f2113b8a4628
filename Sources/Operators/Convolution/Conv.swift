import Base
import Graphs
import Tensors

extension OperatorTable {
  static let convolution: [OperatorDefinition] = [
    .conv, .fusedConv, .convTranspose, .deformConv, .col2Im, .convInputGradient,
    .convWeightGradient, .deformColumns, .deformColumnsGradient, .im2Col,
  ]
}

let convolutionAttributes: [AttributeSpec] = [
  .string("auto_pad", default: "NOTSET"), .optional("dilations", .ints), .int("group", default: 1),
  .optional("kernel_shape", .ints), .optional("pads", .ints), .optional("strides", .ints),
]

let convolutionTypes: [ElementType] = [.float32, .float64, .float16, .bfloat16]

extension OperatorDefinition {
  /// Convolution in one to three dimensions, channels first, with groups. ONNX Conv-22.
  static let conv = OperatorDefinition(
    "Conv", versions: [1, 11, 22], inputs: 2...3, attributes: convolutionAttributes,
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: convolutionTypes).elementType
      _ = try context.sameElementType(0, 1, 2)
      let geometry = try ConvolutionGeometry.convolution(
        context, x: context.input(0).shape, w: context.input(1).shape)
      try checkBias(context, geometry)
      return [TensorType(type, try Shape(geometry.outputDims))]
    },
    execution: .kernels([
      Kernel("depthwise") { (preparation) throws(StackLensError) in
        try convolutionDepthwise(preparation, activation: .none)
      },
      Kernel("packed") { (preparation) throws(StackLensError) in
        try convolutionPacked(preparation, activation: .none)
      },
      .reference { (preparation) throws(StackLensError) in
        try convolutionReference(preparation, activation: .none)
      },
    ]),
    gradient: .conv,
    samples: [
      Sample(
        [.floats(1, 2, 7, 6), .floats(3, 2, 3, 3), .floats(3)],
        ["pads": .ints([1, 1, 1, 1]), "strides": .ints([2, 1])]),
      Sample([.floats(2, 4, 9), .floats(6, 2, 3)], ["group": .int(2), "dilations": .ints([2])]),
      Sample([.floats(1, 3, 5, 5), .floats(4, 3, 1, 1), .floats(4)]),
      Sample(
        [.floats(1, 4, 8, 9), .floats(4, 1, 3, 3), .floats(4)],
        ["group": .int(4), "auto_pad": .string("SAME_UPPER"), "strides": .ints([2, 2])]),
      Sample(
        [.floats(1, 2, 4, 5, 6), .floats(3, 2, 2, 3, 2)], ["pads": .ints([1, 0, 1, 0, 1, 0])]),
      Sample([.floats(0, 2, 5, 5), .floats(3, 2, 3, 3)]),
      Sample(
        [.floats(1, 16, 20, 20), .floats(24, 16, 3, 3), .floats(24)],
        ["pads": .ints([1, 1, 1, 1])]),
    ])

  /// Y = activation(convolution + bias + residual): inputs X, W, bias?, residual? (the shape of Y).
  /// Made by the compile passes.
  static let fusedConv = OperatorDefinition(
    "FusedConv", domain: "ai.stacklens", versions: [1], inputs: 2...4,
    attributes: convolutionAttributes + [.string("activation", default: "none")],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: convolutionTypes).elementType
      _ = try context.sameElementType(0, 1, 2, 3)
      _ = try FusedActivation(context)
      let geometry = try ConvolutionGeometry.convolution(
        context, x: context.input(0).shape, w: context.input(1).shape)
      try checkBias(context, geometry)
      let shape = try Shape(geometry.outputDims)
      if context.hasInput(3) {
        let residual = try context.input(3).shape
        guard residual == shape else {
          throw .shapeMismatch("residual has shape \(residual), expected \(shape)")
        }
      }
      return [TensorType(type, shape)]
    },
    execution: .kernels([
      Kernel("depthwise") { (preparation) throws(StackLensError) in
        try convolutionDepthwise(preparation, activation: FusedActivation(preparation))
      },
      Kernel("packed") { (preparation) throws(StackLensError) in
        try convolutionPacked(preparation, activation: FusedActivation(preparation))
      },
      .reference { (preparation) throws(StackLensError) in
        try convolutionReference(preparation, activation: FusedActivation(preparation))
      },
    ]),
    samples: [
      Sample(
        [.floats(1, 2, 7, 6), .floats(3, 2, 3, 3), .floats(3)],
        ["pads": .ints([1, 1, 1, 1]), "activation": .string("relu")]),
      Sample(
        [.floats(2, 3, 9, 9), .floats(5, 3, 1, 1), .absent, .floats(2, 5, 9, 9)],
        ["activation": .string("silu")]),
      Sample(
        [.floats(1, 4, 9, 9), .floats(4, 1, 3, 3), .floats(4), .floats(1, 4, 7, 7)],
        ["group": .int(4), "activation": .string("relu")]),
    ])

  static func checkBias(
    _ context: Inference, _ geometry: ConvolutionGeometry
  ) throws(StackLensError) {
    guard context.hasInput(2) else { return }
    let bias = try context.input(2).shape
    let expected = geometry.groupCount * geometry.outputChannels
    guard bias.dims == [expected] else {
      throw .shapeMismatch("bias has shape \(bias), expected [\(expected)]")
    }
  }

  private static func convolutionPacked(
    _ preparation: Preparation, activation: FusedActivation
  ) throws(StackLensError) -> PreparedKernel? {
    guard try preparation.input(0).elementType == .float32 else { return nil }
    let geometry = try ConvolutionGeometry.convolution(
      preparation, x: preparation.input(0).shape, w: preparation.input(1).shape)
    guard !geometry.isEmpty, geometry.termCount > 0 else { return nil }
    var plan = ScratchPlan()
    let convolution = try PackedConvolution(
      geometry, activation, threadCount: preparation.threadCount, plan: &plan)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      convolution.compute(try operands(run), run.scratch, run.parallel)
    }
  }

  private static func convolutionDepthwise(
    _ preparation: Preparation, activation: FusedActivation
  ) throws(StackLensError) -> PreparedKernel? {
    guard try preparation.input(0).elementType == .float32 else { return nil }
    let geometry = try ConvolutionGeometry.convolution(
      preparation, x: preparation.input(0).shape, w: preparation.input(1).shape)
    // A single group is an ordinary product; with many outputs for one input it wins there.
    guard geometry.groupCount > 1 || geometry.outputChannels < 4 else { return nil }
    var plan = ScratchPlan()
    guard
      let convolution = try DepthwiseConvolution(
        geometry, activation, threadCount: preparation.threadCount, plan: &plan)
    else { return nil }
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      convolution.compute(try operands(run), run.scratch, run.parallel)
    }
  }

  static func operands(_ run: Invocation) throws(StackLensError) -> ConvolutionOperands {
    func optional(_ index: Int) -> UnsafePointer<Float>? {
      guard index < run.inputs.count, let tensor = run.inputs[index] else { return nil }
      return Float.load(tensor, run.scratch)
    }
    return ConvolutionOperands(
      x: Float.load(try run.input(0), run.scratch), w: Float.load(try run.input(1), run.scratch),
      bias: optional(2), residual: optional(3), y: Float.target(run.outputs[0], run.scratch))
  }

  private static func convolutionReference(
    _ preparation: Preparation, activation: FusedActivation
  ) throws(StackLensError) -> PreparedKernel {
    let geometry = try ConvolutionGeometry.convolution(
      preparation, x: preparation.input(0).shape, w: preparation.input(1).shape)
    return try preparation.input(0).elementType == .float64
      ? try floatingKernel(Double.self, preparation, geometry, activation) {
        geometry.computeReference($0, $1, $2, $3)
      }
      : try floatingKernel(Float.self, preparation, geometry, activation) {
        geometry.computeReference($0, $1, $2, $3)
      }
  }

  /// Wraps `product` with widening, bias, residual and activation.
  static func floatingKernel<T: ComputeElement & BinaryFloatingPoint>(
    _ type: T.Type, _ preparation: Preparation, _ geometry: ConvolutionGeometry,
    _ activation: FusedActivation,
    _ product:
      @escaping @Sendable (
        UnsafePointer<T>, UnsafePointer<T>, UnsafeMutablePointer<T>, Parallel
      ) -> Void
  ) throws(StackLensError) -> PreparedKernel {
    var plan = ScratchPlan()
    var rooms: [Int] = []
    for input in preparation.inputs {
      guard let input else {
        rooms.append(0)
        continue
      }
      rooms.append(try plan.reserve(input, as: type))
    }
    let yRoom = try plan.reserve(preparation.outputs[0], as: type)
    let inputRooms = rooms
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let operands = zip(run.inputs, inputRooms).map { tensor, room in
        tensor.map { T.load($0, run.scratch + room) }
      }
      guard let x = operands[0], let w = operands[1] else {
        throw .invalidArgument("an operand is missing")
      }
      let bias = operands.count > 2 ? operands[2] : nil
      let residual = operands.count > 3 ? operands[3] : nil
      let y = T.target(run.outputs[0], run.scratch + yRoom)
      product(x, w, y, run.parallel)
      let pixels = geometry.outputPixels
      let channels = geometry.groupCount * geometry.outputChannels
      for map in 0..<(pixels == 0 ? 0 : geometry.batch * channels) {
        for i in map * pixels..<(map + 1) * pixels {
          if let bias { y[i] += bias[map % channels] }
          if let residual { y[i] += residual[i] }
          if activation != .none { y[i] = T(activation(Double(y[i]))) }
        }
      }
      T.store(y, run.outputs[0])
    }
  }
}
