import Base
import Graphs
import Tensors

extension LayerDefinition {
  static let transposedConvolutions: [LayerDefinition] = (1...3).map { axes in
    LayerDefinition(
      "conv_transpose\(axes)d",
      "The transpose of a convolution, over \(Windows.form(axes)). Parameters: weight "
        + "[in, out / groups, kernel…], bias [out].",
      options: [
        .size("in_channels", "Channels of the input; found out where they are known."),
        .size("out_channels", "Channels of the output.", isRequired: true),
        .integers("kernel_size", 1...OptionSpec.largest, default: nil, isRequired: true, "Window."),
        .integers("stride", 1...OptionSpec.largest, default: 1, "Step of the window."),
        .integers("padding", default: 0, "Taken away on both sides of each axis."),
        .integers("output_padding", default: 0, "Added at the end of each axis of the output."),
        .integers("dilation", 1...OptionSpec.largest, default: 1, "Step within the window."),
        .integer("groups", 1...OptionSpec.largest, default: 1, "Groups of channels."),
        .flag("bias", default: true, "Whether a bias is added."),
        .initializer("weight_initializer", "Of the weight; uniform within ± 1/√fan_in otherwise."),
        .initializer("bias_initializer", "Of the bias; uniform within ± 1/√fan_in otherwise."),
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.transposedConvolution(
          name, inputs.required(0), from: options.integerIfAny("in_channels"),
          to: options.integer("out_channels"), Windows(options, axes: axes),
          outputPadding: options.integers("output_padding", axes) ?? [0],
          groups: options.integer("groups"), bias: options.flag("bias"),
          weight: options.initializer("weight_initializer"),
          biasStart: options.initializer("bias_initializer"))
      ]
    }
  }
}

extension Network {
  /// The transpose of a convolution.
  /// - Parameter outputPadding: extents that the output has more, where several inputs of the
  ///   convolution would give the same output.
  public func transposedConvolution(
    _ name: String, _ x: Edge, from: Int? = nil, to: Int, _ windows: Windows,
    outputPadding: [Int] = [0], groups: Int = 1, bias: Bool = true,
    weight: WeightInitializer? = nil, biasStart: WeightInitializer? = nil
  ) throws(StackLensError) -> Edge {
    let axes = windows.kernel.count
    try check(x, rank: axes + 2...axes + 2, Windows.form(axes))
    let channels = try width(of: x, axis: 1, given: from, "in_channels")
    guard groups > 0, channels % groups == 0, to % groups == 0 else {
      throw .invalidArgument("\(channels) to \(to) channels cannot be cut into \(groups) groups")
    }
    let extra =
      outputPadding.count == 1
      ? [Int](repeating: outputPadding[0], count: axes) : outputPadding
    return try scope(name) { () throws(StackLensError) in
      let w = try parameter(
        "weight", [channels, to / groups] + windows.kernel, weight ?? .standard)
      let fan = windows.kernel.reduce(to / groups, *)
      let b = bias ? try parameter("bias", [to], biasStart ?? .bias(fan: fan)) : nil
      var attributes = windows.attributes()
      attributes["group"] = .int(Int64(groups))
      attributes["output_padding"] = .ints(extra.map { Int64($0) })
      return graph.add("ConvTranspose", b.map { [x, w, $0] } ?? [x, w], attributes)
    }
  }
}
