import Base
import CKernels
import Tensors

/// How a product reads the pixels of an image with its channels last.
struct ChannelsLastSource: Sendable {
  private enum Kind: Sendable {
    /// Pixels are rows as they are.
    case rows
    /// A pointer for each kernel position; zeros where the padding is.
    case taps
    /// A copy with its padding, in which a line of the kernel is one run: for few channels.
    case padded(height: Int, width: Int)
  }

  private let geometry: ConvolutionGeometry
  private let kind: Kind
  private let padRoom: Int
  /// Runs that make one row of the product, and floats of each.
  let (taps, units): (Int, Int)

  var isRows: Bool { if case .rows = kind { true } else { false } }

  /// - Parameter geometry: of a kernel without a depth.
  init(_ geometry: ConvolutionGeometry, plan: inout ScratchPlan) throws(StackLensError) {
    self.geometry = geometry
    kind = Self.kind(geometry)
    guard case .padded(let height, let width) = kind else {
      (taps, units) = (geometry.kernelCount, geometry.inputChannels)
      padRoom = try plan.reserve(geometry.inputChannels, of: Float.self)
      return
    }
    (taps, units) = (geometry.axes[1].kernel, geometry.axes[2].kernel * geometry.inputChannels)
    padRoom = try plan.reserve(
      try Shape([geometry.batch, height, width, geometry.inputChannels]).count, of: Float.self)
  }

  private static func kind(_ geometry: ConvolutionGeometry) -> Kind {
    let (height, width) = (geometry.axes[1], geometry.axes[2])
    if geometry.isPointwise { return .rows }
    guard geometry.inputChannels < 16, geometry.groupCount == 1, width.dilation == 1,
      width.kernel > 1, height.padBegin >= 0, width.padBegin >= 0
    else { return .taps }
    let lines = max(
      (height.output - 1) * height.stride + height.reach, height.input + height.padBegin)
    let columns = max((width.output - 1) * width.stride + width.reach, width.input + width.padBegin)
    guard lines / 2 <= height.input, columns / 2 <= width.input else { return .taps }
    return .padded(height: lines, width: columns)
  }

  /// An image that is ready to be read, in a run.
  struct Image {
    fileprivate let start: UnsafePointer<Float>
    fileprivate let zeros: UnsafePointer<Float>
    fileprivate let native: slk_convolution
    fileprivate let channels: Int

    /// The table of the pixels [first, last) of one group, with as many runs each as the source has.
    func fill(
      _ table: UnsafeMutablePointer<UnsafePointer<Float>?>, _ first: Int, _ last: Int,
      channel: Int = 0
    ) {
      var native = native
      slk_taps_fill(&native, start + channel, channels, zeros, first, last, table)
    }
  }

  func image(
    _ x: UnsafePointer<Float>, _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) -> Image {
    let room = (scratch + padRoom).assumingMemoryBound(to: Float.self)
    var native = geometry.native
    let channels = geometry.groupCount * geometry.inputChannels
    guard case .padded(let height, let width) = kind else {
      room.update(repeating: 0, count: geometry.inputChannels)
      return Image(start: x, zeros: room, native: native, channels: channels)
    }
    geometry.frame(x, with: 0, room, (height, width), parallel)
    native.input = (1, height, width)
    native.kernel.2 = 1
    native.pad = (0, 0, 0)
    return Image(start: room, zeros: room, native: native, channels: channels)
  }
}

extension ConvolutionGeometry {
  /// Images with their channels last, each inside a frame of `filler` that makes it as large as told.
  func frame<T: BitwiseCopyable>(
    _ x: UnsafePointer<T>, with filler: T, _ out: UnsafeMutablePointer<T>,
    _ extents: (height: Int, width: Int), _ parallel: Parallel
  ) {
    let (lines, columns) = (axes[1], axes[2])
    let channels = groupCount * inputChannels
    let (length, before) = (columns.input * channels, columns.padBegin * channels)
    let lineLength = extents.width * channels
    parallel.ranges(batch * extents.height, grain: 64 / MemoryLayout<T>.stride) { range in
      for line in range {
        let (image, row) = line.quotientAndRemainder(dividingBy: extents.height)
        let target = out + line * lineLength
        let inside = row - lines.padBegin
        guard inside >= 0, inside < lines.input else {
          target.update(repeating: filler, count: lineLength)
          continue
        }
        target.update(repeating: filler, count: before)
        (target + before).update(from: x + (image * lines.input + inside) * length, count: length)
        (target + before + length).update(repeating: filler, count: lineLength - before - length)
      }
    }
  }
}
