import Graphs
import Tensors

/// Who makes and who reads each value of a graph: what patterns are matched on.
struct GraphIndex {
  let graph: Graph
  private let producers: [String: Int]
  private let readers: [String: [Int]]
  private let constants: [String: Tensor]
  /// Values that leave the graph, or that a subgraph reads: they must stay.
  private let kept: Set<String>

  init(_ graph: Graph) {
    self.graph = graph
    var producers: [String: Int] = [:]
    var readers: [String: [Int]] = [:]
    var kept = Set(graph.outputs.map(\.name))
    for (index, node) in graph.nodes.enumerated() {
      for name in node.outputs where !name.isEmpty { producers[name] = index }
      for name in node.inputs where !name.isEmpty { readers[name, default: []].append(index) }
      for (_, subgraph) in node.subgraphs { kept.formUnion(subgraph.captures) }
    }
    var constants: [String: Tensor] = [:]
    for initializer in graph.initializers { constants[initializer.name] = initializer.tensor }
    for input in graph.inputs { constants[input.name] = nil }
    self.producers = producers
    self.readers = readers
    self.constants = constants
    self.kept = kept
  }

  /// The node that makes a value, if it is the operator asked for.
  func producer(of name: String, _ opType: String, domain: String = "") -> (index: Int, node: Node)? {
    guard let index = producers[name], graph.nodes[index].opType == opType,
      graph.nodes[index].domain == domain
    else { return nil }
    return (index, graph.nodes[index])
  }

  /// The node that makes a value.
  func producer(of name: String) -> Node? { producers[name].map { graph.nodes[$0] } }

  /// The one node that reads a value which nothing else needs.
  func onlyReader(of name: String) -> (index: Int, node: Node)? {
    guard let readers = readers[name], readers.count == 1, !kept.contains(name) else { return nil }
    return (readers[0], graph.nodes[readers[0]])
  }

  func constant(_ name: String) -> Tensor? { constants[name] }

  /// The value of a float32 constant with one element.
  func scalar(_ name: String) -> Float? {
    guard let tensor = constants[name], tensor.count == 1, tensor.elementType == .float32 else {
      return nil
    }
    return tensor.base.assumingMemoryBound(to: Float.self)[0]
  }

  /// Of a node with two inputs: the one that is not a scalar constant, with that constant.
  func scalarOperand(_ node: Node) -> (other: String, scalar: Float)? {
    guard node.inputs.count == 2 else { return nil }
    if let value = scalar(node.inputs[1]) { return (node.inputs[0], value) }
    if let value = scalar(node.inputs[0]) { return (node.inputs[1], value) }
    return nil
  }
}

/// What a match found: nodes to take out and what stands in their place.
struct Replacement {
  /// Where the new node goes; the place of the last removed one.
  let at: Int
  let removed: [Int]
  let nodes: [Node]
  var initializers: [Initializer] = []
}

extension Transform {
  /// Tries `match` at every node and replaces what it finds; matches never overlap.
  static func rewrite(
    _ graph: Graph, _ match: (GraphIndex, Int) -> Replacement?
  ) -> Graph {
    let index = GraphIndex(graph)
    var replacements: [Int: Replacement] = [:]
    var removed: Set<Int> = []
    for place in graph.nodes.indices where !removed.contains(place) {
      guard let found = match(index, place), removed.isDisjoint(with: found.removed) else {
        continue
      }
      removed.formUnion(found.removed)
      replacements[found.at] = found
    }
    guard !replacements.isEmpty else { return graph }
    var result = graph
    result.nodes = []
    for (place, node) in graph.nodes.enumerated() {
      if let found = replacements[place] {
        result.nodes += found.nodes
        result.initializers += found.initializers
      } else if !removed.contains(place) {
        result.nodes.append(node)
      }
    }
    return result
  }
}
