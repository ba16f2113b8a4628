import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// MaxPool (maximum 1) or AveragePool over X [N, H, W, C].
  static let channelsLastPool = OperatorDefinition(
    "ChannelsLastPool", domain: stackLensDomain, versions: [1], inputs: 1...1,
    attributes: windowAttributes + [
      .int("maximum", default: 1), .int("count_include_pad", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: [.float32])
      let geometry = try channelsLastPoolGeometry(context, x.shape)
      return [TensorType(.float32, try Shape(geometry.channelsLastDims))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let x = try preparation.input(0).shape
        let geometry = try channelsLastPoolGeometry(preparation, x)
        let isMaximum = try preparation.flag("maximum")
        let channels = geometry.groupCount
        let scales = isMaximum ? [] : try scales(preparation, geometry)
        let rows = try Shape([geometry.batch, geometry.outputPixels]).count
        let taps = geometry.kernelCount
        var plan = ScratchPlan()
        let outsideRoom = try plan.reserve(channels, of: Float.self)
        let tableRoom = try plan.reserve(
          Shape([rows, taps]).count, of: UnsafePointer<Float>?.self)
        return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
          let outside = (run.scratch + outsideRoom).assumingMemoryBound(to: Float.self)
          outside.update(repeating: isMaximum ? -.infinity : 0, count: channels)
          let tables = (run.scratch + tableRoom).assumingMemoryBound(
            to: UnsafePointer<Float>?.self)
          let x = try run.input(0).floats
          run.parallel.ranges(rows, grain: 32) { range in
            var native = geometry.native
            let table = tables + range.lowerBound * taps
            slk_taps_fill(&native, x, channels, outside, range.lowerBound, range.upperBound, table)
            for row in range {
              var scale = isMaximum ? 1 : scales[row % geometry.outputPixels]
              slk_pool_taps_f32(
                isMaximum, taps, channels, tables + row * taps, &scale,
                run.outputs[0].floats + row * channels, 1)
            }
          }
        }
      }
    ]),
    samples: [
      Sample(
        [.floats(1, 8, 7, 20)],
        ["kernel_shape": .ints([3, 3]), "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1])]),
      Sample(
        [.floats(2, 6, 5, 3)],
        [
          "kernel_shape": .ints([3, 2]), "pads": .ints([1, 0, 1, 1]), "ceil_mode": .int(1),
          "strides": .ints([2, 2]), "count_include_pad": .int(1), "maximum": .int(0),
        ]),
      Sample([.floats(0, 4, 4, 3)], ["kernel_shape": .ints([2, 2])]),
    ])

  /// One over the number of values of each window.
  private static func scales(
    _ preparation: Preparation, _ geometry: ConvolutionGeometry
  ) throws(StackLensError) -> [Float] {
    let countsPadding = try preparation.flag("count_include_pad")
    return (0..<geometry.outputPixels).map { pixel in
      1 / Float(geometry.forEachInput(of: pixel, countsPadding: countsPadding) { _ in })
    }
  }
}
