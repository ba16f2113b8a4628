import Base
import Graphs
import Tensors

/// What stands around the input of a convolution.
public enum PaddingMode: String, Sendable, CaseIterable {
  case zeros, reflect, replicate, circular
}

extension LayerDefinition {
  static let convolutions: [LayerDefinition] = (1...3).map { axes in
    LayerDefinition(
      "conv\(axes)d",
      "Convolution of \(Windows.form(axes)). Parameters: weight [out, in / groups, kernel…], "
        + "bias [out].",
      options: [
        .size("in_channels", "Channels of the input; found out where they are known."),
        .size("out_channels", "Channels of the output.", isRequired: true),
      ] + Windows.options + [
        .integer("groups", 1...OptionSpec.largest, default: 1, "Groups of channels."),
        .flag("bias", default: true, "Whether a bias is added."),
        .choice("padding_mode", default: PaddingMode.zeros, "What the padding holds."),
        .initializer("weight_initializer", "Of the weight; uniform within ± 1/√fan_in otherwise."),
        .initializer("bias_initializer", "Of the bias; uniform within ± 1/√fan_in otherwise."),
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.convolution(
          name, inputs.required(0), from: options.integerIfAny("in_channels"),
          to: options.integer("out_channels"), Windows(options, axes: axes),
          groups: options.integer("groups"), bias: options.flag("bias"),
          paddingMode: options.choice("padding_mode"),
          weight: options.initializer("weight_initializer"),
          biasStart: options.initializer("bias_initializer"))
      ]
    }
  }
}

extension Network {
  /// A convolution over the axes behind [batch, channels]; the windows say over how many.
  public func convolution(
    _ name: String, _ x: Edge, from: Int? = nil, to: Int, _ windows: Windows, groups: Int = 1,
    bias: Bool = true, paddingMode: PaddingMode = .zeros, weight: WeightInitializer? = nil,
    biasStart: WeightInitializer? = nil
  ) throws(StackLensError) -> Edge {
    let axes = windows.kernel.count
    try check(x, rank: axes + 2...axes + 2, Windows.form(axes))
    let channels = try width(of: x, axis: 1, given: from, "in_channels")
    guard groups > 0, channels % groups == 0, to % groups == 0 else {
      throw .invalidArgument("\(channels) to \(to) channels cannot be cut into \(groups) groups")
    }
    return try scope(name) { () throws(StackLensError) in
      let w = try parameter(
        "weight", [to, channels / groups] + windows.kernel, weight ?? .standard)
      let fan = windows.kernel.reduce(channels / groups, *)
      let b = bias ? try parameter("bias", [to], biasStart ?? .bias(fan: fan)) : nil
      let padded = try self.padded(x, windows, paddingMode)
      var attributes = windows.attributes(pads: paddingMode == .zeros)
      attributes["group"] = .int(Int64(groups))
      return graph.add("Conv", b.map { [padded, w, $0] } ?? [padded, w], attributes)
    }
  }

  /// The input with what stands around it, unless that is zeros.
  private func padded(
    _ x: Edge, _ windows: Windows, _ mode: PaddingMode
  ) throws(StackLensError) -> Edge {
    let (low, high) = windows.sides
    guard mode != .zeros, (low + high).contains(where: { $0 > 0 }) else { return x }
    if mode != .circular {
      let pads = try ints([0, 0] + low + [0, 0] + high)
      return graph.add(
        "Pad", [x, pads], ["mode": .string(mode == .reflect ? "reflect" : "edge")])
    }
    var result = x
    for (place, (front, back)) in zip(low, high).enumerated() {
      let axis = place + 2
      var parts = [result]
      if front > 0 {
        // From the end of the axis; the end of a slice may lie beyond it.
        parts.insert(try sliced(result, axis: axis, -front..<Int(Int32.max)), at: 0)
      }
      if back > 0 { parts.append(try sliced(result, axis: axis, 0..<back)) }
      if parts.count > 1 { result = joined(parts, axis: axis) }
    }
    return result
  }
}
