import Base
import Graphs
import Tensors

/// The two blocks of residual nets (He et al., 2016).
public enum ResidualBlock: String, Sendable, CaseIterable {
  /// Two 3×3 convolutions.
  case basic = "basic_block"
  /// A 1×1, a 3×3 and a 1×1 convolution with four times the channels.
  case bottleneck

  /// Channels of the output for each of `planes`.
  public var expansion: Int { self == .basic ? 1 : 4 }
}

extension LayerDefinition {
  static let residualBlocks: [LayerDefinition] = ResidualBlock.allCases.map { kind in
    LayerDefinition(
      kind.rawValue,
      "Convolutions with batch normalisation, added to their input, which a 1×1 convolution fits "
        + "where it must. Parameters: conv1, bn1, conv2, bn2"
        + (kind == .basic ? "" : ", conv3, bn3") + ", downsample.0, downsample.1.",
      inputs: [Port("x", "[batch, channels, height, width].")],
      options: [
        .size("inplanes", "Channels of the input; found out where they are known."),
        .size(
          "planes",
          "Channels inside; the output has \(kind == .basic ? "as many" : "four times as many").",
          isRequired: true),
        .integer("stride", 1...1 << 16, default: 1, "Step of the 3×3 convolution (of the first)."),
        Activation.option("activation", default: "relu"),
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.residualBlock(
          name, inputs.required(0), kind, from: options.integerIfAny("inplanes"),
          planes: options.integer("planes"), stride: options.integer("stride"),
          activation: options.text("activation"))
      ]
    }
  }
}

extension Network {
  /// Convolutions with batch normalisation, added to their input; weights start as torchvision's do:
  /// normal, by fan_out.
  public func residualBlock(
    _ name: String, _ x: Edge, _ kind: ResidualBlock, from: Int? = nil, planes: Int,
    stride: Int = 1, activation: String = "relu"
  ) throws(StackLensError) -> Edge {
    try check(x, rank: 4...4, Windows.form(2))
    let channels = try width(of: x, axis: 1, given: from, "inplanes")
    let (wide, overflow) = planes.multipliedReportingOverflow(by: kind.expansion)
    guard !overflow else { throw .invalidArgument("'planes' is \(planes)") }
    func step(
      _ name: String, _ norm: String, _ x: Edge, _ to: Int, _ kernel: Int, stride: Int = 1
    ) throws(StackLensError) -> Edge {
      let windows = try Windows(
        [kernel, kernel], stride: [stride], padding: .symmetric([kernel / 2]))
      let sums = try convolution(
        name, x, to: to, windows, bias: false,
        weight: .kaimingNormal(gain: 2.0.squareRoot(), fan: .output))
      return try batchNorm(norm, sums, to)
    }
    return try scope(name) { () throws(StackLensError) in
      var y = x
      switch kind {
      case .basic:
        y = try self.activation(activation, step("conv1", "bn1", y, planes, 3, stride: stride))
        y = try step("conv2", "bn2", y, wide, 3)
      case .bottleneck:
        y = try self.activation(activation, step("conv1", "bn1", y, planes, 1))
        y = try self.activation(activation, step("conv2", "bn2", y, planes, 3, stride: stride))
        y = try step("conv3", "bn3", y, wide, 1)
      }
      let needsFit = stride != 1 || channels != wide
      let fitted =
        needsFit ? try step("downsample.0", "downsample.1", x, wide, 1, stride: stride) : x
      return try self.activation(activation, y + fitted)
    }
  }
}
