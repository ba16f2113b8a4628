import Base
import Graphs
import Tensors

/// What one probe found in a graph.
final class ProbedGraph {
  let parent: ProbedGraph?
  var values: [String: AbstractValue] = [:]
  /// By the place of the node and the name of the attribute.
  var subgraphs: [SubgraphPlace: ProbedGraph] = [:]
  /// What the type rule of a node said against its inputs, by the place of the node.
  var refusals: [Int: StackLensError] = [:]

  init(parent: ProbedGraph?) { self.parent = parent }

  func find(_ name: String) -> AbstractValue? {
    var graph: ProbedGraph? = self
    while let here = graph {
      if let value = here.values[name] { return value }
      graph = here.parent
    }
    return nil
  }
}

/// A graph inside a graph.
struct SubgraphPlace: Hashable, Sendable {
  let node: Int
  let attribute: String
  let index: Int
}

/// One walk through a graph with a number for every symbolic extent: the rules for concrete types
/// are asked, and values that follow from shapes and constants are computed.
final class Probe {
  let kind: ProbeKind
  private let symbols: SymbolTable
  /// Symbols by their number, for extents that are nothing but a symbol.
  private var symbolOf: [Int: Int] = [:]
  /// Extents that the graph fixes somewhere.
  private let fixed: Set<Int>
  private var visitsLeft: Int

  /// Elements of a value that is computed.
  private static let valueLimit = 4096
  private static let inputLimit = 1 << 16

  init(_ kind: ProbeKind, symbols: SymbolTable, fixed: Set<Int>, visits: Int) {
    self.kind = kind
    self.symbols = symbols
    self.fixed = fixed
    visitsLeft = visits
  }

  // Numbers ----------------------------------------------------------------------------------

  private func number(_ symbol: Int) -> Int {
    let number = kind.number(symbol)
    if kind != .tiny, !fixed.contains(number) { symbolOf[number] = symbol }
    return number
  }

  func number(at place: String) -> Int { number(symbols.index(at: place)) }

  /// Whether an extent is nothing but a symbol.
  func isSymbol(_ extent: Int) -> Bool { symbolOf[extent] != nil }

  /// Whether an extent is, or may be, a symbol to which the model gives no name.
  func isNameless(_ extent: Int) -> Bool {
    if kind == .tiny { return extent == kind.number(0) }
    return symbolOf[extent].map { symbols.names[$0] == nil } ?? false
  }

  private func extent(_ dimension: Dimension, at place: String) -> Int {
    switch dimension {
    case .fixed(let extent): extent
    case .named(let name): number(symbols.index(named: name))
    case .unknown: number(at: place)
    }
  }

  /// A declared type.
  private func declared(_ type: ValueType, at place: String) -> AbstractValue {
    switch type {
    case .tensor(let elementType, nil): return .elements(elementType)
    case .tensor(let elementType, let dims?):
      var extents: [Int] = []
      for (axis, dimension) in dims.enumerated() {
        extents.append(extent(dimension, at: "\(place).\(axis)"))
      }
      return (try? .tensor(elementType, extents)) ?? .elements(elementType)
    case .sequence(let item): return .sequence(declared(item, at: place))
    case .map(let key, let value): return .map(key: key, value: declared(value, at: place))
    case .optional(let content): return .optional(declared(content, at: place))
    case .unknown: return .unknown
    }
  }

  /// A found type with what the declared one adds to it.
  private func refined(
    _ found: AbstractValue, by type: ValueType, at place: String
  ) -> AbstractValue {
    switch (found, type) {
    case (.unknown, _): return declared(type, at: place)
    case (.elements(let elementType), .tensor(let other, .some)) where elementType == other:
      return declared(type, at: place)
    case (.tensor(let shape, nil), .tensor(let other, let dims?))
    where other == shape.elementType && dims.count == shape.rank:
      var extents = shape.shape.dims
      for (axis, dimension) in dims.enumerated()
      where dimension != .unknown && isNameless(extents[axis]) {
        extents[axis] = extent(dimension, at: place)
      }
      return (try? .tensor(shape.elementType, extents)) ?? found
    case (.sequence(let item), .sequence(let declared)):
      return .sequence(refined(item, by: declared, at: place))
    case (.optional(let content), .optional(let declared)):
      return .optional(refined(content, by: declared, at: place))
    default: return found
    }
  }

  // Walking ----------------------------------------------------------------------------------

  /// - Parameters:
  ///   - inputs: what the inputs are; nil takes what the graph declares.
  ///   - place: tells this graph from others in the names of symbols.
  func walk(
    _ graph: Graph, inputs: [AbstractValue]? = nil, in parent: ProbedGraph? = nil,
    at place: String = ""
  ) -> ProbedGraph {
    let found = ProbedGraph(parent: parent)
    for constant in graph.initializers {
      found.values[constant.name] = .tensor(TensorType(constant.tensor), value: constant.tensor)
    }
    for (index, input) in graph.inputs.enumerated() {
      let place = "\(place)\(input.name)"
      if let inputs, index < inputs.count {
        found.values[input.name] = refined(inputs[index], by: input.type, at: place)
      } else {
        let known = found.values[input.name]?.forgetting ?? .unknown
        let declared = declared(input.type, at: place)
        found.values[input.name] = declared.type == nil ? known.orElse(declared) : declared
      }
    }
    var notes: [String: ValueType] = [:]
    for info in graph.valueInfo + graph.outputs { notes[info.name] = info.type }
    for (index, node) in graph.nodes.enumerated() {
      let results = visit(node, index, found, at: place)
      for (position, name) in node.outputs.enumerated() where !name.isEmpty {
        let result = position < results.count ? results[position] : .unknown
        found.values[name] = notes[name].map { refined(result, by: $0, at: place + name) } ?? result
      }
    }
    return found
  }

  private func visit(
    _ node: Node, _ index: Int, _ graph: ProbedGraph, at place: String
  ) -> [AbstractValue] {
    visitsLeft -= 1
    guard visitsLeft > 0,
      let definition = OperatorTable.find(node.opType, domain: node.domain),
      (try? definition.verify(node)) != nil
    else { return [] }
    var inputs: [AbstractValue?] = []
    for name in node.inputs { inputs.append(name.isEmpty ? nil : graph.find(name) ?? .unknown) }
    let own = place + (node.outputs.first { !$0.isEmpty } ?? "\(index)") + ":"
    if case .pass = definition.execution { return [inputs.first.flatMap { $0 } ?? .unknown] }
    do throws(StackLensError) {
      if definition.outline != nil || node.hasSubgraphs {
        return try outline(node, definition, inputs, index, graph, own)
      }
      return try plain(node, definition, inputs, own)
    } catch {
      graph.refusals[index] = error
      return elementTypes(node, definition, inputs, own)
    }
  }

  /// A node whose operator has a rule of its own for what is not known exactly.
  private func outline(
    _ node: Node, _ definition: OperatorDefinition, _ inputs: [AbstractValue?], _ index: Int,
    _ graph: ProbedGraph, _ own: String
  ) throws(StackLensError) -> [AbstractValue] {
    if let values = computed(node, definition, inputs) { return values }
    func walk(_ attribute: String, _ values: [AbstractValue]) -> [AbstractValue] {
      var outputs: [AbstractValue] = []
      var position = 0
      for (name, inner) in node.subgraphs where name == attribute {
        let probed = self.walk(inner, inputs: values, in: graph, at: "\(own)\(name).")
        graph.subgraphs[SubgraphPlace(node: index, attribute: name, index: position)] = probed
        outputs = inner.outputs.map { probed.find($0.name) ?? .unknown }
        position += 1
      }
      return outputs
    }
    guard let outline = definition.outline else {
      for (attribute, _) in node.subgraphs { _ = walk(attribute, []) }
      return []
    }
    return try outline(
      Outlining(
        node: node, definition: definition, inputs: inputs,
        symbol: { [self] in number(at: own + $0) },
        declare: { [self] in declared($0, at: own + $1) }, walk: walk))
  }

  /// A node whose outputs follow from concrete input types.
  private func plain(
    _ node: Node, _ definition: OperatorDefinition, _ inputs: [AbstractValue?], _ own: String
  ) throws(StackLensError) -> [AbstractValue] {
    guard inputs.allSatisfy({ $0 == nil || $0?.type != nil }) else {
      return elementTypes(node, definition, inputs, own)
    }
    let asked = Question(node, definition, inputs)
    if let valueOfTypes = definition.valueOfTypes {
      return try valueOfTypes(asked.inference).map {
        AbstractValue.tensor(TensorType($0), value: $0)
      }
    }
    let types: [TensorType]
    do throws(StackLensError) { types = try asked.answer() } catch {
      if error == Inference.needsValue {
        if let found = guessed(asked, own) { return found }
        return tried(asked, own) ?? elementTypes(node, definition, inputs, own)
      }
      guard let repaired = repaired(asked, own) else { throw error }
      return repaired.map { AbstractValue.tensor($0, value: nil) }
    }
    if types.allSatisfy({ $0.shape.count <= Self.valueLimit }),
      let values = computed(node, definition, inputs)
    {
      return values
    }
    return types.map { AbstractValue.tensor($0, value: nil) }
  }

  /// The outputs themselves where all inputs are known.
  private func computed(
    _ node: Node, _ definition: OperatorDefinition, _ inputs: [AbstractValue?]
  ) -> [AbstractValue]? {
    guard definition.isDeterministic, !node.hasSubgraphs, !inputs.isEmpty else { return nil }
    var count = 0
    var values: [Value?] = []
    for input in inputs {
      guard let input else {
        values.append(nil)
        continue
      }
      guard let tensor = input.value else { return nil }
      count += min(tensor.count, Self.inputLimit)
      values.append(.tensor(tensor))
    }
    guard count < Self.inputLimit,
      let results = try? definition.evaluate(
        node, inputs: values, memoryLimit: Self.valueLimit * 64)
    else { return nil }
    return results.map { result in
      guard case .tensor(let tensor) = result, tensor.count > Self.valueLimit else {
        return AbstractValue(result)
      }
      return .tensor(TensorType(tensor), value: nil)
    }
  }
}

extension AbstractValue {
  /// The other value where nothing is known of this one.
  fileprivate func orElse(_ other: AbstractValue) -> AbstractValue {
    if case .unknown = self { other } else { self }
  }
}
