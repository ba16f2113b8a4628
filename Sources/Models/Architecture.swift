import Base
import Graphs
import Layers
import Tensors

/// A kind of model: what it is made of, how it learns and what can be asked of it. A small value that
/// follows from its options; what one model learned is the `Estimator`'s.
protocol Architecture: Sendable {
  static var definition: ArchitectureDefinition { get }

  /// - Throws: `.invalidArgument` for options that do not fit together.
  init(_ options: OptionValues) throws(StackLensError)

  /// The networks that run and that files hold, with the inputs and outputs that the outside knows.
  /// Parameters of one name are one parameter; those under `Knowledge.statistics` are computed from
  /// data and never trained.
  func networks(seed: UInt64) throws(StackLensError) -> [NamedNetwork]

  /// What a model that is made from files starts with; nil: the initial values of its networks.
  func beginning() throws(StackLensError) -> Beginning?

  /// Learns from the data of `fitting` and tells it what was learned.
  func fit(_ fitting: Fitting) throws(StackLensError)

  /// Answers a call of one of the definition's methods, with a value for each of its outputs.
  func answer(_ call: Call) throws(StackLensError) -> [Value]

  /// What learns between calls, for kinds with live methods; made at the first of them.
  func live(
    _ knowledge: Knowledge, seed: UInt64, threads: Int
  ) throws(StackLensError) -> (any LiveLearner)?
}

extension Architecture {
  func beginning() throws(StackLensError) -> Beginning? { nil }

  func live(
    _ knowledge: Knowledge, seed: UInt64, threads: Int
  ) throws(StackLensError) -> (any LiveLearner)? { nil }
}

/// What a model starts with that was made from files.
struct Beginning {
  /// Options that make the same model without these files; null for those that are to be left out.
  var options: [String: JSON] = [:]
  /// Numbers in place of initial values, by name.
  var tensors: [String: Tensor] = [:]
  var facts: [String: JSON] = [:]
}

/// What a model is while it learns from one call to the next.
protocol LiveLearner: AnyObject, Sendable {
  /// Writes down what was learned since the last time.
  /// - Returns: whether there was anything.
  func settle(_ knowledge: inout Knowledge) throws(StackLensError) -> Bool
}

/// A network by the name that it is asked for; "" is the model's main one.
public struct NamedNetwork: Sendable {
  public let name: String
  public let model: Model

  init(_ model: Model) { self.init("", model) }

  init(_ name: String, _ model: Model) { (self.name, self.model) = (name, model) }
}

extension [NamedNetwork] {
  /// The network of that name; nil where there is none.
  func named(_ name: String) -> Model? { first { $0.name == name }?.model }
}

/// A kind of model as the doors see it.
public struct ArchitectureDefinition: Sendable {
  /// An array that goes in or comes out.
  public struct Port: Sendable {
    public let name: String
    public let isOptional: Bool
    public let documentation: String

    init(_ name: String, isOptional: Bool = false, _ documentation: String) {
      (self.name, self.isOptional, self.documentation) = (name, isOptional, documentation)
    }
  }

  /// What can be asked of a model.
  public struct Method: Sendable {
    public let name: String
    public let documentation: String
    public let inputs: [Port]
    public let outputs: [Port]
    public let options: [OptionSpec]
    /// Whether the model learns from it, or asks what it learns with.
    let isLive: Bool

    init(
      _ name: String, _ documentation: String, inputs: [Port], outputs: [Port],
      options: [OptionSpec] = [], isLive: Bool = false
    ) {
      (self.name, self.documentation, self.options) = (name, documentation, options)
      (self.inputs, self.outputs, self.isLive) = (inputs, outputs, isLive)
    }
  }

  public let name: String
  public let documentation: String
  /// Of the model itself; all have "seed" and "threads" beside them.
  public let options: [OptionSpec]
  /// What `fit` takes.
  public let fit: Method
  public let methods: [Method]
  let make: @Sendable (OptionValues) throws(StackLensError) -> any Architecture

  /// - Parameter fit: the inputs of `fit` and the defaults of its options.
  init<Kind: Architecture>(
    _ name: String, of kind: Kind.Type, _ documentation: String, options: [OptionSpec],
    fit: Method, methods: [Method]
  ) {
    (self.name, self.documentation, self.fit, self.methods) = (name, documentation, fit, methods)
    self.options =
      options + [
        .integer(
          "seed", 0...Int.max, default: 42,
          "What initial values, the order of the data and dropout follow from."),
        .integer("threads", 0...1024, default: 0, "Threads of one call; 0: all usable processors."),
      ]
    make = { (values) throws(StackLensError) in try Kind(values) }
  }
}

extension ArchitectureDefinition {
  /// Everything that is said here, for the doors and for documentation.
  package func described() -> JSON {
    .object(
      JSONObject([
        .init(key: "name", value: .string(name)),
        .init(key: "documentation", value: .string(documentation)),
        .init(key: "options", value: .array(options.map { $0.described() })),
        .init(key: "fit", value: fit.described),
        .init(key: "methods", value: .array(methods.map(\.described))),
      ]))
  }
}

extension ArchitectureDefinition.Method {
  fileprivate var described: JSON {
    .object(
      JSONObject([
        .init(key: "name", value: .string(name)),
        .init(key: "documentation", value: .string(documentation)),
        .init(key: "inputs", value: .array(inputs.map(\.described))),
        .init(key: "outputs", value: .array(outputs.map(\.described))),
        .init(key: "options", value: .array(options.map { $0.described() })),
      ]))
  }
}

extension ArchitectureDefinition.Port {
  fileprivate var described: JSON {
    .object(
      JSONObject([
        .init(key: "name", value: .string(name)), .init(key: "optional", value: .bool(isOptional)),
        .init(key: "documentation", value: .string(documentation)),
      ]))
  }
}
