import Base
import Graphs

/// A layer as the doors see it: C and Python build every layer through this entry, Swift programs may
/// call the method of `Network` behind it.
public struct LayerDefinition: Sendable {
  /// An input or an output.
  public struct Port: Sendable {
    public let name: String
    public let isOptional: Bool
    public let documentation: String

    init(_ name: String, isOptional: Bool = false, _ documentation: String) {
      self.name = name
      self.isOptional = isOptional
      self.documentation = documentation
    }
  }

  /// Builds the layer; inputs are as many as the layer has, nil where one is left out.
  typealias Body =
    @Sendable (Network, _ name: String, [Edge?], OptionValues) throws(StackLensError) -> [Edge]

  public let name: String
  public let documentation: String
  public let options: [OptionSpec]
  public let inputs: [Port]
  /// Whether the last input may be given any number of times.
  public let repeatsLastInput: Bool
  /// Outputs; a layer whose options decide how many there are lists none.
  public let outputs: [Port]
  private let body: Body

  init(
    _ name: String, _ documentation: String, inputs: [Port] = [.x], repeatsLastInput: Bool = false,
    outputs: [Port] = [.y], options: [OptionSpec] = [], body: @escaping Body
  ) {
    self.name = name
    self.documentation = documentation
    self.inputs = inputs
    self.repeatsLastInput = repeatsLastInput
    self.outputs = outputs
    self.options = options
    self.body = body
  }

  /// Adds the layer to a network.
  /// - Parameters:
  ///   - scope: what the layer is called; "" puts its parameters into the scope around it.
  ///   - inputs: nil, or nothing at the end, leaves an optional input out.
  ///   - options: an object of options, or null.
  /// - Returns: the outputs in order.
  /// - Throws: `.invalidArgument` for inputs and options that do not fit, `.shapeMismatch` where the
  ///   inputs' known extents do not.
  package func build(
    in network: Network, _ scope: String, _ inputs: [Edge?], options: JSON = .null
  ) throws(StackLensError) -> [Edge] {
    do throws(StackLensError) {
      let edges = try complete(inputs)
      return try body(network, scope, edges, OptionValues(options, self.options))
    } catch {
      throw error.within(scope.isEmpty ? "layer '\(name)'" : "layer '\(scope)' (\(name))")
    }
  }

  private func complete(_ given: [Edge?]) throws(StackLensError) -> [Edge?] {
    guard given.count <= self.inputs.count || repeatsLastInput else {
      throw .invalidArgument(
        "it takes \(self.inputs.count) inputs at most, not \(given.count)")
    }
    var inputs = given
    while inputs.count < self.inputs.count { inputs.append(nil) }
    for (index, edge) in inputs.enumerated() where edge == nil {
      let port = self.inputs[min(index, self.inputs.count - 1)]
      guard port.isOptional else { throw .invalidArgument("input '\(port.name)' is missing") }
    }
    return inputs
  }
}

extension LayerDefinition.Port {
  static let x = Self("x", "What the layer works on.")
  static let y = Self("y", "What the layer makes of it.")
}

extension [Edge?] {
  /// An input that `LayerDefinition` has seen to be there.
  func required(_ index: Int) throws(StackLensError) -> Edge {
    guard let edge = self[index] else { throw .internalError("input \(index) was not checked") }
    return edge
  }
}

extension LayerDefinition {
  /// Name, options, inputs and outputs, for documentation and for tools.
  package func described() -> JSON {
    .object(
      JSONObject([
        .init(key: "name", value: .string(name)),
        .init(key: "documentation", value: .string(documentation)),
        .init(key: "inputs", value: .array(inputs.map(\.described))),
        .init(key: "repeats_last_input", value: .bool(repeatsLastInput)),
        .init(key: "outputs", value: .array(outputs.map(\.described))),
        .init(key: "options", value: .array(options.map { $0.described() })),
      ]))
  }
}

extension LayerDefinition.Port {
  fileprivate var described: JSON {
    .object(
      JSONObject([
        .init(key: "name", value: .string(name)), .init(key: "optional", value: .bool(isOptional)),
        .init(key: "documentation", value: .string(documentation)),
      ]))
  }
}
