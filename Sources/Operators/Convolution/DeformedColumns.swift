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
    forEachPosition(parallel) { image, group, kernel, taps in
      place(taps, operands, image, group, kernel)
      for channel in group * perGroup..<(group + 1) * perGroup {
        let source = operands.x + (image * channels + channel) * inputPixels
        let line = columns + row(channel, kernel, image)
        for pixel in 0..<pixels {
          var sum = 0.0
          for tap in pixel << rank..<(pixel + 1) << rank where taps[tap].weight != 0 {
            sum += taps[tap].weight * source[taps[tap].offset].double
          }
          line[pixel] = T(rounding: sum * factor(operands, image, group, kernel, pixel))
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
      withTaps { taps in
        for kernel in 0..<kernels {
          place(taps, operands, image, group, kernel)
          for channel in first..<last {
            let target = dx + (image * channels + channel) * inputPixels
            let line = g + row(channel, kernel, image)
            for pixel in 0..<pixels {
              let flowing =
                line[pixel].double * factor(operands, image, group, kernel, pixel)
              for tap in pixel << rank..<(pixel + 1) << rank {
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
    forEachPosition(parallel) { image, group, kernel, taps in
      place(taps, operands, image, group, kernel)
      let shift = (image * deformation.offsetGroups + group) * kernels + kernel
      for pixel in 0..<pixels {
        var (slopes, weight) = (SIMD3<Double>.zero, 0.0)
        for tap in pixel << rank..<(pixel + 1) << rank {
          var sum = 0.0
          for channel in group * perGroup..<(group + 1) * perGroup {
            let source = operands.x + (image * channels + channel) * inputPixels
            sum += g[row(channel, kernel, image) + pixel].double * source[taps[tap].offset].double
          }
          slopes += sum * taps[tap].slopes
          weight += sum * taps[tap].weight
        }
        slopes *= factor(operands, image, group, kernel, pixel)
        for axis in 0..<rank {
          offsets[(shift * rank + axis) * pixels + pixel] = T(rounding: slopes[3 - rank + axis])
        }
        mask?[shift * pixels + pixel] = T(rounding: weight)
      }
    }
  }

  // Places --------------------------------------------------------------------------------------

  /// One pixel of the data that a column's element is made of; without weight where it lies outside.
  private struct Tap {
    var offset = 0
    var weight = 0.0
    var slopes = SIMD3<Double>.zero
  }

  private func withTaps(_ body: (UnsafeMutablePointer<Tap>) -> Void) {
    withUnsafeTemporaryAllocation(of: Tap.self, capacity: pixels << rank) { buffer in
      if let taps = buffer.baseAddress { body(taps) }
    }
  }

  private func forEachPosition(
    _ parallel: Parallel,
    _ body: (_ image: Int, _ group: Int, _ kernel: Int, UnsafeMutablePointer<Tap>) -> Void
  ) {
    guard shape.count > 0 else { return }
    let grain = max(1, costlyGrain / max(1, pixels))
    parallel.ranges(images * deformation.offsetGroups * kernels, grain: grain) { range in
      withTaps { taps in
        for part in range {
          let (owner, kernel) = part.quotientAndRemainder(dividingBy: kernels)
          let (image, group) = owner.quotientAndRemainder(dividingBy: deformation.offsetGroups)
          body(image, group, kernel, taps)
        }
      }
    }
  }

  private func row(_ channel: Int, _ kernel: Int, _ image: Int) -> Int {
    ((channel * kernels + kernel) * images + image) * pixels
  }

  private func factor<T: LineElement>(
    _ operands: Operands<T>, _ image: Int, _ group: Int, _ kernel: Int, _ pixel: Int
  ) -> Double {
    guard let mask = operands.mask else { return 1 }
    let shift = (image * deformation.offsetGroups + group) * kernels + kernel
    return mask[shift * pixels + pixel].double
  }

  /// Finds the pixels of the data that one kernel position reads for every output pixel.
  private func place<T: LineElement>(
    _ taps: UnsafeMutablePointer<Tap>, _ operands: Operands<T>, _ image: Int, _ group: Int,
    _ kernel: Int
  ) {
    taps.initialize(repeating: Tap(), count: pixels << rank)
    let (depth, height, width) = (axes[0], axes[1], axes[2])
    let shift = (image * deformation.offsetGroups + group) * kernels + kernel
    let lines = operands.offset + shift * rank * pixels
    let rest = kernel / width.kernel
    let tap = (rest / height.kernel, rest % height.kernel, kernel % width.kernel)
    func along(_ place: Int, _ axis: ConvolutionAxis, _ output: Int, _ tap: Int, _ pixel: Int)
      -> AxisTaps
    {
      var position = Double(output * axis.stride - axis.padBegin + tap * axis.dilation)
      if place >= 3 - rank { position += lines[(place - (3 - rank)) * pixels + pixel].double }
      return AxisTaps(linear: position, extent: axis.input)
    }
    for pixel in 0..<pixels {
      let (above, column) = pixel.quotientAndRemainder(dividingBy: width.output)
      let (z, row) = above.quotientAndRemainder(dividingBy: height.output)
      let found = PixelTaps(
        axes: (
          along(0, depth, z, tap.0, pixel), along(1, height, row, tap.1, pixel),
          along(2, width, column, tap.2, pixel)
        ), steps: (height.input * width.input, width.input))
      var next = pixel << rank
      found.forEach { offset, weight, slopes in
        taps[next] = Tap(offset: offset, weight: weight, slopes: slopes)
        next += 1
      }
    }
  }
}
