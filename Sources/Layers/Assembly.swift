import Base
import Graphs
import Operators
import Tensors

/// A network that is put together from outside, one step at a time. Each step looks at names, counts,
/// attributes and types before it adds anything, and one that fails leaves the network as it was.
/// Values are known by their names.
///
/// Not safe to use from several threads.
public final class Assembly {
  private let network: Network

  private var builder: GraphBuilder { network.graph }

  public init(_ name: String, seed: UInt64) { network = Network(name, seed: seed) }

  /// Goes on with a model: its values can be read, its outputs are values like others.
  public init(continuing model: Model, seed: UInt64) {
    network = Network(continuing: model, seed: seed)
  }

  // Reading ----------------------------------------------------------------------------------

  /// The type of a value as far as it is known.
  public func type(of name: String) throws(StackLensError) -> ValueType {
    guard let type = network.known.values[name] else { throw .invalidArgument(unknown(name)) }
    return type
  }

  private func unknown(_ name: String) -> String {
    let near = network.known.values.keys.filter { $0.hasPrefix(name) || name.hasPrefix($0) }
      .sorted()
    let hint = near.isEmpty ? "" : " (there is '\(near.prefix(4).joined(separator: "', '"))')"
    return "the graph has no value '\(name)'\(hint)"
  }

  private func edge(_ name: String) throws(StackLensError) -> Edge {
    guard network.known.values[name] != nil else { throw .invalidArgument(unknown(name)) }
    return builder.existing(name)
  }

  private func edges(_ names: [String?]) throws(StackLensError) -> [Edge?] {
    var edges: [Edge?] = []
    for name in names {
      edges.append(try name.map { (name) throws(StackLensError) in try edge(name) })
    }
    return edges
  }

  private func checkNew(_ name: String, _ what: String) throws(StackLensError) {
    guard !name.isEmpty else { throw .invalidArgument("\(what) has no name") }
    guard network.known.values[name] == nil else {
      throw .invalidArgument("\(what) cannot be called '\(name)': a value is already called so")
    }
  }

  /// Runs a step; what it adds stays only if it fits.
  private func step<Result>(
    _ body: () throws(StackLensError) -> Result
  ) throws(StackLensError) -> Result {
    try network.attempt { () throws(StackLensError) in
      let result = try body()
      try network.known.verify(builder.graph)
      return result
    }
  }

  // Adding -----------------------------------------------------------------------------------

  /// - Parameter dims: nil where not even the rank is fixed.
  public func input(
    _ name: String, _ type: ElementType, _ dims: [Dimension]?
  ) throws(StackLensError) {
    try checkNew(name, "the input")
    for case .fixed(let extent) in dims ?? [] where extent < 0 {
      throw .invalidArgument("input '\(name)': the extent \(extent) is negative")
    }
    try step { () throws(StackLensError) in _ = network.input(name, type, dims) }
  }

  /// A tensor that is part of the computation and never trained.
  public func constant(_ tensor: Tensor) throws(StackLensError) -> String {
    try step { () throws(StackLensError) in network.constant(tensor).name }
  }

  /// A parameter with the values it has at first. The same name again gives the same parameter, so
  /// that parts of a network can share it.
  public func parameter(_ name: String, _ tensor: Tensor) throws(StackLensError) -> String {
    if let known = builder.graph.initializers.first(where: { $0.name == name }) {
      let (old, new) = (known.tensor, tensor)
      guard old.elementType == new.elementType, old.shape == new.shape else {
        throw .shapeMismatch(
          "parameter '\(name)' is \(TensorType(old)) already, it cannot be \(TensorType(new)) too")
      }
      return name
    }
    try checkNew(name, "the parameter")
    return try step { () throws(StackLensError) in builder.constant(name, tensor).name }
  }

  /// A parameter with initial values that an initialiser makes.
  /// - Parameter initializer: an object with its name under "type" and its options.
  package func parameter(
    _ name: String, _ dims: [Int], _ initializer: JSON
  ) throws(StackLensError) -> String {
    let start = try WeightInitializer(initializer)
    if builder.graph.initializers.contains(where: { $0.name == name }) == false {
      try checkNew(name, "the parameter")
    }
    return try step { () throws(StackLensError) in try network.parameter(name, dims, start).name }
  }

  /// A layer of `LayerTable`.
  /// - Parameters:
  ///   - scope: what its parameters' names start with.
  ///   - options: an object of its options.
  ///   - atMost: how many outputs the caller can take.
  /// - Returns: the names of its outputs.
  package func layer(
    _ name: String, _ scope: String, _ inputs: [String?], options: JSON, atMost: Int
  ) throws(StackLensError) -> [String] {
    let definition = try LayerTable.find(name)
    let edges = try edges(inputs)
    return try step { () throws(StackLensError) in
      let outputs = try definition.build(in: network, scope, edges, options: options)
      guard outputs.count <= atMost else {
        throw .shapeMismatch("layer '\(name)' has \(outputs.count) outputs, not \(atMost)")
      }
      return outputs.map(\.name)
    }
  }

  /// A node of any operator.
  /// - Parameter inputs: names of values; nil leaves an optional input out.
  /// - Returns: the names of its outputs.
  public func apply(
    _ name: String, domain: String = "", _ inputs: [String?], _ attributes: [String: Attribute],
    outputCount: Int
  ) throws(StackLensError) -> [String] {
    guard let definition = OperatorTable.find(name, domain: domain) else {
      throw .unsupported("there is no operator '\(name)' in domain '\(domain)'")
    }
    do throws(StackLensError) {
      var node = Node(
        definition.name, inputs: try edges(inputs).map { $0?.name ?? "" },
        outputs: (0..<outputCount).map { "\($0)" },
        attributes: try definition.settings(attributes), domain: definition.domain)
      try definition.verify(node)
      return try step { () throws(StackLensError) in
        node.name = builder.fresh(name)
        node.outputs =
          outputCount == 1
          ? [node.name + ".out"] : (0..<outputCount).map { "\(node.name).out\($0)" }
        guard definition.isComposition else {
          builder.add(node)
          return node.outputs
        }
        try addParts(of: node)
        return node.outputs
      }
    } catch { throw error.within(name) }
  }

  /// Adds the nodes that a composition stands for.
  private func addParts(of node: Node) throws(StackLensError) {
    var part = Graph(name: node.name)
    part.nodes = [node]
    for input in Set(node.inputs).sorted() where !input.isEmpty {
      if let constant = builder.graph.initializers.first(where: { $0.name == input }) {
        part.initializers.append(constant)
      } else {
        part.inputs.append(ValueInfo(input, network.known.values[input] ?? .unknown))
      }
    }
    let given = part.initializers.count
    let expanded = try part.withoutCompositions()
    for constant in expanded.initializers.dropFirst(given) { builder.add(constant) }
    for node in expanded.nodes { builder.add(node) }
  }

  // Ending -----------------------------------------------------------------------------------

  /// Declares a value as an output under a name.
  public func output(_ value: String, _ name: String) throws(StackLensError) {
    let edge = try edge(value)
    guard !builder.graph.outputs.contains(where: { $0.name == name }) else {
      throw .invalidArgument("the graph already has an output '\(name)'")
    }
    if value != name { try checkNew(name, "the output") }
    try step { () throws(StackLensError) in network.output(edge, name) }
  }

  /// The model so far, without what no output needs.
  public func model() throws(StackLensError) -> Model { try network.model() }
}
