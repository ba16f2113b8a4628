import Base
import Tensors

/// A value inside a graph under construction.
public struct Edge: Sendable {
  public let name: String
  package let builder: GraphBuilder
}

/// Builds a graph node by node:
///
///     let graph = GraphBuilder("mlp")
///     let x = graph.input("x", .float32, [.named("batch"), .fixed(4)])
///     let hidden = graph.add("Relu", [graph.matMul(x, graph.constant("w", w)) + bias])
///     graph.output(hidden, "y", .float32, [.named("batch"), .fixed(8)])
///     let finished = graph.graph
///
/// Nodes get names after their operator and outputs after their node, so equal constructions give
/// equal graphs. Not safe to use from several threads.
public final class GraphBuilder: @unchecked Sendable {  // used by one thread at a time
  /// The graph so far.
  public private(set) var graph: Graph
  private var counts: [String: Int] = [:]
  private var prefix: [String] = []
  /// Names that were given, which generated ones leave alone.
  private var taken: Set<String> = []

  /// - Parameter prefix: what the names of nodes and unnamed constants start with.
  public init(_ name: String, prefix: String? = nil) {
    graph = Graph(name: name)
    if let prefix { self.prefix = [prefix] }
  }

  /// Goes on with a graph; no name in it is given again.
  public init(continuing graph: Graph) {
    self.graph = graph
    func collect(_ graph: Graph, depth: Int) {
      taken.formUnion(graph.inputs.map(\.name))
      taken.formUnion(graph.initializers.map(\.name))
      for node in graph.nodes {
        taken.insert(node.name)
        taken.formUnion(node.outputs)
        guard node.hasSubgraphs, depth < Graph.maximumDepth else { continue }
        for (_, inner) in node.subgraphs { collect(inner, depth: depth + 1) }
      }
    }
    collect(graph, depth: 1)
  }

  /// What `body` adds stays only if it succeeds.
  public func attempt<Result>(
    _ body: () throws(StackLensError) -> Result
  ) throws(StackLensError) -> Result {
    let (inputs, outputs) = (graph.inputs, graph.outputs)
    let (nodeCount, constantCount) = (graph.nodes.count, graph.initializers.count)
    let names = (counts, prefix, taken)
    do {
      return try body()
    } catch {
      (graph.inputs, graph.outputs) = (inputs, outputs)
      graph.nodes.removeLast(graph.nodes.count - nodeCount)
      graph.initializers.removeLast(graph.initializers.count - constantCount)
      (counts, prefix, taken) = names
      throw error
    }
  }

  /// A value of the graph that the nodes built here will become part of.
  public func existing(_ name: String) -> Edge { Edge(name: name, builder: self) }

  public func input(_ name: String, _ type: ElementType, _ dims: [Dimension]?) -> Edge {
    taken.insert(name)
    graph.inputs.append(ValueInfo(name, .tensor(type, dims)))
    return Edge(name: name, builder: self)
  }

  public func constant(_ name: String, _ tensor: Tensor) -> Edge {
    taken.insert(name)
    graph.initializers.append(Initializer(name, tensor))
    return Edge(name: name, builder: self)
  }

  /// A constant with a name of its own.
  public func constant(_ tensor: Tensor) -> Edge { constant(unique("constant"), tensor) }

  /// A rank-1 int64 constant, the form of shapes, axes and indices.
  public func ints(_ name: String, _ values: [Int64]) throws(StackLensError) -> Edge {
    constant(unique(name), try Tensor(values))
  }

  /// A float32 scalar constant.
  public func scalar(_ name: String, _ value: Float) throws(StackLensError) -> Edge {
    constant(unique(name), try Tensor(scalar: value))
  }

  public func output(_ edge: Edge, _ name: String, _ type: ElementType, _ dims: [Dimension]?) {
    output(edge, name, .tensor(type, dims))
  }

  /// Hands a value out under a name, through an Identity where it has another one.
  public func output(_ edge: Edge, _ name: String, _ type: ValueType) {
    if edge.name != name {
      graph.nodes.append(
        Node("Identity", inputs: [edge.name], outputs: [name], name: unique("Identity")))
    }
    taken.insert(name)
    graph.outputs.append(ValueInfo(name, type))
  }

  /// Takes all outputs back; the values stay.
  public func removeOutputs() { graph.outputs = [] }

  /// Nodes added by `body` get names that start with `scope/`.
  public func scope<Result>(
    _ scope: String, _ body: () throws(StackLensError) -> Result
  ) throws(StackLensError) -> Result {
    prefix.append(scope)
    defer { prefix.removeLast() }
    return try body()
  }

  /// Adds a node with one output.
  /// - Parameter inputs: nil leaves an optional input out.
  @discardableResult
  public func add(
    _ opType: String, _ inputs: [Edge?], _ attributes: [String: Attribute] = [:],
    domain: String = ""
  ) -> Edge {
    let name = unique(opType)
    graph.nodes.append(
      Node(
        opType, inputs: inputs.map { $0?.name ?? "" }, outputs: [name + ".out"],
        attributes: attributes, name: name, domain: domain))
    return Edge(name: name + ".out", builder: self)
  }

  /// Adds a node with several outputs.
  public func add(
    _ opType: String, _ inputs: [Edge?], _ attributes: [String: Attribute] = [:],
    domain: String = "", outputs count: Int
  ) -> [Edge] {
    let name = unique(opType)
    let outputs = (0..<count).map { "\(name).out\($0)" }
    graph.nodes.append(
      Node(
        opType, inputs: inputs.map { $0?.name ?? "" }, outputs: outputs, attributes: attributes,
        name: name, domain: domain))
    return outputs.map { Edge(name: $0, builder: self) }
  }

  /// Adds a node with several outputs, of which some are left out.
  public func add(
    _ opType: String, _ inputs: [Edge?], _ attributes: [String: Attribute] = [:],
    domain: String = "", wanted: [Bool]
  ) -> [Edge?] {
    let name = unique(opType)
    let outputs = wanted.enumerated().map { $1 ? "\(name).out\($0)" : "" }
    graph.nodes.append(
      Node(
        opType, inputs: inputs.map { $0?.name ?? "" }, outputs: outputs, attributes: attributes,
        name: name, domain: domain))
    return outputs.map { $0.isEmpty ? nil : Edge(name: $0, builder: self) }
  }

  /// Adds a node that has its names already.
  public func add(_ node: Node) {
    taken.insert(node.name)
    taken.formUnion(node.outputs)
    graph.nodes.append(node)
  }

  /// Adds a constant that has its name already.
  public func add(_ constant: Initializer) {
    taken.insert(constant.name)
    graph.initializers.append(constant)
  }

  /// A name that no node built here has.
  public func fresh(_ hint: String) -> String { unique(hint) }

  private func unique(_ hint: String) -> String {
    let base = (prefix + [hint]).joined(separator: "/")
    while true {
      let count = counts[base, default: 0]
      counts[base] = count + 1
      let name = count == 0 ? base : "\(base)_\(count)"
      // Outputs are called after their node.
      if taken.isDisjoint(with: [name, name + ".out", name + ".out0"]) { return name }
    }
  }
}

extension GraphBuilder {
  public func matMul(_ left: Edge, _ right: Edge) -> Edge { add("MatMul", [left, right]) }

  public func reshape(_ edge: Edge, _ dims: [Int64]) throws(StackLensError) -> Edge {
    add("Reshape", [edge, try ints("shape", dims)])
  }

  public func transpose(_ edge: Edge, _ permutation: [Int64]) -> Edge {
    add("Transpose", [edge], ["perm": .ints(permutation)])
  }
}

extension Edge {
  public static func + (left: Edge, right: Edge) -> Edge { left.builder.add("Add", [left, right]) }
  public static func - (left: Edge, right: Edge) -> Edge { left.builder.add("Sub", [left, right]) }
  public static func * (left: Edge, right: Edge) -> Edge { left.builder.add("Mul", [left, right]) }
  public static func / (left: Edge, right: Edge) -> Edge { left.builder.add("Div", [left, right]) }
}
