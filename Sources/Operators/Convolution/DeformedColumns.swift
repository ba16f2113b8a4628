import Base
import Graphs
import Tensors

/// The columns of a DeformConv: a row for each channel and kernel position, a column for each output
/// pixel of each image.
struct DeformedColumns {
  struct Operands<T> {
    let x: UnsafePointer<T>
    let offset: UnsafePointer<T>
    let mask: UnsafePointer<T>?
  }

  let shape: Shape
  private let deformation: Deformation
  private let axes: [ConvolutionAxis]
  private let rank: Int
  private let images: Int
  private let channels: Int
  /// Channels that share their offsets.
  private let perGroup: Int
  private let kernels: Int
  private let pixels: Int
  private let inputPixels: Int
  /// Channels that one thread adds to.
  private static let channelsTogether = 8

  init(_ view: some NodeView, x: Shape, weights: Tensor) throws(StackLensError) {
    deformation = try Deformation(view, x: x, w: Shape(weights.integers()))
    let geometry = deformation.geometry
    (axes, rank, images) = (geometry.axes, geometry.rank, geometry.batch)
    (kernels, pixels) = (geometry.kernelCount, geometry.outputPixels)
    inputPixels = geometry.inputPixels
    channels = x[1]
    perGroup = channels / deformation.offsetGroups
    shape = try Shape([extentProduct(channels, kernels), extentProduct(images, pixels)])
  }

  func check(offset: Shape, mask: Shape?) throws(StackLensError) {
    try deformation.check(offset, perPosition: rank, "offset")
    if let mask { try deformation.check(mask, perPosition: 1, "mask") }
  }

  /// Fills the columns.
  func fill<T: LineElement>(
    _ columns: UnsafeMutablePointer<T>, _ operands: Operands<T>, _ parallel: Parallel
  ) {
    forEachPosition(operands, parallel) { position, pixels, taps in
      for channel in channels(of: position) {
        let source = operands.x + (position.image * channels + channel) * inputPixels
        let line = columns + row(channel, position)
        for pixel in pixels {
          var sum = 0.0
          let first = (pixel - pixels.lowerBound) << rank
          for tap in first..<first + (1 << rank) where taps[tap].weight != 0 {
            sum += taps[tap].weight * source[taps[tap].offset].double
          }
          line[pixel] = T(rounding: sum * factor(operands, position, pixel))
        }
      }
    }
  }

  /// From the columns to the data.
  func spread<T: LineElement>(
    _ g: UnsafePointer<T>, _ operands: Operands<T>, _ dx: UnsafeMutablePointer<T>,
    _ parallel: Parallel
  ) {
    guard shape.count > 0 else { return }
    let blocks = (perGroup + Self.channelsTogether - 1) / Self.channelsTogether
    parallel.forEach(images * deformation.offsetGroups * blocks) { part in
      let (owner, block) = part.quotientAndRemainder(dividingBy: blocks)
      let (image, group) = owner.quotientAndRemainder(dividingBy: deformation.offsetGroups)
      let first = group * perGroup + block * Self.channelsTogether
      let last = min(first + Self.channelsTogether, (group + 1) * perGroup)
      for kernel in 0..<kernels {
        let position = Position(image: image, group: group, kernel: kernel)
        forEachTile(operands, position) { pixels, taps in
          for channel in first..<last {
            let target = dx + (image * channels + channel) * inputPixels
            let line = g + row(channel, position)
            for pixel in pixels {
              let flowing = line[pixel].double * factor(operands, position, pixel)
              let first = (pixel - pixels.lowerBound) << rank
              for tap in first..<first + (1 << rank) {
                let sum = target[taps[tap].offset].double + taps[tap].weight * flowing
                target[taps[tap].offset] = T(rounding: sum)
              }
            }
          }
        }
      }
    }
  }

  /// From the columns to the offsets and the mask.
  func move<T: LineElement>(
    _ g: UnsafePointer<T>, _ operands: Operands<T>, _ offsets: UnsafeMutablePointer<T>,
    _ mask: UnsafeMutablePointer<T>?, _ parallel: Parallel
  ) {
    forEachPosition(operands, parallel) { position, pixels, taps in
      let shift = shift(position)
      for pixel in pixels {
        var (slopes, weight) = (SIMD3<Double>.zero, 0.0)
        let first = (pixel - pixels.lowerBound) << rank
        for tap in first..<first + (1 << rank) {
          var sum = 0.0
          for channel in channels(of: position) {
            let source = operands.x + (position.image * channels + channel) * inputPixels
            sum += g[row(channel, position) + pixel].double * source[taps[tap].offset].double
          }
          slopes += sum * taps[tap].slopes
          weight += sum * taps[tap].weight
        }
        slopes *= factor(operands, position, pixel)
        for axis in 0..<rank {
          offsets[(shift * rank + axis) * self.pixels + pixel] = T(
            rounding: slopes[3 - rank + axis])
        }
        mask?[shift * self.pixels + pixel] = T(rounding: weight)
      }
    }
  }

  // Places --------------------------------------------------------------------------------------

  /// One position of the kernel over one image, for the channels that share their offsets.
  private struct Position {
    let image: Int
    let group: Int
    let kernel: Int
  }

  /// One pixel of the data that a column's element is made of; without weight where it lies outside.
  private struct Tap {
    var offset = 0
    var weight = 0.0
    var slopes = SIMD3<Double>.zero
  }

  private func forEachPosition<T: LineElement>(
    _ operands: Operands<T>, _ parallel: Parallel,
    _ body: (Position, _ pixels: Range<Int>, UnsafeMutablePointer<Tap>) -> Void
  ) {
    guard shape.count > 0 else { return }
    let grain = max(1, costlyGrain / max(1, pixels))
    parallel.ranges(images * deformation.offsetGroups * kernels, grain: grain) { range in
      for part in range {
        let (owner, kernel) = part.quotientAndRemainder(dividingBy: kernels)
        let (image, group) = owner.quotientAndRemainder(dividingBy: deformation.offsetGroups)
        let position = Position(image: image, group: group, kernel: kernel)
        forEachTile(operands, position) { body(position, $0, $1) }
      }
    }
  }

  /// Output pixels whose taps are found together.
  private static let tile = 512

  private func forEachTile<T: LineElement>(
    _ operands: Operands<T>, _ position: Position,
    _ body: (_ pixels: Range<Int>, UnsafeMutablePointer<Tap>) -> Void
  ) {
    withUnsafeTemporaryAllocation(of: Tap.self, capacity: Self.tile << rank) { buffer in
      guard let taps = buffer.baseAddress else { return }
      for first in stride(from: 0, to: pixels, by: Self.tile) {
        let tile = first..<min(first + Self.tile, pixels)
        place(taps, tile, operands, position)
        body(tile, taps)
      }
    }
  }

  private func channels(of position: Position) -> Range<Int> {
    position.group * perGroup..<(position.group + 1) * perGroup
  }

  private func row(_ channel: Int, _ position: Position) -> Int {
    ((channel * kernels + position.kernel) * images + position.image) * pixels
  }

  /// The place of a position among the masks.
  private func shift(_ position: Position) -> Int {
    (position.image * deformation.offsetGroups + position.group) * kernels + position.kernel
  }

  private func factor<T: LineElement>(
    _ operands: Operands<T>, _ position: Position, _ pixel: Int
  ) -> Double {
    operands.mask.map { $0[shift(position) * pixels + pixel].double } ?? 1
  }

  /// Finds the pixels of the data that one position reads for some output pixels.
  private func place<T: LineElement>(
    _ taps: UnsafeMutablePointer<Tap>, _ tile: Range<Int>, _ operands: Operands<T>,
    _ position: Position
  ) {
    taps.initialize(repeating: Tap(), count: tile.count << rank)
    let (depth, height, width) = (axes[0], axes[1], axes[2])
    let lines = operands.offset + shift(position) * rank * pixels
    let rest = position.kernel / width.kernel
    let tap = (rest / height.kernel, rest % height.kernel, position.kernel % width.kernel)
    func along(_ place: Int, _ axis: ConvolutionAxis, _ output: Int, _ tap: Int, _ pixel: Int)
      -> AxisTaps
    {
      var point = Double(output * axis.stride - axis.padBegin + tap * axis.dilation)
      if place >= 3 - rank { point += lines[(place - (3 - rank)) * pixels + pixel].double }
      return AxisTaps(linear: point, extent: axis.input)
    }
    for pixel in tile {
      let (above, column) = pixel.quotientAndRemainder(dividingBy: width.output)
      let (z, row) = above.quotientAndRemainder(dividingBy: height.output)
      let found = PixelTaps(
        axes: (
          along(0, depth, z, tap.0, pixel), along(1, height, row, tap.1, pixel),
          along(2, width, column, tap.2, pixel)
        ), steps: (height.input * width.input, width.input))
      var next = (pixel - tile.lowerBound) << rank
      found.forEach { offset, weight, slopes in
        taps[next] = Tap(offset: offset, weight: weight, slopes: slopes)
        next += 1
      }
    }
  }
}
