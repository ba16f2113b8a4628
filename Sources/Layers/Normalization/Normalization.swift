import Base
import Graphs
import Tensors

extension LayerDefinition {
  private static let affine = OptionSpec.flag(
    "affine", default: true, "Whether scale and shift are parameters.")
  private static func epsilon(_ value: Double = 1e-5) -> OptionSpec {
    .number("eps", 0...1e30, default: value, "Added to the variance.")
  }

  static let normalizations: [LayerDefinition] = [
    LayerDefinition(
      "batch_norm",
      "Each channel (axis 1) by mean and variance of the batch in training, by running ones otherwise. "
        + "Parameters: weight, bias; running_mean, running_var.",
      options: [
        .size("num_features", "Channels; found out where they are known."), epsilon(),
        .number("momentum", OptionSpec.probability, default: 0.1, "Share of the newest batch."),
        affine,
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.batchNorm(
          name, inputs.required(0), options.integerIfAny("num_features"),
          epsilon: options.number("eps"), momentum: options.number("momentum"),
          affine: options.flag("affine"))
      ]
    },
    LayerDefinition(
      "layer_norm", "Each row over its last axes. Parameters: weight, bias.",
      options: [
        .integers(
          "normalized_shape", 1...OptionSpec.largest, default: nil,
          "Extents of the last axes; the last one if not given."),
        epsilon(), .flag("elementwise_affine", default: true, "Whether there are parameters."),
        .flag("bias", default: true, "Whether there is a bias."),
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.layerNorm(
          name, inputs.required(0), options.list("normalized_shape"),
          epsilon: options.number("eps"), affine: options.flag("elementwise_affine"),
          bias: options.flag("bias"))
      ]
    },
    LayerDefinition(
      "rms_norm", "Each row by its root mean square. Parameter: weight.",
      options: [
        .integers(
          "normalized_shape", 1...OptionSpec.largest, default: nil,
          "Extents of the last axes; the last one if not given."),
        epsilon(), .flag("elementwise_affine", default: true, "Whether there is a parameter."),
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.rmsNorm(
          name, inputs.required(0), options.list("normalized_shape"),
          epsilon: options.number("eps"), affine: options.flag("elementwise_affine"))
      ]
    },
    LayerDefinition(
      "group_norm", "Groups of channels (axis 1) of each item. Parameters: weight, bias.",
      options: [
        .size("num_groups", "Groups.", isRequired: true),
        .size("num_channels", "Channels; found out where they are known."), epsilon(), affine,
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.groupNorm(
          name, inputs.required(0), groups: options.integer("num_groups"),
          options.integerIfAny("num_channels"), epsilon: options.number("eps"),
          affine: options.flag("affine"))
      ]
    },
    LayerDefinition(
      "instance_norm", "Each channel (axis 1) of each item. Parameters, if any: weight, bias.",
      options: [
        .size("num_features", "Channels; found out where they are known."), epsilon(),
        .flag("affine", default: false, "Whether scale and shift are parameters."),
      ]
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.instanceNorm(
          name, inputs.required(0), options.integerIfAny("num_features"),
          epsilon: options.number("eps"), affine: options.flag("affine"))
      ]
    },
  ]
}

extension Network {
  /// Each channel by mean and variance of the batch in training, by running ones otherwise.
  /// - Parameter momentum: the share that the newest batch has in the running statistics.
  public func batchNorm(
    _ name: String, _ x: Edge, _ features: Int? = nil, epsilon: Double = 1e-5,
    momentum: Double = 0.1, affine: Bool = true, weight: WeightInitializer = .ones
  ) throws(StackLensError) -> Edge {
    let width = try self.width(of: x, axis: 1, given: features, "num_features")
    return try scope(name) { () throws(StackLensError) in
      let (scale, shift) = try scaleAndShift([width], affine: affine, weight: weight)
      let mean = try parameter("running_mean", [width], .zeros)
      let variance = try parameter("running_var", [width], .ones)
      return graph.add(
        "BatchNormalization", [x, scale, shift, mean, variance],
        ["epsilon": .float(Float(epsilon)), "momentum": .float(Float(1 - momentum))])
    }
  }

  /// Each row over its last axes.
  /// - Parameter shape: the extents of these axes; nil: the last axis, whose extent must be known.
  public func layerNorm(
    _ name: String, _ x: Edge, _ shape: [Int]? = nil, epsilon: Double = 1e-5, affine: Bool = true,
    bias: Bool = true
  ) throws(StackLensError) -> Edge {
    let dims = try normalizedShape(x, shape)
    return try scope(name) { () throws(StackLensError) in
      let scale = try affine ? parameter("weight", dims, .ones) : ones(dims)
      let shift = affine && bias ? try parameter("bias", dims, .zeros) : nil
      return graph.add(
        "LayerNormalization", shift.map { [x, scale, $0] } ?? [x, scale],
        ["axis": .int(Int64(-dims.count)), "epsilon": .float(Float(epsilon))])
    }
  }

  /// Each row by its root mean square over the last axes.
  public func rmsNorm(
    _ name: String, _ x: Edge, _ shape: [Int]? = nil, epsilon: Double = 1e-5, affine: Bool = true
  ) throws(StackLensError) -> Edge {
    let dims = try normalizedShape(x, shape)
    return try scope(name) { () throws(StackLensError) in
      let scale = try affine ? parameter("weight", dims, .ones) : ones(dims)
      return graph.add(
        "RMSNormalization", [x, scale],
        ["axis": .int(Int64(-dims.count)), "epsilon": .float(Float(epsilon))])
    }
  }

  /// Groups of channels of each item.
  public func groupNorm(
    _ name: String, _ x: Edge, groups: Int, _ channels: Int? = nil, epsilon: Double = 1e-5,
    affine: Bool = true
  ) throws(StackLensError) -> Edge {
    let width = try self.width(of: x, axis: 1, given: channels, "num_channels")
    guard groups > 0, width % groups == 0 else {
      throw .invalidArgument("\(width) channels cannot be cut into \(groups) groups")
    }
    return try scope(name) { () throws(StackLensError) in
      let (scale, shift) = try scaleAndShift([width], affine: affine)
      return graph.add(
        "GroupNormalization", [x, scale, shift],
        ["num_groups": .int(Int64(groups)), "epsilon": .float(Float(epsilon))])
    }
  }

  /// Each channel of each item.
  public func instanceNorm(
    _ name: String, _ x: Edge, _ features: Int? = nil, epsilon: Double = 1e-5, affine: Bool = false
  ) throws(StackLensError) -> Edge {
    let width = try self.width(of: x, axis: 1, given: features, "num_features")
    return try scope(name) { () throws(StackLensError) in
      let (scale, shift) = try scaleAndShift([width], affine: affine)
      return graph.add(
        "InstanceNormalization", [x, scale, shift], ["epsilon": .float(Float(epsilon))])
    }
  }

  private func scaleAndShift(
    _ dims: [Int], affine: Bool, weight: WeightInitializer = .ones
  ) throws(StackLensError) -> (Edge, Edge) {
    guard affine else {
      return (try ones(dims), constant(try Tensor(zeros: .float32, Shape(dims))))
    }
    return (try parameter("weight", dims, weight), try parameter("bias", dims, .zeros))
  }

  private func ones(_ dims: [Int]) throws(StackLensError) -> Edge {
    constant(try WeightInitializer.ones.tensor(Shape(dims), seed: 0, name: ""))
  }

  /// The extents of the axes that a normalisation works over.
  private func normalizedShape(_ x: Edge, _ shape: [Int]?) throws(StackLensError) -> [Int] {
    guard let shape, !shape.isEmpty else {
      return [try width(of: x, axis: -1, given: nil, "normalized_shape")]
    }
    for (place, extent) in shape.enumerated() {
      _ = try width(of: x, axis: place - shape.count, given: extent, "normalized_shape")
    }
    return shape
  }
}
