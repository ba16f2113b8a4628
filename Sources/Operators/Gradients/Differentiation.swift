import Base
import Graphs
import Tensors

/// Reverse-mode differentiation of a list of nodes, graph to graph.
public struct Differentiation {
  private let nodes: [Node]
  private let graph: GraphBuilder
  private let types: (String) -> ValueType?
  /// Gradients of gradients multiply: a small file must not fill the memory.
  private static let nodeLimit = 200_000

  /// - Parameters:
  ///   - nodes: in order, without operators that are made of others.
  ///   - graph: what the new nodes are added to; it only has to make names that are not taken.
  ///   - types: the types of values as far as they are known, which makes some gradients cheaper.
  public init(
    _ nodes: [Node], into graph: GraphBuilder,
    types: @escaping (String) -> ValueType? = { _ in nil }
  ) {
    self.nodes = nodes
    self.graph = graph
    self.types = types
  }

  /// The gradients of `target` with respect to `variables`, which count as independent even where
  /// a node makes them.
  /// - Parameter seed: the gradient that arrives at `target`; nil means ones, the gradient of the
  ///   sum of its elements.
  /// - Returns: for each variable its gradient; nil where `target` does not depend on it.
  /// - Throws: `.unsupported` naming the node that cannot be differentiated.
  public func gradients(
    of target: String, with variables: [String], seed: Edge? = nil
  ) throws(StackLensError) -> [Edge?] {
    let active = dependents(of: Set(variables))
    guard active.contains(target) else { return variables.map { _ in nil } }
    if let seed { return try gradients(seeds: [(target, seed)], with: variables, active) }
    let ones = try filled(1, like: graph.existing(target))
    return try gradients(seeds: [(target, ones)], with: variables, active)
  }

  /// The gradients with respect to `variables` where gradients arrive at several values.
  func gradients(
    seeds: [(value: String, gradient: Edge)], with variables: [String]
  ) throws(StackLensError) -> [Edge?] {
    try gradients(seeds: seeds, with: variables, dependents(of: Set(variables)))
  }

  private func gradients(
    seeds: [(value: String, gradient: Edge)], with variables: [String], _ active: Set<String>
  ) throws(StackLensError) -> [Edge?] {
    var arrived: [String: [Edge]] = [:]
    for (value, gradient) in seeds where active.contains(value) {
      arrived[value, default: []].append(gradient)
    }
    let independent = Set(variables)
    for node in nodes.reversed() {
      guard node.outputs.contains(where: { arrived[$0] != nil && !independent.contains($0) })
      else { continue }
      guard graph.graph.nodes.count + nodes.count <= Self.nodeLimit else {
        throw .limitExceeded(
          "the gradient of '\(seeds[0].value)' takes more than \(Self.nodeLimit) nodes")
      }
      let gradients = node.outputs.map { (name) -> Edge? in
        independent.contains(name) ? nil : arrived.removeValue(forKey: name).map(total)
      }
      let flowing: [Edge?]
      do throws(StackLensError) {
        flowing = try flow(back: gradients, through: node, active)
      } catch { throw error.within("gradient of \(node.label)") }
      for (name, edge) in zip(names(node), flowing) {
        if active.contains(name), let edge { arrived[name, default: []].append(edge) }
      }
    }
    return variables.map { arrived[$0].map(total) }
  }

  /// Zeros of the type and shape of a value.
  func zeros(like edge: Edge) throws(StackLensError) -> Edge { try filled(0, like: edge) }

  /// A value filled with one number, of the type and shape of another.
  public func filled(_ value: Double, like edge: Edge) throws(StackLensError) -> Edge {
    let number = graph.add("CastLike", [graph.constant(try Tensor(scalar: value)), edge])
    return graph.add("Expand", [number, graph.add("Shape", [edge])])
  }

  /// Every value that depends on one of `variables`, these included.
  private func dependents(of variables: Set<String>) -> Set<String> {
    var active = variables
    for node in nodes where reads(node).contains(where: { active.contains($0) }) {
      active.formUnion(node.outputs.filter { !$0.isEmpty })
    }
    return active
  }

  /// The rule of a node's operator; one that stands for others always has theirs.
  private func rule(_ node: Node) -> GradientRule? {
    guard let definition = OperatorTable.find(node.opType, domain: node.domain) else { return nil }
    return definition.gradient ?? (definition.isComposition ? .lifted : nil)
  }

  /// Inputs, and what subgraphs take from around the node.
  private func names(_ node: Node) -> [String] {
    guard node.hasSubgraphs else { return node.inputs }
    var names = node.inputs
    for (_, graph) in node.subgraphs {
      for name in graph.captures where !names.contains(name) { names.append(name) }
    }
    return names
  }

  /// The values through which gradients may flow back from a node; all where it has no rule.
  private func reads(_ node: Node) -> [String] {
    guard let rule = rule(node) else { return node.reads }
    return Array(names(node).prefix(rule.inputCount)).filter { !$0.isEmpty }
  }

  private func flow(
    back gradients: [Edge?], through node: Node, _ active: Set<String>
  ) throws(StackLensError) -> [Edge?] {
    let sources = reads(node)
    guard sources.contains(where: { active.contains($0) }) else { return [] }
    guard let definition = OperatorTable.find(node.opType, domain: node.domain),
      let rule = rule(node)
    else {
      throw .unsupported(
        "there is no gradient rule for \(node.opType): \(GradientRule.detour)")
    }
    let names = names(node)
    let wants = names.indices.map { $0 < rule.inputCount && active.contains(names[$0]) }
    func edges(_ names: [String]) -> [Edge?] {
      names.map { $0.isEmpty ? nil : graph.existing($0) }
    }
    return try rule.body(
      GradientScope(
        node: node, definition: definition, graph: graph, inputs: edges(names),
        outputs: edges(node.outputs), outputGradients: gradients, wants: wants, names: names,
        types: types))
  }

  private func total(_ edges: [Edge]) -> Edge {
    edges.count == 1 ? edges[0] : graph.add("Sum", edges)
  }
}
