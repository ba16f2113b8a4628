import Base
import Graphs
import Tensors

/// The types of the values of a graph that grows at its end. What is new is looked at with the types
/// of what it reads, so that the work for a graph grows with its size and not with its square.
public struct GrowingTypes: Sendable {
  /// What is known of each value of the graph as it was when it was last taken in.
  public private(set) var values: [String: ValueType] = [:]
  /// What an operator said against its inputs.
  private var refusal: StackLensError?
  /// Where a value comes from: the place of its node, or of its constant.
  private var makers: [String: Int] = [:]
  private var constants: [String: Int] = [:]
  private var seen = Extent(inputs: 0, constants: 0, nodes: 0)

  /// How much of a graph was taken in.
  package struct Extent: Sendable {
    let inputs: Int
    let constants: Int
    let nodes: Int
  }

  /// Nodes that compute shapes and are looked at again with what depends on them.
  private static let shapeNodeLimit = 256

  /// - Parameter graph: what there is already; nothing is held against it.
  public init(_ graph: Graph = Graph()) {
    takeDeclared(graph)
    takeNodes(graph, GraphTypes(of: graph))
  }

  /// Takes in what was added to the graph since the last time.
  public mutating func take(_ graph: Graph) {
    takeDeclared(graph)
    guard seen.nodes < graph.nodes.count else { return }
    let part = part(of: graph, from: seen.nodes)
    let types = GraphTypes(of: part)
    if refusal == nil {
      do throws(StackLensError) {
        try part.verifyTypes(types)
        // Which element types fit does not depend on extents.
        if let (place, error) = types.refusals.first(where: { $1.status == .typeMismatch }) {
          throw error.within(part.nodes[place].label)
        }
      } catch { refusal = error }
    }
    takeNodes(graph, types)
  }

  /// Takes in what was added, and
  /// - Throws: what the operators' rules say against any of it.
  public mutating func verify(_ graph: Graph) throws(StackLensError) {
    take(graph)
    if let refusal { throw refusal }
  }

  // Going back ---------------------------------------------------------------------------------

  package var extent: Extent { seen }

  /// Forgets what was added since the graph had that extent.
  package mutating func forget(_ graph: Graph, since extent: Extent) {
    func forget(_ name: String) {
      values[name] = nil
      makers[name] = nil
      constants[name] = nil
    }
    for input in graph.inputs[extent.inputs..<seen.inputs] { forget(input.name) }
    for constant in graph.initializers[extent.constants..<seen.constants] { forget(constant.name) }
    for node in graph.nodes[extent.nodes..<seen.nodes] { for name in node.outputs { forget(name) } }
    seen = extent
    refusal = nil
  }

  // Taking in ----------------------------------------------------------------------------------

  private mutating func takeDeclared(_ graph: Graph) {
    for input in graph.inputs[seen.inputs...] { values[input.name] = input.type }
    for index in seen.constants..<graph.initializers.count {
      let (name, tensor) = (graph.initializers[index].name, graph.initializers[index].tensor)
      // The default of an input is no constant.
      guard values[name] == nil else { continue }
      constants[name] = index
      values[name] = .tensor(tensor.elementType, tensor.shape.dims.map { .fixed($0) })
    }
    seen = Extent(
      inputs: graph.inputs.count, constants: graph.initializers.count, nodes: seen.nodes)
  }

  private mutating func takeNodes(_ graph: Graph, _ types: GraphTypes) {
    for index in seen.nodes..<graph.nodes.count {
      for name in graph.nodes[index].outputs where !name.isEmpty {
        makers[name] = index
        values[name] = (types.values[name] ?? .unknown).mapExtents(bare)
      }
    }
    seen = Extent(
      inputs: seen.inputs, constants: seen.constants, nodes: graph.nodes.count)
  }

  /// The nodes from a place on, with those that compute shapes for them, as a graph of their own.
  private func part(of graph: Graph, from start: Int) -> Graph {
    var places = Set(start..<graph.nodes.count)
    var waiting = Array(places)
    var reads: Set<String> = []
    while let place = waiting.popLast() {
      for name in graph.nodes[place].reads where reads.insert(name).inserted {
        guard let maker = makers[name], !places.contains(maker), computesShapes(name),
          places.count < graph.nodes.count - start + Self.shapeNodeLimit
        else { continue }
        places.insert(maker)
        waiting.append(maker)
      }
    }
    var part = Graph(name: graph.name)
    part.nodes = places.sorted().map { graph.nodes[$0] }
    let made = Set(part.nodes.flatMap(\.outputs))
    for name in reads.subtracting(made).sorted() {
      if let index = constants[name] {
        part.initializers.append(graph.initializers[index])
      } else {
        part.inputs.append(ValueInfo(name, (values[name] ?? .unknown).mapExtents(quoted)))
      }
    }
    return part
  }

  /// Whether a value is a list of integers, as shapes are.
  private func computesShapes(_ name: String) -> Bool {
    guard case .tensor(let type, let dims?)? = values[name] else { return false }
    return (type == .int64 || type == .int32) && dims.count <= 1
  }
}

/// A formula of extents as one symbol of the next part: "(2*batch + 1)".
private func quoted(_ extent: Dimension) -> Dimension {
  guard case .named(let name) = extent, name.contains(where: { " *".contains($0) }) else {
    return extent
  }
  return .named("(\(name))")
}

/// The other way round; names that a part made up mean nothing in another one.
private func bare(_ extent: Dimension) -> Dimension {
  guard case .named(let name) = extent else { return extent }
  if name.hasPrefix("dim"), name.dropFirst(3).allSatisfy(\.isNumber) { return .unknown }
  let inner = name.dropFirst().dropLast()
  let isQuoted = name.hasPrefix("(") && name.hasSuffix(")") && !inner.contains("(")
  return isQuoted ? .named(String(inner)) : extent
}

extension ValueType {
  fileprivate func mapExtents(_ change: (Dimension) -> Dimension) -> ValueType {
    switch self {
    case .tensor(let type, let dims): .tensor(type, dims?.map(change))
    case .sequence(let item): .sequence(item.mapExtents(change))
    case .optional(let content): .optional(content.mapExtents(change))
    case .map(let key, let value): .map(key: key, value: value.mapExtents(change))
    case .unknown: .unknown
    }
  }
}
