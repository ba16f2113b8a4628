import Base

/// One kind of initialiser as the doors name it.
public struct InitializerDefinition: Sendable {
  public let name: String
  /// Other names of the field for the same.
  public let aliases: [String]
  public let documentation: String
  public let options: [OptionSpec]
  let make: @Sendable (OptionValues) throws(StackLensError) -> WeightInitializer

  fileprivate init(
    _ name: String, aliases: [String] = [], _ documentation: String, _ options: [OptionSpec] = [],
    _ make: @escaping @Sendable (OptionValues) throws(StackLensError) -> WeightInitializer
  ) {
    self.name = name
    self.aliases = aliases
    self.documentation = documentation
    self.options = options
    self.make = make
  }
}

extension WeightInitializer {
  /// Every initialiser that has a name.
  public static let table: [InitializerDefinition] = simple + scaled + matrices

  /// Reads an initialiser: its name, or an object whose member "name" is it and whose other members
  /// are its options.
  /// - Throws: `.invalidArgument` naming what is known.
  package init(_ json: JSON) throws(StackLensError) {
    guard let name = json.stringValue ?? json["name"]?.stringValue else {
      throw .invalidArgument("an initialiser needs a name")
    }
    guard let entry = Self.table.first(where: { $0.name == name || $0.aliases.contains(name) })
    else {
      throw .invalidArgument(
        "there is no initialiser '\(name)'; known are: "
          + Self.table.map(\.name).joined(separator: ", "))
    }
    let members = json.objectValue?.members.filter { $0.key != "name" } ?? []
    do throws(StackLensError) {
      self = try entry.make(OptionValues(.object(JSONObject(members)), entry.options))
    } catch { throw error.within("initialiser '\(name)'") }
  }

  private static let mean = OptionSpec.number("mean", default: 0, "Mean.")
  private static func std(_ value: Double) -> OptionSpec {
    .number("std", 0...1e300, default: value, "Standard deviation.")
  }
  private static let gain = OptionSpec.number("gain", default: 1, "Factor.")

  private static let simple: [InitializerDefinition] = [
    .init("zeros", "All 0.") { (_) throws(StackLensError) in .zeros },
    .init("ones", "All 1.") { (_) throws(StackLensError) in .ones },
    .init("constant", "All the same.", [.number("value", default: 0, "The number.")]) {
      (options) throws(StackLensError) in .constant(try options.number("value"))
    },
    .init(
      "uniform", "Uniform between two bounds.",
      [.number("low", default: 0, "Lower bound."), .number("high", default: 1, "Upper bound.")]
    ) { (options) throws(StackLensError) in
      .uniform(low: try options.number("low"), high: try options.number("high"))
    },
    .init("normal", "Normal.", [mean, std(1)]) { (options) throws(StackLensError) in
      .normal(mean: try options.number("mean"), std: try options.number("std"))
    },
    .init(
      "truncated_normal", "Normal, redrawn outside of two bounds.",
      [
        mean, std(1), .number("low", default: -2, "Lower bound."),
        .number("high", default: 2, "Upper bound."),
      ]
    ) { (options) throws(StackLensError) in
      .truncatedNormal(
        mean: try options.number("mean"), std: try options.number("std"),
        low: try options.number("low"), high: try options.number("high"))
    },
  ]

  private static let kaiming: [OptionSpec] = [
    .choice("mode", default: Fan.input, "Whether values or gradients keep their variance."),
    .choice(
      "nonlinearity",
      [
        "linear", "conv1d", "conv2d", "conv3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu",
      ], default: "leaky_relu", "What follows the layer."),
    .number("a", default: 0, "The negative slope of leaky_relu."),
  ]

  /// What PyTorch's `calculate_gain` gives.
  private static func gain(_ options: OptionValues) throws(StackLensError) -> Double {
    let slope = try options.number("a")
    switch try options.text("nonlinearity") {
    case "tanh": return 5.0 / 3
    case "relu": return 2.0.squareRoot()
    case "leaky_relu": return (2 / (1 + slope * slope)).squareRoot()
    case "selu": return 0.75
    default: return 1
    }
  }

  private static let scaled: [InitializerDefinition] = [
    .init(
      "xavier_uniform", aliases: ["glorot_uniform"],
      "Uniform within ± gain √(6 / (fan_in + fan_out)).", [gain]
    ) { (options) throws(StackLensError) in .xavierUniform(gain: try options.number("gain")) },
    .init(
      "xavier_normal", aliases: ["glorot_normal"],
      "Normal with the deviation gain √(2 / (fan_in + fan_out)).", [gain]
    ) { (options) throws(StackLensError) in .xavierNormal(gain: try options.number("gain")) },
    .init(
      "kaiming_uniform", aliases: ["he_uniform"],
      "Uniform within ± gain √(3 / fan), the gain by what follows.", kaiming
    ) { (options) throws(StackLensError) in
      .kaimingUniform(gain: try gain(options), fan: try options.choice("mode"))
    },
    .init(
      "kaiming_normal", aliases: ["he_normal"],
      "Normal with the deviation gain / √fan, the gain by what follows.", kaiming
    ) { (options) throws(StackLensError) in
      .kaimingNormal(gain: try gain(options), fan: try options.choice("mode"))
    },
    .init("lecun_uniform", "Uniform within ± √(3 / fan_in).") {
      (_) throws(StackLensError) in .lecunUniform
    },
    .init("lecun_normal", "Normal with the deviation √(1 / fan_in).") {
      (_) throws(StackLensError) in .lecunNormal
    },
  ]

  private static let matrices: [InitializerDefinition] = [
    .init("orthogonal", "Orthonormal rows or columns, whichever are fewer.", [gain]) {
      (options) throws(StackLensError) in .orthogonal(gain: try options.number("gain"))
    },
    .init(
      "identity", aliases: ["eye", "dirac"],
      "A matrix or a convolution that hands its input on.", [gain]
    ) { (options) throws(StackLensError) in .identity(gain: try options.number("gain")) },
    .init(
      "sparse", "Normal, with a share of zeros in each column.",
      [.number("sparsity", OptionSpec.probability, default: 0.1, "Share of zeros."), std(0.01)]
    ) { (options) throws(StackLensError) in
      .sparse(sparsity: try options.number("sparsity"), std: try options.number("std"))
    },
  ]
}
