import CKernels
import Tensors

extension ConvolutionGeometry {
  /// Calls `body` with each kernel position and where on each axis its first input lies.
  func forEachTap(_ body: (_ tap: Int, _ shift: [Int]) -> Void) {
    for tap in 0..<kernelCount { body(tap, shift(ofTap: tap)) }
  }

  /// Where the input that kernel position `tap` meets in output 0 lies, axis by axis.
  func shift(ofTap tap: Int) -> [Int] {
    let (rest, x) = tap.quotientAndRemainder(dividingBy: axes[2].kernel)
    let (z, y) = rest.quotientAndRemainder(dividingBy: axes[1].kernel)
    return zip(axes, [z, y, x]).map { $1 * $0.dilation - $0.padBegin }
  }

  /// The outputs of an axis whose input lies inside it.
  private func inside(_ axis: ConvolutionAxis, _ shift: Int) -> Range<Int> {
    let first = shift >= 0 ? 0 : (axis.stride - 1 - shift) / axis.stride
    let room = axis.input - 1 - shift
    let end = room < 0 ? 0 : min(axis.output, room / axis.stride + 1)
    return first..<max(first, end)
  }

  /// Calls `body` for each line of outputs that meet inputs: where the inputs and the outputs begin,
  /// how many there are and the distance between inputs.
  @inline(__always)
  func forEachLine(
    _ shift: [Int], _ body: (_ from: Int, _ to: Int, _ count: Int, _ stride: Int) -> Void
  ) {
    let columns = inside(axes[2], shift[2])
    guard !columns.isEmpty else { return }
    for z in inside(axes[0], shift[0]) {
      for y in inside(axes[1], shift[1]) {
        let row =
          (z * axes[0].stride + shift[0]) * axes[1].input + y * axes[1].stride + shift[1]
        body(
          row * axes[2].input + columns.lowerBound * axes[2].stride + shift[2],
          (z * axes[1].output + y) * axes[2].output + columns.lowerBound, columns.count,
          axes[2].stride)
      }
    }
  }

  /// Writes the inputs that one kernel position meets in the lines `lines` of outputs, zeros for
  /// padding. Lines count over depth and height.
  func unfold(
    _ source: UnsafePointer<Float>, _ shift: [Int], _ lines: Range<Int>,
    _ target: UnsafeMutablePointer<Float>
  ) {
    let width = axes[2].output
    let columns = inside(axes[2], shift[2])
    let stride = axes[2].stride
    var out = target
    for line in lines {
      defer { out += width }
      let (z, y) = line.quotientAndRemainder(dividingBy: axes[1].output)
      let (depth, height) = (z * axes[0].stride + shift[0], y * axes[1].stride + shift[1])
      guard depth >= 0, depth < axes[0].input, height >= 0, height < axes[1].input,
        !columns.isEmpty
      else {
        out.update(repeating: 0, count: width)
        continue
      }
      let row = source + (depth * axes[1].input + height) * axes[2].input + shift[2]
      out.update(repeating: 0, count: columns.lowerBound)
      if stride == 1 {
        (out + columns.lowerBound).update(from: row + columns.lowerBound, count: columns.count)
      } else {
        for x in columns { out[x] = row[x * stride] }
      }
      (out + columns.upperBound).update(repeating: 0, count: width - columns.upperBound)
    }
  }
}

/// What sums over lines of images are computed with.
protocol LineElement: RealElement, TensorElement {
  /// Σ a[i] b[i · stride].
  static func dot(
    _ a: UnsafePointer<Self>, _ b: UnsafePointer<Self>, stride: Int, _ count: Int
  ) -> Double
}

extension LineElement {
  /// The sum of each channel of a batch of maps.
  static func sumChannels(
    _ x: UnsafePointer<Self>, _ shape: Shape, _ pixels: Int, _ sums: UnsafeMutablePointer<Self>
  ) {
    let (items, channels) = (shape[0], shape[1])
    for channel in 0..<channels {
      var sum = 0.0
      for item in 0..<items {
        let map = x + (item * channels + channel) * pixels
        for i in 0..<pixels { sum += map[i].double }
      }
      sums[channel] = Self(rounding: sum)
    }
  }
}

extension Float: LineElement {
  static func dot(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, stride: Int, _ count: Int
  ) -> Double {
    if stride == 1 { return Double(slk_dot(a, b, count)) }
    var sum: Float = 0
    for i in 0..<count { sum += a[i] * b[i * stride] }
    return Double(sum)
  }
}

extension Double: LineElement {
  static func dot(
    _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, stride: Int, _ count: Int
  ) -> Double {
    var sum = 0.0
    for i in 0..<count { sum += a[i] * b[i * stride] }
    return sum
  }
}
