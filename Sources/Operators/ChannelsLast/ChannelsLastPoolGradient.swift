import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// Back through pooling with the channels last. `maximum` 1: from g and x [N, H, W, C], g at the first
  /// largest input of each window, with `positive` 1 only where that is above 0: back through a Relu that
  /// made x as well. `maximum` 0: from g and the extents of x with their channels first, an equal share
  /// of g for each input.
  static let channelsLastPoolGradient = OperatorDefinition(
    "ChannelsLastPoolGradient", domain: stackLensDomain, versions: [1], inputs: 2...2,
    attributes: windowAttributes + [
      .int("maximum", default: 1), .int("count_include_pad", default: 0),
      .int("positive", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: [.float32])
      var dims = try context.input(1).shape.dims
      if try !context.flag("maximum") {
        let extents = try context.value(1).integers()
        guard extents.count == 4 else {
          throw .shapeMismatch("images need four axes, found the extents \(extents)")
        }
        dims = [0, 2, 3, 1].map { extents[$0] }
      }
      let x = try Shape(dims)
      guard try g.shape.dims == channelsLastPoolGeometry(context, x).channelsLastDims else {
        throw .shapeMismatch("gradient \(g) of a pooling of \(x)")
      }
      return [TensorType(.float32, x)]
    },
    execution: .kernels([
      Kernel("taps") { (preparation) throws(StackLensError) in
        try ChannelsLastPoolBack(preparation).prepared
      },
      .reference { (preparation) throws(StackLensError) in
        let back = try ChannelsLastPoolBack(preparation)
        return PreparedKernel { (run) throws(StackLensError) in try back.computePlain(run) }
      },
    ]),
    outline: { (context) throws(StackLensError) in
      guard try context.flag("maximum") else {
        guard let dims = try context.value(1)?.integers(), dims.count == 4 else {
          return [.elements(.float32)]
        }
        return try [.tensor(.float32, [dims[0], dims[2], dims[3], dims[1]])]
      }
      return [try context.input(1)]
    },
    samples: [
      Sample(
        [.floats(2, 4, 3, 20), .floats(2, 8, 7, 20)],
        ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2]), "positive": .int(1)]),
      Sample(
        [.floats(2, 3, 2, 3), .floats(2, 6, 4, 3)],
        ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
      Sample(
        [.floats(2, 4, 4, 18), .floats(2, 8, 7, 18)],
        ["kernel_shape": .ints([3, 3]), "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1])]),
      Sample(
        [.floats(2, 4, 3, 3), .ints([2, 3, 6, 5])],
        [
          "kernel_shape": .ints([3, 2]), "pads": .ints([1, 0, 1, 1]), "ceil_mode": .int(1),
          "strides": .ints([2, 2]), "count_include_pad": .int(1), "maximum": .int(0),
        ]),
      Sample([.floats(0, 3, 3, 3), .floats(0, 4, 4, 3)], ["kernel_shape": .ints([2, 2])]),
    ])

  static func channelsLastPoolGeometry(
    _ view: some NodeView, _ x: Shape
  ) throws(StackLensError) -> ConvolutionGeometry {
    guard x.rank == 4 else { throw .shapeMismatch("images need four axes, found \(x)") }
    return try .pooling(view, x: Shape([x[0], x[3], x[1], x[2]]))
  }
}

/// Back through a pooling, image by image.
private struct ChannelsLastPoolBack: Sendable {
  private let geometry: ConvolutionGeometry
  private let windows: PoolingWindows
  private let isMaximum: Bool
  private let isPositive: Bool
  /// What each window of an image gives of its gradient.
  private let shares: [Float]
  /// Whether windows lie side by side and cover the image, so that each input belongs to one.
  private let isTiling: Bool
  private let slots: Int
  private let plan: ScratchPlan
  private let (outsideRoom, tableRoom): (Int, Int)

  init(_ preparation: Preparation) throws(StackLensError) {
    let x = preparation.outputs[0].shape
    let geometry = try OperatorDefinition.channelsLastPoolGeometry(preparation, x)
    self.geometry = geometry
    windows = try PoolingWindows(preparation, x: Shape([x[0], x[3], x[1], x[2]]))
    let isMaximum = try preparation.flag("maximum")
    self.isMaximum = isMaximum
    isPositive = try preparation.flag("positive")
    let countsPadding = try preparation.flag("count_include_pad")
    shares =
      isMaximum
      ? []
      : (0..<geometry.outputPixels).map { pixel in
        1 / Float(geometry.forEachInput(of: pixel, countsPadding: countsPadding) { _ in })
      }
    isTiling = geometry.axes.allSatisfy {
      $0.stride == $0.kernel && $0.dilation == 1 && $0.padBegin == 0
        && $0.output * $0.stride == $0.input
    }
    let threads = preparation.threadCount
    slots = max(1, min(geometry.batch, threads == 1 ? 1 : threads * 4))
    var plan = ScratchPlan()
    outsideRoom = try plan.reserve(geometry.groupCount, of: Float.self)
    tableRoom = try plan.reserve(
      Shape([slots, geometry.axes[2].output, geometry.kernelCount]).count,
      of: UnsafePointer<Float>?.self)
    self.plan = plan
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let (g, dx) = (try run.input(0).floats, run.outputs[0].floats)
      // Where an average is wanted no input is read: any address tells the place.
      let x = UnsafePointer(isMaximum ? try run.input(1).floats : dx)
      let tables = (run.scratch + tableRoom).assumingMemoryBound(to: UnsafePointer<Float>?.self)
      let size = geometry.inputPixels * geometry.groupCount
      run.parallel.forEach(geometry.batch == 0 ? 0 : slots) { slot in
        let table = tables + slot * geometry.axes[2].output * geometry.kernelCount
        for image in geometry.batch * slot / slots..<geometry.batch * (slot + 1) / slots {
          if !isTiling { (dx + image * size).update(repeating: 0, count: size) }
          for line in 0..<geometry.axes[1].output {
            flowBack(
              image * geometry.axes[1].output + line, g, x, dx, run.scratch + outsideRoom, table)
          }
        }
      }
    }
  }

  /// One line of windows.
  private func flowBack(
    _ line: Int, _ g: UnsafePointer<Float>, _ x: UnsafePointer<Float>,
    _ dx: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutableRawPointer,
    _ table: UnsafeMutablePointer<UnsafePointer<Float>?>
  ) {
    let (channels, width) = (geometry.groupCount, geometry.axes[2].output)
    let outside = UnsafePointer(scratch.assumingMemoryBound(to: Float.self))
    var native = geometry.native
    slk_taps_fill(&native, x, channels, outside, line * width, (line + 1) * width, table)
    var shape = slk_pool_back(
      taps: geometry.kernelCount, channels: channels, x: x, outside: outside, maximum: isMaximum,
      positive: isPositive, adds: !isTiling)
    for column in 0..<width {
      let share = isMaximum ? 1 : shares[line % geometry.axes[1].output * width + column]
      slk_pool_back_taps_f32(
        &shape, table + column * geometry.kernelCount, g + (line * width + column) * channels, dx,
        share)
    }
  }

  func computePlain(_ run: Invocation) throws(StackLensError) {
    let (g, dx) = (try run.input(0).floats, run.outputs[0].floats)
    let x = isMaximum ? try run.input(1).floats : dx
    let channels = geometry.groupCount
    dx.update(repeating: 0, count: run.outputs[0].count)
    for map in 0..<windows.maps {
      let (image, channel) = map.quotientAndRemainder(dividingBy: channels)
      let start = image * geometry.inputPixels * channels + channel
      windows.forEachWindow { output, z, row, column in
        let flowing = g[(image * geometry.outputPixels + output) * channels + channel]
        var (best, place) = (Float.zero, -1)
        windows.forEachInput(z, row, column) { offset in
          if !isMaximum {
            dx[start + offset * channels] += flowing * shares[output]
            return
          }
          let value = x[start + offset * channels]
          if place < 0 || value > best || (value != value && best == best) {
            (best, place) = (value, offset)
          }
        }
        if isMaximum, place >= 0, !isPositive || best > 0 {
          dx[start + place * channels] += flowing
        }
      }
    }
  }
}
