import Base
import Graphs
import Tensors

/// One spatial axis of a convolution.
struct ConvolutionAxis: Sendable {
  var input = 1
  var kernel = 1
  var output = 1
  var stride = 1
  var dilation = 1
  /// Padding before the first input; cropping where negative.
  var padBegin = 0
  var padEnd = 0

  /// From the first to the last input that one output reads, plus one.
  var reach: Int { (kernel - 1) * dilation + 1 }
}

/// Extents of a convolution in one to three dimensions, checked once; missing leading axes are 1.
struct ConvolutionGeometry: Sendable {
  var batch: Int
  var groupCount: Int
  /// Channels of one group.
  var inputChannels: Int
  var outputChannels: Int
  /// Depth, height, width.
  var axes: [ConvolutionAxis]
  /// Spatial rank as the node has it.
  var rank: Int

  var inputPixels: Int { axes[0].input * axes[1].input * axes[2].input }
  var outputPixels: Int { axes[0].output * axes[1].output * axes[2].output }
  var kernelCount: Int { axes[0].kernel * axes[1].kernel * axes[2].kernel }
  /// Terms of one sum.
  var termCount: Int { inputChannels * kernelCount }
  var outputDims: [Int] {
    [batch, groupCount * outputChannels] + axes.suffix(rank).map(\.output)
  }
  /// Whether the output pixels are the input pixels, one for one.
  var isPointwise: Bool {
    axes.allSatisfy {
      $0.kernel == 1 && $0.stride == 1 && $0.padBegin == 0 && $0.input == $0.output
    }
  }

  /// Bound of every extent and attribute, so that sums and products of two stay in range.
  private static let limit = 1 << 31

  /// - Parameters:
  ///   - x: `[batch, channels, spatial…]`.
  ///   - w: `[output channels, channels / group, kernel…]`.
  static func convolution(
    _ view: some NodeView, x: Shape, w: Shape
  ) throws(StackLensError) -> ConvolutionGeometry {
    var result = try start(view, x: x, w: w)
    guard x[1] == result.groupCount * w[1], w[0] % result.groupCount == 0 else {
      throw .shapeMismatch(
        "weights \(w) in \(result.groupCount) groups do not fit input \(x)")
    }
    result.inputChannels = w[1]
    result.outputChannels = w[0] / result.groupCount
    try result.pad(view, x, roundsUp: false)
    return result
  }

  /// Fills in padding and output extents.
  private mutating func pad(
    _ view: some NodeView, _ x: Shape, roundsUp: Bool
  ) throws(StackLensError) {
    let pads = try Self.listed(view, "pads", 2 * rank, default: 0, atLeast: -Self.limit)
    let autoPad = try Self.autoPad(view)
    for index in 0..<rank {
      var axis = axes[3 - rank + index]
      var padEnd = 0
      switch autoPad {
      case .same(let upper):
        axis.output = (axis.input + axis.stride - 1) / axis.stride
        let total = max(0, (axis.output - 1) * axis.stride + axis.reach - axis.input)
        axis.padBegin = upper ? total / 2 : total - total / 2
        padEnd = total - axis.padBegin
      case .valid: break
      case .explicit:
        axis.padBegin = pads[index]
        padEnd = pads[index + rank]
      }
      let room = axis.input + axis.padBegin + padEnd - axis.reach
      if case .same = autoPad {
      } else if room < 0 {
        axis.output = 0
      } else {
        axis.output = (room + (roundsUp ? axis.stride - 1 : 0)) / axis.stride + 1
        let lastStart = (axis.output - 1) * axis.stride
        if roundsUp, lastStart >= axis.input + axis.padBegin { axis.output -= 1 }
      }
      axis.padEnd = padEnd
      guard axis.input == 0 || axis.output > 0 else {
        throw .shapeMismatch(
          "a kernel that reaches over \(axis.reach) elements does not fit axis \(index + 2) of "
            + "\(x) with padding \(axis.padBegin) and \(padEnd)")
      }
      axes[3 - rank + index] = axis
    }
  }

  /// The geometry of the transposed convolution: `input` is what it reads, `output` what it makes.
  /// - Parameter w: `[channels, output channels / group, kernel…]`.
  static func transposed(
    _ view: some NodeView, x: Shape, w: Shape
  ) throws(StackLensError) -> ConvolutionGeometry {
    var result = try start(view, x: x, w: w)
    guard x[1] == w[0], w[0] % result.groupCount == 0 else {
      throw .shapeMismatch(
        "weights \(w) in \(result.groupCount) groups do not fit input \(x)")
    }
    result.inputChannels = w[0] / result.groupCount
    result.outputChannels = w[1]
    let rank = result.rank
    let pads = try listed(view, "pads", 2 * rank, default: 0, atLeast: -limit)
    let extra = try listed(view, "output_padding", rank, default: 0, atLeast: 0)
    let autoPad = try autoPad(view)
    var wanted = try view.ints("output_shape")
    if let given = wanted, given.count == rank + 2 { wanted = Array(given.dropFirst(2)) }
    if let wanted {
      guard wanted.count == rank, wanted.allSatisfy({ $0 >= 0 && $0 < limit }) else {
        throw .invalidArgument("output_shape \(wanted) does not fit \(rank) spatial axes")
      }
    }
    for index in 0..<rank {
      var axis = result.axes[3 - rank + index]
      let full =
        axis.input == 0
        ? 0 : axis.stride * (axis.input - 1) + extra[index] + axis.reach
      switch (wanted, autoPad) {
      case (let wanted?, _):
        axis.output = wanted[index]
        axis.padBegin = half(full - axis.output, upper: autoPad.isUpper)
      case (nil, .same(let upper)):
        axis.output = axis.input * axis.stride
        axis.padBegin = half(full - axis.output, upper: upper)
      case (nil, .valid):
        axis.output = full
      case (nil, .explicit):
        axis.padBegin = pads[index]
        axis.output = full - pads[index] - pads[index + rank]
      }
      guard axis.output >= 0 else {
        throw .shapeMismatch("padding \(pads) leaves nothing of axis \(index + 2) of \(x)")
      }
      result.axes[3 - rank + index] = axis
    }
    return result
  }

  /// The geometry of a window over each channel by itself, its extents from `kernel_shape`.
  static func pooling(
    _ view: some NodeView, x: Shape
  ) throws(StackLensError) -> ConvolutionGeometry {
    guard x.rank >= 3, x.rank <= 5, x[1] < limit else {
      throw .unsupported("pooling over an input of shape \(x)")
    }
    let rank = x.rank - 2
    let kernel = try listed(view, "kernel_shape", rank, default: 1, atLeast: 1)
    var result = ConvolutionGeometry(
      batch: x[0], groupCount: x[1], inputChannels: 1, outputChannels: 1,
      axes: [ConvolutionAxis](repeating: ConvolutionAxis(), count: 3), rank: rank)
    let strides = try listed(view, "strides", rank, default: 1, atLeast: 1)
    let dilations = try listed(view, "dilations", rank, default: 1, atLeast: 1)
    for index in 0..<rank {
      let reach = (kernel[index] - 1).multipliedReportingOverflow(by: dilations[index])
      guard x[index + 2] < limit, !reach.overflow, reach.partialValue < limit else {
        throw .unsupported("pooling over \(x) with kernel \(kernel) dilated by \(dilations)")
      }
      result.axes[3 - rank + index] = ConvolutionAxis(
        input: x[index + 2], kernel: kernel[index], stride: strides[index],
        dilation: dilations[index])
    }
    try result.pad(view, x, roundsUp: view.flag("ceil_mode"))
    return result
  }

  /// Calls `body` with the offset of each input that output `pixel` reads.
  /// - Returns: how many there are, with the padding if it counts.
  func forEachInput(of pixel: Int, countsPadding: Bool, _ body: (Int) -> Void) -> Int {
    let (depth, height, width) = (axes[0], axes[1], axes[2])
    let (rest, column) = pixel.quotientAndRemainder(dividingBy: width.output)
    let (z, row) = rest.quotientAndRemainder(dividingBy: height.output)
    func span(_ axis: ConvolutionAxis, _ output: Int) -> (inside: Range<Int>, padded: Int) {
      let start = output * axis.stride - axis.padBegin
      let end = min(start + axis.kernel, axis.input + axis.padEnd)
      let first = min(max(start, 0), axis.input)
      return (first..<max(first, min(end, axis.input)), max(0, end - start))
    }
    let spans = (span(depth, z), span(height, row), span(width, column))
    for z in spans.0.inside {
      for y in spans.1.inside {
        for x in spans.2.inside { body((z * height.input + y) * width.input + x) }
      }
    }
    return countsPadding
      ? spans.0.padded * spans.1.padded * spans.2.padded
      : spans.0.inside.count * spans.1.inside.count * spans.2.inside.count
  }

  private static func half(_ total: Int, upper: Bool) -> Int {
    let total = max(0, total)
    return upper ? total / 2 : total - total / 2
  }

  private enum AutoPad {
    case explicit, valid
    case same(upper: Bool)

    var isUpper: Bool {
      if case .same(upper: true) = self { return true }
      return false
    }
  }

  private static func autoPad(_ view: some NodeView) throws(StackLensError) -> AutoPad {
    guard view.has("auto_pad") else { return .explicit }
    switch try view.string("auto_pad") {
    case "NOTSET", "": return .explicit
    case "VALID": return .valid
    case "SAME_UPPER": return .same(upper: true)
    case "SAME_LOWER": return .same(upper: false)
    case let other:
      throw .invalidArgument(
        "attribute 'auto_pad' is '\(other)', expected NOTSET, SAME_UPPER, SAME_LOWER or VALID")
    }
  }

  /// What both directions share: group, kernel, strides, dilations and input extents.
  private static func start(
    _ view: some NodeView, x: Shape, w: Shape
  ) throws(StackLensError) -> ConvolutionGeometry {
    guard x.rank >= 3, x.rank == w.rank else {
      throw .shapeMismatch(
        "a convolution needs input and weights of equal rank 3 or more, found \(x) and \(w)")
    }
    guard x.rank <= 5 else { throw .unsupported("a convolution over \(x.rank - 2) axes") }
    let group = try view.int("group")
    guard group > 0, group < limit else {
      throw .invalidArgument("attribute 'group' is \(group), expected 1 or more")
    }
    let rank = x.rank - 2
    let kernel = Array(w.dims.dropFirst(2))
    if let given = try view.ints("kernel_shape"), !given.isEmpty, given != kernel {
      throw .shapeMismatch("kernel_shape \(given) differs from the weights' shape \(w)")
    }
    guard kernel.allSatisfy({ $0 > 0 }) else {
      throw .shapeMismatch("weights of shape \(w) have an empty kernel")
    }
    let strides = try listed(view, "strides", rank, default: 1, atLeast: 1)
    let dilations = try listed(view, "dilations", rank, default: 1, atLeast: 1)
    var axes = [ConvolutionAxis](repeating: ConvolutionAxis(), count: 3)
    for index in 0..<rank {
      let reach = (kernel[index] - 1).multipliedReportingOverflow(by: dilations[index])
      guard !reach.overflow, reach.partialValue < limit, x[index + 2] < limit else {
        throw .unsupported("a convolution of \(x) with kernel \(kernel) dilated by \(dilations)")
      }
      axes[3 - rank + index] = ConvolutionAxis(
        input: x[index + 2], kernel: kernel[index], stride: strides[index],
        dilation: dilations[index])
    }
    return ConvolutionGeometry(
      batch: x[0], groupCount: group, inputChannels: 0, outputChannels: 0, axes: axes, rank: rank)
  }

  private static func listed(
    _ view: some NodeView, _ name: String, _ count: Int, default value: Int, atLeast least: Int
  ) throws(StackLensError) -> [Int] {
    guard let values = try view.ints(name), !values.isEmpty else {
      return [Int](repeating: value, count: count)
    }
    guard values.count == count, values.allSatisfy({ $0 >= least && $0 < limit }) else {
      throw .invalidArgument(
        "attribute '\(name)' is \(values), expected \(count) values of \(least) or more")
    }
    return values
  }
}
