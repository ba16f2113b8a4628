import Base
import Graphs
import Tensors

/// How a convolution or a pool moves over its input: one number for each axis behind the channels.
public struct Windows: Sendable {
  /// What stands around the input.
  public enum Padding: Sendable, Equatable {
    /// The same on both sides of each axis.
    case symmetric([Int])
    /// As much as keeps the extents; with an even window one more at the end.
    case same
  }

  public var kernel: [Int]
  public var stride: [Int]
  public var padding: Padding
  public var dilation: [Int]

  /// - Parameters:
  ///   - stride: one for each axis or one for all; as the others.
  public init(
    _ kernel: [Int], stride: [Int] = [1], padding: Padding = .symmetric([0]), dilation: [Int] = [1]
  ) throws(StackLensError) {
    func each(
      _ values: [Int], _ name: String, _ least: Int
    ) throws(StackLensError) -> [Int] {
      let list = values.count == 1 ? [Int](repeating: values[0], count: kernel.count) : values
      guard list.count == kernel.count,
        list.allSatisfy({ (least...OptionSpec.largest).contains($0) })
      else { throw .invalidArgument("'\(name)' is \(values) for a kernel of \(kernel)") }
      return list
    }
    guard (1...3).contains(kernel.count) else {
      throw .invalidArgument("a kernel of \(kernel.count) axes, expected one to three")
    }
    self.kernel = try each(kernel, "kernel_size", 1)
    self.stride = try each(stride, "stride", 1)
    self.dilation = try each(dilation, "dilation", 1)
    self.padding = padding
    switch padding {
    case .symmetric(let sides): self.padding = .symmetric(try each(sides, "padding", 0))
    case .same:
      guard self.stride.allSatisfy({ $0 == 1 }) else {
        throw .invalidArgument("padding \"same\" needs a stride of 1, not \(self.stride)")
      }
    }
  }

  /// What is added in front and behind each axis.
  var sides: (low: [Int], high: [Int]) {
    switch padding {
    case .symmetric(let sides): return (sides, sides)
    case .same:
      let totals = zip(kernel, dilation).map { ($0 - 1) * $1 }
      return (totals.map { $0 / 2 }, totals.map { $0 - $0 / 2 })
    }
  }

  /// The attributes of Conv and the pools.
  /// - Parameter pads: whether the padding is left to the operator.
  func attributes(pads: Bool = true, dilations: Bool = true) -> [String: Attribute] {
    func ints(_ values: [Int]) -> Attribute { .ints(values.map { Int64($0) }) }
    var result = ["kernel_shape": ints(kernel), "strides": ints(stride)]
    if dilations { result["dilations"] = ints(dilation) }
    if pads { result["pads"] = ints(sides.low + sides.high) }
    return result
  }

  static let options: [OptionSpec] = [
    .integers("kernel_size", 1...OptionSpec.largest, default: nil, isRequired: true, "Window."),
    .integers("stride", 1...OptionSpec.largest, default: 1, "Step of the window."),
    .integers(
      "padding", words: ["same", "valid"], default: 0,
      "Added on both sides of each axis; \"same\" keeps the extents."),
    .integers("dilation", 1...OptionSpec.largest, default: 1, "Step within the window."),
  ]

  /// From a layer's options.
  init(_ options: OptionValues, axes: Int) throws(StackLensError) {
    let padding = try options.integers("padding", axes) ?? [0]
    try self.init(
      options.integers("kernel_size", axes) ?? [], stride: options.integers("stride", axes) ?? [1],
      padding: options.word("padding") == "same" ? .same : .symmetric(padding),
      dilation: options.integers("dilation", axes) ?? [1])
  }

  /// "[batch, channels, height, width]" and the like.
  static func form(_ axes: Int) -> String {
    "[batch, channels, " + ["length", "height, width", "depth, height, width"][axes - 1] + "]"
  }
}
