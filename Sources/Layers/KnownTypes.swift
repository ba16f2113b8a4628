import Base
import Graphs
import Operators
import Tensors

/// The types of a network's values, found as the network grows: each time only the nodes that are new
/// are looked at.
struct KnownTypes {
  private var types: [String: ValueType] = [:]
  private var initializerCount = 0
  private var inputCount = 0
  private var nodeCount = 0
  /// Nodes of the graph when all of it was looked at last.
  private var wholeCount = -1

  /// The type of a value; nil where nothing is known.
  mutating func type(of name: String, in graph: Graph) -> ValueType? {
    update(graph)
    if let type = types[name], type.hasRank { return type }
    // Shapes that were computed before the last look are only followed in the whole graph.
    if wholeCount != graph.nodes.count {
      wholeCount = graph.nodes.count
      types.merge(GraphTypes(of: graph).values) { $0.hasRank ? $0 : $1 }
    }
    return types[name].flatMap { $0 == .unknown ? nil : $0 }
  }

  private mutating func update(_ graph: Graph) {
    for constant in graph.initializers[initializerCount...] {
      let dims = constant.tensor.shape.dims.map { Dimension.fixed($0) }
      types[constant.name] = .tensor(constant.tensor.elementType, dims)
    }
    for input in graph.inputs[inputCount...] { types[input.name] = input.type }
    (initializerCount, inputCount) = (graph.initializers.count, graph.inputs.count)
    guard nodeCount < graph.nodes.count else { return }
    var part = Graph(name: graph.name, nodes: Array(graph.nodes[nodeCount...]))
    nodeCount = graph.nodes.count
    let read = Set(part.nodes.flatMap(\.reads))
    part.initializers = graph.initializers.filter { read.contains($0.name) }
    let given = Set(part.initializers.map(\.name)).union(part.nodes.flatMap(\.outputs))
    part.inputs = read.subtracting(given).sorted().map { ValueInfo($0, types[$0] ?? .unknown) }
    types.merge(GraphTypes(of: part).values) { $1 }
  }
}

extension ValueType {
  /// Whether it is a tensor whose rank is known.
  fileprivate var hasRank: Bool {
    if case .tensor(_, .some) = self { true } else { false }
  }
}

extension Network {
  /// What is known of the type of a value, nil where nothing is.
  public func type(of edge: Edge) -> ValueType? { known.type(of: edge.name, in: graph.graph) }

  /// The extents of a tensor, nil where not even their number is known.
  public func dims(of edge: Edge) -> [Dimension]? {
    guard case .tensor(_, let dims)? = type(of: edge) else { return nil }
    return dims
  }

  func elementType(of edge: Edge) -> ElementType? {
    guard case .tensor(let type, _)? = type(of: edge) else { return nil }
    return type
  }

  /// The rank of what a layer reads.
  /// - Throws: `.shapeMismatch` when it is known and not among those the layer takes.
  func check(_ edge: Edge, rank allowed: ClosedRange<Int>, _ form: String) throws(StackLensError) {
    guard let dims = dims(of: edge), !allowed.contains(dims.count) else { return }
    throw .shapeMismatch("the input is \(dims), expected \(form)")
  }

  /// How wide a tensor is along one axis: what the caller says, held against what is known.
  /// - Parameters:
  ///   - axis: counted from the end where it is negative.
  ///   - option: what the caller's number is called, for messages.
  /// - Throws: `.invalidArgument` where neither says anything, `.shapeMismatch` where they differ.
  func width(
    of edge: Edge, axis: Int, given: Int?, _ option: String
  ) throws(StackLensError) -> Int {
    var found: Int?
    if let dims = dims(of: edge) {
      let place = axis < 0 ? axis + dims.count : axis
      guard dims.indices.contains(place) else {
        throw .shapeMismatch("the input is \(dims) and has no axis \(axis)")
      }
      found = dims[place].extent
    }
    guard let width = given ?? found else {
      throw .invalidArgument(
        "'\(option)' is needed, because the width of '\(edge.name)' is not known")
    }
    if let found, found != width {
      throw .shapeMismatch("the input is \(found) wide, '\(option)' says \(width)")
    }
    guard width > 0 else { throw .shapeMismatch("'\(option)' is \(width), expected at least 1") }
    return width
  }
}
