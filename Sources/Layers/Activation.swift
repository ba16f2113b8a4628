import Base
import Graphs
import Tensors

/// A function of single elements or along one axis, without parameters.
public struct Activation: Sendable {
  public let name: String
  public let documentation: String
  public let options: [OptionSpec]
  let apply: @Sendable (Network, Edge, OptionValues) throws(StackLensError) -> Edge

  private init(
    _ name: String, _ documentation: String, _ options: [OptionSpec] = [],
    _ apply: @escaping @Sendable (Network, Edge, OptionValues) throws(StackLensError) -> Edge
  ) {
    self.name = name
    self.documentation = documentation
    self.options = options
    self.apply = apply
  }

  /// One operator without attributes.
  private init(_ name: String, _ documentation: String, operator opType: String) {
    self.init(name, documentation) { (network, x, _) throws(StackLensError) in
      network.graph.add(opType, [x])
    }
  }

  /// - Throws: `.invalidArgument` naming those there are.
  public static func find(_ name: String) throws(StackLensError) -> Activation {
    guard let found = all.first(where: { $0.name == name }) else {
      throw .invalidArgument(
        "there is no activation '\(name)'; known are: "
          + all.map(\.name).joined(separator: ", "))
    }
    return found
  }

  /// An option of a layer that says which activation it has inside.
  static func option(_ name: String, default fallback: String) -> OptionSpec {
    .choice(name, all.map(\.name), default: fallback, "The activation, with its default options.")
  }

  var definition: LayerDefinition {
    LayerDefinition(name, documentation, options: options) {
      (network, name, inputs, options) throws(StackLensError) in
      let x = try inputs.required(0)
      return [
        try network.scope(name) { () throws(StackLensError) in try apply(network, x, options) }
      ]
    }
  }

  static let all: [Activation] = rectifiers + smooth + alongAxis

  private static let rectifiers: [Activation] = [
    Activation("identity", "x itself.", operator: "Identity"),
    Activation("relu", "max(0, x).", operator: "Relu"),
    Activation("relu6", "x within 0 and 6.") { (network, x, _) throws(StackLensError) in
      try network.clip(x, 0, 6)
    },
    Activation(
      "hardtanh", "x within two bounds.",
      [
        .number("min_val", default: -1, "Lower bound."),
        .number("max_val", default: 1, "Upper bound."),
      ]
    ) { (network, x, options) throws(StackLensError) in
      try network.clip(x, options.number("min_val"), options.number("max_val"))
    },
    Activation(
      "leaky_relu", "x, times a small slope where it is negative.",
      [.number("negative_slope", default: 0.01, "The slope.")]
    ) { (network, x, options) throws(StackLensError) in
      network.graph.add(
        "LeakyRelu", [x], ["alpha": .float(Float(try options.number("negative_slope")))])
    },
    Activation(
      "elu", "x, or alpha (exp(x) - 1) where it is negative.",
      [.number("alpha", default: 1, "Factor.")]
    ) { (network, x, options) throws(StackLensError) in
      network.graph.add("Elu", [x], ["alpha": .float(Float(try options.number("alpha")))])
    },
    Activation(
      "celu", "x, or alpha (exp(x / alpha) - 1) where it is negative.",
      [.number("alpha", default: 1, "Factor.")]
    ) { (network, x, options) throws(StackLensError) in
      network.graph.add("Celu", [x], ["alpha": .float(Float(try options.number("alpha")))])
    },
    Activation("selu", "A scaled elu that keeps mean and variance.", operator: "Selu"),
    Activation(
      "softshrink", "x moved towards 0 by lambd, 0 within it.",
      [.number("lambd", 0...1e300, default: 0.5, "How far.")]
    ) { (network, x, options) throws(StackLensError) in
      let bound = Attribute.float(Float(try options.number("lambd")))
      return network.graph.add("Shrink", [x], ["lambd": bound, "bias": bound])
    },
    Activation(
      "hardshrink", "x, 0 within lambd.", [.number("lambd", 0...1e300, default: 0.5, "How far.")]
    ) { (network, x, options) throws(StackLensError) in
      network.graph.add("Shrink", [x], ["lambd": .float(Float(try options.number("lambd")))])
    },
  ]

  private static let smooth: [Activation] = [
    Activation("sigmoid", "1 / (1 + exp(-x)).", operator: "Sigmoid"),
    Activation("tanh", "The hyperbolic tangent.", operator: "Tanh"),
    Activation(
      "gelu", "x Φ(x), Φ the normal distribution.",
      [.choice("approximate", ["none", "tanh"], default: "none", "By erf, or by tanh.")]
    ) { (network, x, options) throws(StackLensError) in
      network.graph.add("Gelu", [x], ["approximate": .string(try options.text("approximate"))])
    },
    Activation("silu", "x sigmoid(x), also called swish.", operator: "Swish"),
    Activation("mish", "x tanh(softplus(x)).", operator: "Mish"),
    Activation("hardswish", "x relu6(x + 3) / 6.", operator: "HardSwish"),
    Activation("hardsigmoid", "relu6(x + 3) / 6.") { (network, x, _) throws(StackLensError) in
      network.graph.add("HardSigmoid", [x], ["alpha": .float(1.0 / 6), "beta": .float(0.5)])
    },
    Activation(
      "softplus", "log(1 + exp(beta x)) / beta.",
      [.number("beta", 1e-6...1e6, default: 1, "How sharp.")]
    ) { (network, x, options) throws(StackLensError) in
      let beta = Float(try options.number("beta"))
      guard beta != 1 else { return network.graph.add("Softplus", [x]) }
      let factor = try network.scalar(beta)
      return network.graph.add("Softplus", [x * factor]) / factor
    },
    Activation("softsign", "x / (1 + |x|).", operator: "Softsign"),
    Activation("tanhshrink", "x - tanh(x).") { (network, x, _) throws(StackLensError) in
      x - network.graph.add("Tanh", [x])
    },
    Activation("logsigmoid", "log(sigmoid(x)).") { (network, x, _) throws(StackLensError) in
      let graph = network.graph
      return graph.add("Neg", [graph.add("Softplus", [graph.add("Neg", [x])])])
    },
  ]

  private static let axis = OptionSpec.integer(
    "dim", -64...64, default: -1, "The axis, from the end where it is negative.")

  private static let alongAxis: [Activation] = [
    Activation("softmax", "exp(x) over its sum along an axis.", [axis]) {
      (network, x, options) throws(StackLensError) in
      network.graph.add("Softmax", [x], ["axis": .int(Int64(try options.integer("dim")))])
    },
    Activation("log_softmax", "The logarithm of softmax.", [axis]) {
      (network, x, options) throws(StackLensError) in
      network.graph.add("LogSoftmax", [x], ["axis": .int(Int64(try options.integer("dim")))])
    },
    Activation("glu", "The first half of an axis times the sigmoid of the second.", [axis]) {
      (network, x, options) throws(StackLensError) in
      let halves = network.graph.add(
        "Split", [x], ["axis": .int(Int64(try options.integer("dim"))), "num_outputs": .int(2)],
        outputs: 2)
      return halves[0] * network.graph.add("Sigmoid", [halves[1]])
    },
  ]
}

extension Network {
  /// An activation by its name, with its default options.
  /// - Throws: `.invalidArgument` naming those there are.
  public func activation(_ name: String, _ x: Edge) throws(StackLensError) -> Edge {
    let activation = try Activation.find(name)
    return try activation.apply(self, x, OptionValues(.null, activation.options))
  }

  /// An activation with options.
  package func activation(
    _ name: String, _ x: Edge, options: JSON
  ) throws(StackLensError) -> Edge {
    let activation = try Activation.find(name)
    return try activation.apply(self, x, OptionValues(options, activation.options))
  }

  /// A float32 number.
  package func scalar(_ value: Float) throws(StackLensError) -> Edge {
    constant(try Tensor(scalar: value))
  }

  /// A list of integers: a shape, axes, indices.
  package func ints(_ values: [Int]) throws(StackLensError) -> Edge {
    try graph.ints("ints", values.map { Int64($0) })
  }

  package func clip(_ x: Edge, _ low: Double, _ high: Double) throws(StackLensError) -> Edge {
    graph.add("Clip", [x, try scalar(Float(low)), try scalar(Float(high))])
  }
}
