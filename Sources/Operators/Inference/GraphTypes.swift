import Base
import Graphs
import Tensors

/// The types of all values of a graph, as far as they follow from its inputs and constants.
public struct GraphTypes: Sendable {
  /// By name.
  public private(set) var values: [String: ValueType] = [:]
  /// Of the graphs inside, by the place of the node.
  private(set) var subgraphs: [SubgraphPlace: GraphTypes] = [:]
  /// What type rules said against the inputs of a node, by its place.
  private(set) var refusals: [Int: StackLensError] = [:]

  /// Asks the operators' rules for concrete types under a few assignments of numbers to the
  /// symbolic extents, and solves back. The time grows with the number of nodes.
  public init(of graph: Graph) {
    let symbols = SymbolTable()
    var fixed: Set<Int> = []
    let nodeCount = Self.survey(graph, &fixed)
    var probed: [ProbedGraph] = []
    for kind in ProbeKind.allCases {
      let probe = Probe(kind, symbols: symbols, fixed: fixed, visits: 64 + 24 * nodeCount)
      probed.append(probe.walk(graph))
      // Without symbols one walk tells everything.
      if symbols.names.isEmpty { break }
    }
    var solver = TypeSolver(symbols, Array(ProbeKind.allCases.prefix(probed.count)))
    self.init(of: graph, probed, &solver)
    rename(solver.names())
  }

  private init(of graph: Graph, _ probed: [ProbedGraph?], _ solver: inout TypeSolver) {
    func solve(_ name: String, by declared: ValueType?) {
      guard !name.isEmpty, values[name] == nil else { return }
      let type = solver.solve(probed.map { $0?.values[name] })
      values[name] = declared.map { type.completed(by: $0) } ?? type
    }
    var declared: [String: ValueType] = [:]
    for info in graph.valueInfo + graph.outputs { declared[info.name] = info.type }
    for input in graph.inputs { solve(input.name, by: input.type) }
    for constant in graph.initializers {
      let tensor = constant.tensor
      values[constant.name] =
        values[constant.name]
        ?? .tensor(tensor.elementType, tensor.shape.dims.map { .fixed($0) })
    }
    for (index, node) in graph.nodes.enumerated() {
      for name in node.outputs { solve(name, by: declared[name]) }
      guard node.hasSubgraphs else { continue }
      var positions: [String: Int] = [:]
      for (attribute, inner) in node.subgraphs {
        let place = SubgraphPlace(
          node: index, attribute: attribute, index: positions[attribute, default: 0])
        positions[attribute, default: 0] += 1
        subgraphs[place] = GraphTypes(of: inner, probed.map { $0?.subgraphs[place] }, &solver)
      }
    }
    refusals = probed[0]?.refusals ?? [:]
  }

  /// The type of a value here or in a graph inside; nil where nothing is known.
  public func type(of name: String) -> ValueType? {
    if let type = values[name] { return type == .unknown ? nil : type }
    for inner in subgraphs.values {
      if let type = inner.type(of: name) { return type }
    }
    return nil
  }

  /// The element type of a tensor here or in a graph inside.
  public func elementType(of name: String) -> ElementType? {
    guard case .tensor(let elementType, _)? = type(of: name) else { return nil }
    return elementType
  }

  private mutating func rename(_ names: [String: String]) {
    values = values.mapValues { $0.renamed(names) }
    for place in subgraphs.keys { subgraphs[place]?.rename(names) }
  }

  /// Counts nodes and collects extents of constants and declarations.
  private static func survey(_ graph: Graph, _ fixed: inout Set<Int>) -> Int {
    var count = graph.nodes.count
    for constant in graph.initializers { fixed.formUnion(constant.tensor.shape.dims) }
    for info in graph.inputs + graph.outputs + graph.valueInfo {
      guard case .tensor(_, let dims?) = info.type else { continue }
      for case .fixed(let extent) in dims { fixed.insert(extent) }
    }
    for node in graph.nodes where node.hasSubgraphs {
      for (_, inner) in node.subgraphs { count += survey(inner, &fixed) }
    }
    return count
  }
}

extension Graph {
  /// The graph with the types of all its values written down, in the graphs inside as well.
  public func typed() -> Graph { typed(GraphTypes(of: self)) }

  private func typed(_ types: GraphTypes) -> Graph {
    var result = self
    let ends = Set(inputs.map(\.name)).union(outputs.map(\.name))
    var notes: [String: ValueInfo] = [:]
    for info in valueInfo { notes[info.name] = info }
    result.valueInfo = []
    for (index, node) in nodes.enumerated() {
      for name in node.outputs where !name.isEmpty && !ends.contains(name) {
        guard let type = types.values[name], type != .unknown else { continue }
        var note = notes[name] ?? ValueInfo(name, type)
        note.type = type
        result.valueInfo.append(note)
      }
      guard node.hasSubgraphs else { continue }
      for (key, attribute) in node.attributes {
        func inner(_ graph: Graph, _ position: Int) -> Graph {
          let place = SubgraphPlace(node: index, attribute: key, index: position)
          return types.subgraphs[place].map { graph.typed($0) } ?? graph
        }
        switch attribute {
        case .graph(let graph): result.nodes[index].attributes[key] = .graph(inner(graph, 0))
        case .graphs(let graphs):
          result.nodes[index].attributes[key] = .graphs(
            graphs.enumerated().map { inner($1, $0) })
        default: break
        }
      }
    }
    for index in result.outputs.indices {
      let output = result.outputs[index]
      if let type = types.values[output.name] {
        result.outputs[index].type = output.type.completed(by: type)
      }
    }
    return result
  }

  /// Holds what the graph declares against what follows from its inputs.
  /// - Throws: `.typeMismatch` or `.shapeMismatch` naming the node, what was declared, what follows
  ///   and from which inputs; what an operator says against inputs whose types are fixed.
  public func verifyTypes() throws(StackLensError) {
    try verifyTypes(GraphTypes(of: self))
  }

  /// - Parameter types: those of this graph.
  func verifyTypes(
    _ types: GraphTypes, _ outer: [String: ValueType] = [:], isInner: Bool = false
  ) throws(StackLensError) {
    let visible = outer.merging(types.values) { $1 }
    var declared: [String: ValueType] = [:]
    for info in valueInfo + outputs { declared[info.name] = info.type }
    for (index, node) in nodes.enumerated() {
      let inputs = node.inputs.filter { !$0.isEmpty }
      let list = inputs.map { "'\($0)' \(visible[$0] ?? .unknown)" }.joined(separator: ", ")
      // A branch that does not fit may be one that never runs.
      if !isInner, let refusal = types.refusals[index],
        inputs.allSatisfy({ visible[$0]?.isFixed ?? false })
      {
        throw StackLensError(refusal.status, "\(refusal.message) (inputs: \(list))").within(
          node.label)
      }
      for name in node.outputs {
        guard let found = types.values[name], let note = declared[name], found.contradicts(note)
        else { continue }
        let message =
          "output '\(name)' is declared as \(note), but \(found) follows from "
          + (inputs.isEmpty ? "its attributes" : list)
        let hasOtherElements = note.elementType != found.elementType
        guard hasOtherElements || !isInner else { continue }
        throw (hasOtherElements ? StackLensError.typeMismatch(message) : .shapeMismatch(message))
          .within(node.label)
      }
      var positions: [String: Int] = [:]
      for (attribute, inner) in node.subgraphs {
        let position = positions[attribute, default: 0]
        positions[attribute] = position + 1
        let place = SubgraphPlace(node: index, attribute: attribute, index: position)
        guard let innerTypes = types.subgraphs[place] else { continue }
        do throws(StackLensError) {
          try inner.verifyTypes(innerTypes, visible, isInner: true)
        } catch {
          throw error.within("\(node.label), attribute '\(attribute)'")
        }
      }
    }
  }
}

extension ValueType {
  /// Nil unless the value is a tensor.
  fileprivate var elementType: ElementType? {
    guard case .tensor(let type, _) = self else { return nil }
    return type
  }
}
