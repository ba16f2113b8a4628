import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// The mean over all spatial axes of quantised values, quantised.
  static let qLinearGlobalAveragePool = OperatorDefinition(
    "QLinearGlobalAveragePool", domain: "com.microsoft", versions: [1], inputs: 5...5,
    attributes: [.int("channels_last", default: 0)],
    infer: { (context) throws(StackLensError) in
      let x = try pooledInput(context)
      var dims = x.shape.dims.map { _ in 1 }
      let channelAxis = try context.flag("channels_last") ? x.rank - 1 : 1
      dims[0] = x.shape[0]
      dims[channelAxis] = x.shape[channelAxis]
      guard x.shape.count > 0 else { throw .shapeMismatch("the mean over \(x.shape) is undefined") }
      return [TensorType(x.elementType, try Shape(dims))]
    },
    execution: .kernels([
      Kernel("sums") { (preparation) throws(StackLensError) in
        guard try !preparation.flag("channels_last") else { return nil }
        let shape = try preparation.input(0).shape
        let maps = shape[0] * shape[1]
        let pixels = shape.count / maps
        let isSigned = preparation.outputs[0].elementType == .int8
        return PreparedKernel { (run) throws(StackLensError) in
          let x = try run.input(0).base.assumingMemoryBound(to: UInt8.self)
          let finish = try MeanQuantization(run)
          run.parallel.ranges(maps, grain: max(1, (1 << 15) / pixels)) { range in
            for map in range {
              let sum = slk_sum_bytes(x + map * pixels, isSigned ? 1 : 0, pixels)
              finish.store(Int(sum) - finish.xZero * pixels, of: pixels, at: map)
            }
          }
        }
      },
      Kernel("rows") { (preparation) throws(StackLensError) in
        let shape = try preparation.input(0).shape
        let channels = shape[shape.rank - 1]
        let pixels = shape.count / (shape[0] * channels)
        guard try preparation.flag("channels_last"), pixels < 1 << 23,
          preparation.outputs[0].elementType == .uint8
        else { return nil }
        let block = 256
        let blocks = (channels + block - 1) / block
        return PreparedKernel { (run) throws(StackLensError) in
          let x = try run.input(0).base.assumingMemoryBound(to: UInt8.self)
          let finish = try MeanQuantization(run)
          run.parallel.ranges(shape[0] * blocks, grain: max(1, (1 << 15) / (pixels * block))) {
            for part in $0 {
              let (image, place) = part.quotientAndRemainder(dividingBy: blocks)
              let first = place * block
              let count = min(block, channels - first)
              withUnsafeTemporaryAllocation(of: UInt32.self, capacity: block) { sums in
                slk_sum_rows_u8(
                  x + image * pixels * channels + first, channels, pixels, count, sums.baseAddress)
                for i in 0..<count {
                  finish.store(
                    Int(sums[i]) - finish.xZero * pixels, of: pixels,
                    at: image * channels + first + i)
                }
              }
            }
          }
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let shape = try preparation.input(0).shape
        let isLast = try preparation.flag("channels_last")
        let channels = isLast ? shape[shape.rank - 1] : shape[1]
        let pixels = shape.count / (shape[0] * channels)
        let (channelStep, pixelStep) = isLast ? (1, channels) : (pixels, 1)
        return pooling(preparation) { (index, add) in
          let (image, channel) = index.quotientAndRemainder(dividingBy: channels)
          let start = image * channels * pixels + channel * channelStep
          for pixel in 0..<pixels { add(start + pixel * pixelStep) }
          return pixels
        }
      },
    ]),
    samples: [
      Sample([
        .random(.uint8, [2, 3, 4, 5], low: 0, high: 255),
        .random(.float32, [], low: 0.01, high: 0.02), .random(.uint8, [], low: 99, high: 130),
        .random(.float32, [], low: 0.01, high: 0.02), .random(.uint8, [], low: 99, high: 130),
      ]),
      Sample(
        [
          .random(.int8, [1, 4, 3], low: -99, high: 99), .random(.float32, [], low: 1, high: 2),
          .random(.int8, [], low: 0, high: 1), .random(.float32, [], low: 1, high: 2),
          .random(.int8, [], low: 0, high: 1),
        ], ["channels_last": .int(1)]),
      Sample(
        [.bytes(2, 3, 3, 260), .scale(), .zero(), .scale(), .zero()], ["channels_last": .int(1)]),
    ])

  /// The mean over a window of quantised values, quantised.
  static let qLinearAveragePool = OperatorDefinition(
    "QLinearAveragePool", domain: "com.microsoft", versions: [1], inputs: 5...5,
    attributes: [
      .string("auto_pad", default: "NOTSET"), .int("ceil_mode", default: 0),
      .int("channels_last", default: 0), .int("count_include_pad", default: 0),
      .required("kernel_shape", .ints), .optional("pads", .ints), .optional("strides", .ints),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try pooledInput(context)
      guard try !context.flag("channels_last") else {
        throw .unsupported("QLinearAveragePool with channels_last")
      }
      let geometry = try ConvolutionGeometry.pooling(context, x: x.shape)
      return [TensorType(x.elementType, try Shape(geometry.outputDims))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let x = try preparation.input(0).shape
        let geometry = try ConvolutionGeometry.pooling(preparation, x: x)
        let countsPadding = try preparation.flag("count_include_pad")
        return pooling(preparation) { (index, add) in
          let (map, pixel) = index.quotientAndRemainder(dividingBy: geometry.outputPixels)
          return geometry.forEachInput(of: pixel, countsPadding: countsPadding) {
            add(map * geometry.inputPixels + $0)
          }
        }
      }
    ]),
    samples: [
      Sample(
        [
          .random(.uint8, [1, 3, 6, 5], low: 0, high: 255),
          .random(.float32, [], low: 0.01, high: 0.02), .random(.uint8, [], low: 99, high: 130),
          .random(.float32, [], low: 0.01, high: 0.02), .random(.uint8, [], low: 99, high: 130),
        ],
        ["kernel_shape": .ints([3, 2]), "strides": .ints([2, 1]), "pads": .ints([1, 0, 1, 1])])
    ])

  private static func pooledInput(_ context: Inference) throws(StackLensError) -> TensorType {
    let x = try context.input(0, oneOf: byteTypes)
    guard x.rank >= 3 else {
      throw .shapeMismatch("pooling needs rank 3 or more, found \(x.shape)")
    }
    _ = try context.sameElementType(0, 2, 4)
    for index in [1, 3] { _ = try context.input(index, oneOf: [.float32]) }
    try context.checkSingle(1, 2, 3, 4)
    return x
  }

  /// - Parameter window: calls its second argument with the offset of each input of an output, and
  ///   gives the number to divide by.
  private static func pooling(
    _ preparation: Preparation,
    window: @escaping @Sendable (_ output: Int, _ add: (Int) -> Void) -> Int
  ) -> PreparedKernel {
    let count = preparation.outputs[0].shape.count
    let isSigned = preparation.outputs[0].elementType == .int8
    return PreparedKernel { (run) throws(StackLensError) in
      let x = try run.input(0).base
      let finish = try MeanQuantization(run)
      let signed = x.assumingMemoryBound(to: Int8.self)
      let unsigned = x.assumingMemoryBound(to: UInt8.self)
      run.parallel.ranges(count, grain: 64) { range in
        for index in range {
          var sum = 0
          let divisor = window(index) { offset in
            sum += (isSigned ? Int(signed[offset]) : Int(unsigned[offset])) - finish.xZero
          }
          finish.store(sum, of: divisor, at: index)
        }
      }
    }
  }
}

/// Turns sums of bytes less their zero point into quantised means.
private struct MeanQuantization {
  let xZero: Int
  private let (xScale, yScale, yZero): (Double, Double, Double)
  private let output: Tensor

  init(_ run: Invocation) throws(StackLensError) {
    xScale = Double(floatParameters(try run.input(1))[0])
    xZero = Int(zeroPointParameters(run.inputs[2])[0])
    yScale = Double(floatParameters(try run.input(3))[0])
    yZero = Double(zeroPointParameters(run.inputs[4])[0])
    output = run.outputs[0]
  }

  func store(_ sum: Int, of count: Int, at index: Int) {
    let mean = Double(sum) * xScale / (yScale * Double(count))
    if output.elementType == .int8 {
      output.base.assumingMemoryBound(to: Int8.self)[index] = quantizedExactly(
        mean, zeroPoint: yZero, as: Int8.self)
    } else {
      output.base.assumingMemoryBound(to: UInt8.self)[index] = quantizedExactly(
        mean, zeroPoint: yZero, as: UInt8.self)
    }
  }
}
