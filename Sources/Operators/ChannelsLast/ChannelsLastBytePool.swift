import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// MaxPool over bytes X [N, H, W, C]; padding counts as nothing.
  static let channelsLastBytePool = OperatorDefinition(
    "ChannelsLastBytePool", domain: stackLensDomain, versions: [1], inputs: 1...1,
    attributes: windowAttributes,
    infer: { (context) throws(StackLensError) in
      let geometry = try bytePoolGeometry(context, context.input(0, oneOf: [.uint8]).shape)
      return [TensorType(.uint8, try Shape(geometry.channelsLastDims))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let geometry = try bytePoolGeometry(preparation, preparation.input(0).shape)
        let (channels, taps) = (geometry.groupCount, geometry.kernelCount)
        let rows = try Shape([geometry.batch, geometry.outputPixels]).count
        var plan = ScratchPlan()
        let outsideRoom = try plan.reserve(channels, of: UInt8.self)
        let tableRoom = try plan.reserve(
          Shape([rows, taps]).count, of: UnsafePointer<UInt8>?.self)
        return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
          let outside = (run.scratch + outsideRoom).assumingMemoryBound(to: UInt8.self)
          outside.update(repeating: 0, count: channels)
          let tables = (run.scratch + tableRoom).assumingMemoryBound(
            to: UnsafePointer<UInt8>?.self)
          let x = try run.input(0).base.assumingMemoryBound(to: UInt8.self)
          let y = run.outputs[0].base.assumingMemoryBound(to: UInt8.self)
          run.parallel.ranges(rows, grain: 64) { range in
            var native = geometry.native
            let (first, table) = (range.lowerBound, tables + range.lowerBound * taps)
            slk_taps_fill_bytes(&native, x, channels, outside, first, range.upperBound, table)
            slk_largest_taps_u8(taps, channels, table, y + first * channels, range.count)
          }
        }
      }
    ]),
    samples: [
      Sample(
        [.bytes(1, 8, 7, 20)],
        ["kernel_shape": .ints([3, 3]), "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1])]),
      Sample(
        [.bytes(2, 6, 5, 3)],
        ["kernel_shape": .ints([3, 2]), "ceil_mode": .int(1), "strides": .ints([2, 2])]),
      Sample([.bytes(0, 4, 4, 3)], ["kernel_shape": .ints([2, 2])]),
    ])

  private static func bytePoolGeometry(
    _ view: some NodeView, _ x: Shape
  ) throws(StackLensError) -> ConvolutionGeometry {
    guard x.rank == 4 else { throw .shapeMismatch("images need four axes, found \(x)") }
    return try .pooling(view, x: Shape([x[0], x[3], x[1], x[2]]))
  }
}
