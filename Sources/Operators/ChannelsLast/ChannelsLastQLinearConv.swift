import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// QLinearConv over X [N, H, W, C], unsigned, with signed weights as Conv has them, [M, C / group, kh,
  /// kw]; input 9, where present, is a table of 256 bytes that the result goes through.
  static let channelsLastQLinearConv = OperatorDefinition(
    "ChannelsLastQLinearConv", domain: stackLensDomain, versions: [1], inputs: 8...10,
    attributes: convolutionAttributes,
    infer: { (context) throws(StackLensError) in
      for index in [0, 2, 7, 9] where context.hasInput(index) {
        _ = try context.input(index, oneOf: [.uint8])
      }
      for index in [3, 5] { _ = try context.input(index, oneOf: [.int8]) }
      for index in [1, 4, 6] { _ = try context.input(index, oneOf: [.float32]) }
      let w = try context.input(3).shape
      let geometry = try channelsLastGeometry(context, x: context.input(0).shape, w: w)
      try context.checkSingle(1, 2, 6, 7)
      try context.checkSingle(4, orVectorOf: w[0])
      try context.checkSingle(5, orVectorOf: w[0])
      if context.hasInput(8) {
        let bias = try context.input(8, oneOf: [.int32]).shape
        guard bias.dims == [w[0]] else {
          throw .shapeMismatch("bias has shape \(bias), expected [\(w[0])]")
        }
      }
      if context.hasInput(9) { try context.check(9, holds: 256) }
      return [TensorType(.uint8, try Shape(geometry.channelsLastDims))]
    },
    execution: .kernels([
      Kernel("depthwise") { (preparation) throws(StackLensError) in
        try ByteDepthwise(preparation)?.prepared
      },
      Kernel("taps") { (preparation) throws(StackLensError) in
        try ByteProduct(preparation)?.prepared
      },
      .reference { (preparation) throws(StackLensError) in
        try plainByteConvolution(preparation)
      },
    ]),
    samples: [
      byteConvolution([1, 7, 6, 8], [50, 8, 3, 3], ["pads": .ints([1, 1, 1, 1])]),
      byteConvolution([2, 9, 10, 20], [19, 20, 1, 1], [:], hasTable: true),
      byteConvolution(
        [1, 13, 12, 3], [20, 3, 5, 5], ["pads": .ints([2, 2, 2, 2]), "strides": .ints([2, 2])]),
      byteConvolution(
        [1, 9, 9, 6], [7, 6, 3, 2], ["dilations": .ints([2, 1]), "pads": .ints([2, 0, 1, 1])]),
      byteConvolution(
        [1, 6, 5, 12], [18, 6, 3, 3], ["group": .int(2), "auto_pad": .string("SAME_UPPER")]),
      byteConvolution(
        [1, 9, 9, 36], [36, 1, 3, 3], ["group": .int(36), "pads": .ints([1, 1, 1, 1])]),
      byteConvolution(
        [2, 8, 7, 100], [100, 1, 5, 5],
        ["group": .int(100), "pads": .ints([2, 2, 2, 2]), "strides": .ints([2, 2])],
        hasTable: true),
      byteConvolution([0, 5, 5, 4], [3, 4, 3, 3], [:]),
      byteConvolution([1, 6, 6, 24], [8, 24, 1, 1], ["strides": .ints([2, 2])]),
    ])

  private static func byteConvolution(
    _ x: [Int], _ w: [Int], _ attributes: [String: Attribute], hasTable: Bool = false
  ) -> Sample {
    let outputs = w[0]
    var inputs: [Sample.Input] = [
      .random(.uint8, x, low: 0, high: 255), .scale(), .zero(),
      .random(.int8, w, low: -127, high: 127), .scale(outputs), .random(.int8, [], low: 0, high: 1),
      .random(.float32, [], low: 1, high: 2), .random(.uint8, [], low: 99, high: 130),
      .random(.int32, [outputs], low: -999, high: 999),
    ]
    if hasTable { inputs.append(.random(.uint8, [256], low: 0, high: 255)) }
    return Sample(inputs, attributes)
  }

  /// The formula on the images with their channels first.
  private static func plainByteConvolution(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (x, w) = (try preparation.input(0).shape, try preparation.input(3).shape)
    let geometry = try channelsLastGeometry(preparation, x: x, w: w)
    let (inputs, outputs) = (x[3], w[0])
    let (pixels, results) = (geometry.inputPixels, geometry.outputPixels)
    var plan = ScratchPlan()
    let integers = try IntegerConvolution(geometry, x: x, w: w, plan: &plan)
    let sumRoom = try plan.reserve(preparation.outputs[0].shape.count, of: Int32.self)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let source = try run.input(0).base.assumingMemoryBound(to: UInt8.self)
      let turned = try Tensor(uninitialized: .uint8, Shape(x.dims))
      let first = turned.base.assumingMemoryBound(to: UInt8.self)
      for index in 0..<x.count {
        let (pixel, channel) = index.quotientAndRemainder(dividingBy: inputs)
        let (image, place) = pixel.quotientAndRemainder(dividingBy: pixels)
        first[(image * inputs + channel) * pixels + place] = source[index]
      }
      let sums = (run.scratch + sumRoom).assumingMemoryBound(to: Int32.self)
      integers.compute(
        x: turned, w: try run.input(3), xZero: zeroPointParameters(try run.input(2))[0],
        wZero: zeroPointParameters(try run.input(5)), into: sums, scratch: run.scratch,
        parallel: run.parallel)
      func optional(_ index: Int) -> Tensor? {
        index < run.inputs.count ? run.inputs[index] : nil
      }
      let (xScale, wScales) = (
        floatParameters(try run.input(1))[0], floatParameters(try run.input(4))
      )
      let yScale = floatParameters(try run.input(6))[0]
      let zero = Float(zeroPointParameters(try run.input(7))[0])
      let bias = optional(8).map { zeroPointParameters($0) }
      let table = optional(9)?.base.assumingMemoryBound(to: UInt8.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: UInt8.self)
      for index in 0..<run.outputs[0].count {
        let (pixel, channel) = index.quotientAndRemainder(dividingBy: outputs)
        let (image, place) = pixel.quotientAndRemainder(dividingBy: results)
        let sum = sums[(image * outputs + channel) * results + place] &+ (bias?[channel] ?? 0)
        let scale = xScale * wScales[wScales.count == 1 ? 0 : channel] / yScale
        let byte = quantized(Float(sum) * scale, zeroPoint: zero, as: UInt8.self)
        y[index] = table.map { $0[Int(byte)] } ?? byte
      }
    }
  }
}
