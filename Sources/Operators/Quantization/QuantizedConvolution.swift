import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// int32 convolution of 8-bit integers less their zero points; padding counts as the zero point.
  /// ONNX ConvInteger-10.
  static let convInteger = OperatorDefinition(
    "ConvInteger", versions: [10], inputs: 2...4, attributes: convolutionAttributes,
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: byteTypes)
      let w = try context.input(1, oneOf: byteTypes)
      _ = try context.sameElementType(0, 2)
      _ = try context.sameElementType(1, 3)
      let geometry = try ConvolutionGeometry.convolution(context, x: x.shape, w: w.shape)
      try context.checkSingle(2)
      try context.checkSingle(3, orVectorOf: w.shape[0])
      return [TensorType(.int32, try Shape(geometry.outputDims))]
    },
    execution: .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        let geometry = try ConvolutionGeometry.convolution(
          preparation, x: preparation.input(0).shape, w: preparation.input(1).shape)
        var plan = ScratchPlan()
        let integers = try PackedIntegerConvolution(preparation, w: 1, geometry, plan: &plan)
        guard let integers else { return nil }
        let hasXZero = preparation.hasInput(2)
        let hasWZero = preparation.hasInput(3)
        return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
          let y = run.outputs[0].base.assumingMemoryBound(to: Int32.self)
          integers.compute(
            x: try run.input(0), w: try run.input(1),
            xZero: zeroPointParameters(hasXZero ? try run.input(2) : nil)[0],
            wZero: zeroPointParameters(hasWZero ? try run.input(3) : nil), scratch: run.scratch,
            parallel: run.parallel
          ) { _, start, count, sums in (y + start).update(from: sums, count: count) }
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let (x, w) = (try preparation.input(0).shape, try preparation.input(1).shape)
        let geometry = try ConvolutionGeometry.convolution(preparation, x: x, w: w)
        let hasXZero = preparation.hasInput(2)
        let hasWZero = preparation.hasInput(3)
        var plan = ScratchPlan()
        let integers = try IntegerConvolution(geometry, x: x, w: w, plan: &plan)
        return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
          integers.compute(
            x: try run.input(0), w: try run.input(1),
            xZero: zeroPointParameters(hasXZero ? try run.input(2) : nil)[0],
            wZero: zeroPointParameters(hasWZero ? try run.input(3) : nil),
            into: run.outputs[0].base.assumingMemoryBound(to: Int32.self), scratch: run.scratch,
            parallel: run.parallel)
        }
      },
    ]),
    samples: [
      Sample(
        [
          .random(.uint8, [1, 2, 5, 5], low: 0, high: 255),
          .random(.int8, [3, 2, 3, 3], low: -127, high: 127),
          .random(.uint8, [], low: 9, high: 99), .random(.int8, [3], low: -9, high: 9),
        ], ["pads": .ints([1, 1, 1, 1])]),
      Sample([
        .random(.uint8, [2, 1, 7], low: 0, high: 255),
        .random(.uint8, [2, 1, 3], low: 0, high: 255),
      ]),
    ])

  /// Convolution of quantised values, quantised: exact int32 sums and bias, one rounding at the end.
  /// ONNX QLinearConv-10.
  static let qLinearConv = OperatorDefinition(
    "QLinearConv", versions: [10], inputs: 8...9, attributes: convolutionAttributes,
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: byteTypes)
      let w = try context.input(3, oneOf: byteTypes)
      for index in [1, 4, 6] { _ = try context.input(index, oneOf: [.float32]) }
      _ = try context.sameElementType(0, 2)
      _ = try context.sameElementType(3, 5)
      let type = try context.input(7, oneOf: byteTypes).elementType
      let geometry = try ConvolutionGeometry.convolution(context, x: x.shape, w: w.shape)
      try context.checkSingle(1, 2, 6, 7)
      try context.checkSingle(4, orVectorOf: w.shape[0])
      try context.checkSingle(5, orVectorOf: w.shape[0])
      if context.hasInput(8) {
        let bias = try context.input(8, oneOf: [.int32]).shape
        guard bias.dims == [w.shape[0]] else {
          throw .shapeMismatch("bias has shape \(bias), expected [\(w.shape[0])]")
        }
      }
      return [TensorType(type, try Shape(geometry.outputDims))]
    },
    execution: .kernels([
      Kernel("packed", prepare: qLinearConvPacked),
      .reference { (preparation) throws(StackLensError) in
        preparation.outputs[0].elementType == .int8
          ? try qLinearConvKernel(Int8.self, preparation)
          : try qLinearConvKernel(UInt8.self, preparation)
      },
    ]),
    samples: [
      Sample(
        [
          .random(.uint8, [1, 4, 5, 5], low: 0, high: 255),
          .random(.float32, [], low: 0.01, high: 0.02), .random(.uint8, [], low: 99, high: 130),
          .random(.int8, [6, 2, 3, 3], low: -127, high: 127),
          .random(.float32, [6], low: 0.01, high: 0.02), .random(.int8, [6], low: -1, high: 1),
          .random(.float32, [], low: 0.1, high: 0.2), .random(.uint8, [], low: 99, high: 130),
          .random(.int32, [6], low: -999, high: 999),
        ], ["pads": .ints([1, 1, 1, 1]), "group": .int(2)])
    ])

  private static func qLinearConvPacked(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    let geometry = try ConvolutionGeometry.convolution(
      preparation, x: preparation.input(0).shape, w: preparation.input(3).shape)
    var plan = ScratchPlan()
    let integers = try PackedIntegerConvolution(preparation, w: 3, geometry, plan: &plan)
    guard let integers else { return nil }
    let hasBias = preparation.hasInput(8)
    let isSigned = preparation.outputs[0].elementType == .int8
    let (low, high): (Int32, Int32) = isSigned ? (-128, 127) : (0, 255)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let y = run.outputs[0].base.assumingMemoryBound(to: UInt8.self)
      let xScale = floatParameters(try run.input(1))[0]
      let wScales = floatParameters(try run.input(4))
      let yScale = floatParameters(try run.input(6))[0]
      let zero = zeroPointParameters(try run.input(7))[0]
      let bias = hasBias ? zeroPointParameters(try run.input(8)) : []
      integers.compute(
        x: try run.input(0), w: try run.input(3),
        xZero: zeroPointParameters(try run.input(2))[0],
        wZero: zeroPointParameters(try run.input(5)), scratch: run.scratch, parallel: run.parallel
      ) { channel, start, count, sums in
        let scale = xScale * wScales[wScales.count == 1 ? 0 : channel] / yScale
        slk_quantise_i32(
          sums, count, hasBias ? bias[channel] : 0, scale, zero, low, high, y + start)
      }
    }
  }

  private static func qLinearConvKernel<Q: FixedWidthInteger & Sendable>(
    _ type: Q.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (x, w) = (try preparation.input(0).shape, try preparation.input(3).shape)
    let geometry = try ConvolutionGeometry.convolution(preparation, x: x, w: w)
    let hasBias = preparation.hasInput(8)
    let count = preparation.outputs[0].shape.count
    var plan = ScratchPlan()
    let integers = try IntegerConvolution(geometry, x: x, w: w, plan: &plan)
    let sums = try plan.reserve(count, of: Int32.self)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      guard count > 0 else { return }
      let y = run.outputs[0].base.assumingMemoryBound(to: Q.self)
      let sums = (run.scratch + sums).bindMemory(to: Int32.self, capacity: count)
      integers.compute(
        x: try run.input(0), w: try run.input(3),
        xZero: zeroPointParameters(try run.input(2))[0],
        wZero: zeroPointParameters(try run.input(5)), into: sums, scratch: run.scratch,
        parallel: run.parallel)
      let xScale = floatParameters(try run.input(1))[0]
      let wScales = floatParameters(try run.input(4))
      let yScale = floatParameters(try run.input(6))[0]
      let zero = Float(zeroPointParameters(try run.input(7))[0])
      let bias = hasBias ? zeroPointParameters(try run.input(8)) : []
      let pixels = geometry.outputPixels
      let channels = geometry.groupCount * geometry.outputChannels
      for map in 0..<geometry.batch * channels {
        let channel = map % channels
        let scale = xScale * wScales[wScales.count == 1 ? 0 : channel] / yScale
        let offset = hasBias ? bias[channel] : 0
        for i in map * pixels..<(map + 1) * pixels {
          y[i] = quantized(Float(sums[i] &+ offset) * scale, zeroPoint: zero, as: Q.self)
        }
      }
    }
  }
}
