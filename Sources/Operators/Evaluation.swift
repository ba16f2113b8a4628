import Base
import Graphs
import Tensors

/// What an operator that makes its own outputs sees of one run.
public struct Evaluation: NodeView {
  /// Runs a subgraph of the node with the given inputs; captured outer values are supplied by the
  /// executor.
  public typealias Subgraph = (_ inputs: [Value]) throws(StackLensError) -> [Value]

  public let node: Node
  public let definition: OperatorDefinition
  /// Nil where an optional input is left out.
  public let inputs: [Value?]
  public let parallel: Parallel
  /// Bytes that the outputs may take together.
  let memoryLimit: Int
  private let subgraphs: [String: Subgraph]

  public init(
    node: Node, definition: OperatorDefinition, inputs: [Value?], parallel: Parallel,
    memoryLimit: Int = usableMemoryByteCount, subgraphs: [String: Subgraph] = [:]
  ) {
    self.node = node
    self.definition = definition
    self.inputs = inputs
    self.parallel = parallel
    self.memoryLimit = memoryLimit
    self.subgraphs = subgraphs
  }

  /// Refuses to make more than the memory limit allows.
  /// - Parameter what: what is made, for the message.
  /// - Throws: `.limitExceeded`.
  func requireRoom(_ count: Int, byteCount: Int, _ what: String) throws(StackLensError) {
    guard count <= memoryLimit / max(byteCount, 1) else {
      throw .limitExceeded("\(count) \(what) need more than the limit of \(memoryLimit) bytes")
    }
  }

  public func hasInput(_ index: Int) -> Bool { index < inputs.count && inputs[index] != nil }

  public func value(_ index: Int) throws(StackLensError) -> Value {
    guard index < inputs.count, let value = inputs[index] else {
      throw .invalidArgument("input \(index) is missing")
    }
    return value
  }

  public func tensor(_ index: Int) throws(StackLensError) -> Tensor {
    do throws(StackLensError) { return try value(index).tensor() } catch {
      throw error.within("input \(index)")
    }
  }

  /// The tensor if its element type is among `allowed`.
  public func tensor(
    _ index: Int, oneOf allowed: [ElementType]
  ) throws(StackLensError) -> Tensor {
    let tensor = try tensor(index)
    try tensor.elementType.check(index, oneOf: allowed)
    return tensor
  }

  public func subgraph(_ attribute: String) throws(StackLensError) -> Subgraph {
    guard let subgraph = subgraphs[attribute] else {
      throw .invalidArgument("attribute '\(attribute)' (a graph) is missing")
    }
    return subgraph
  }
}

/// Collects what a version conversion adds beside the nodes: constants and fresh names.
public struct Rewriter {
  /// Constants to add to the graph.
  public private(set) var added: [Initializer] = []
  private let constants: (String) -> Tensor?
  private let types: (String) -> ValueType?
  private let prefix: String
  private var counter = 0
  private let isTaken: (String) -> Bool
  /// The nodes before this one in its graph, in their newest forms, for operators that name
  /// values of it.
  package let nodes: [Node]

  /// - Parameters:
  ///   - prefix: what fresh names start with, usually the node's first output.
  ///   - constants: the value of a name, if it is an initialiser or a Constant node's output.
  ///   - types: the type of a name, as far as it is known.
  ///   - nodes: what stands before the node in its graph.
  public init(
    prefix: String, constants: @escaping (String) -> Tensor?,
    types: @escaping (String) -> ValueType? = { _ in nil },
    isTaken: @escaping (String) -> Bool, nodes: [Node] = []
  ) {
    self.nodes = nodes
    self.prefix = prefix
    self.constants = constants
    self.types = types
    self.isTaken = isTaken
  }

  /// A name that the graph does not use yet.
  public mutating func fresh(_ hint: String) -> String {
    while true {
      counter += 1
      let name = "\(prefix)__\(hint)\(counter)"
      if !isTaken(name) { return name }
    }
  }

  /// Adds a constant and returns its name.
  public mutating func constant(_ tensor: Tensor, _ hint: String) -> String {
    let name = fresh(hint)
    added.append(Initializer(name, tensor))
    return name
  }

  /// Adds a constant that has its name already.
  mutating func add(_ constant: Initializer) { added.append(constant) }

  /// Adds a rank-1 int64 constant and returns its name.
  public mutating func ints(
    _ values: [Int64], _ hint: String
  ) throws(StackLensError) -> String {
    constant(try Tensor(values), hint)
  }

  /// The element type of `name` where it is known.
  public func elementType(of name: String) -> ElementType? {
    if let tensor = value(of: name) { return tensor.elementType }
    if case .tensor(let type, _)? = types(name) { return type }
    return nil
  }

  /// The extents of `name`, nil each where unknown; nil where not even their number is known.
  public func dims(of name: String) -> [Int?]? {
    if let tensor = value(of: name) { return tensor.shape.dims }
    if case .tensor(_, let dims?)? = types(name) { return dims.map(\.extent) }
    return nil
  }

  /// The extent of the last axis of `name` where it is known.
  public func lastExtent(of name: String) -> Int? { dims(of: name)?.last ?? nil }

  /// The rank of `name` where it is known.
  public func rank(of name: String) -> Int? { dims(of: name)?.count }

  /// The type of `name`, `.unknown` where nothing is known.
  public func type(of name: String) -> ValueType { types(name) ?? .unknown }

  /// The value of `name` where it is constant.
  public func value(of name: String) -> Tensor? {
    added.first { $0.name == name }?.tensor ?? constants(name)
  }
}

/// A case that the sweeping tests run an operator on.
public struct Sample: Sendable {
  public enum Input: Sendable {
    /// Seeded values in [low, high) of the given type and shape.
    case random(ElementType, [Int], low: Double, high: Double)
    case tensor(@Sendable () throws(StackLensError) -> Tensor)
    /// A constant initialiser (shapes, axes …).
    case ints([Int64])
    case absent

    /// float32 values in [-1, 1).
    public static func floats(_ dims: Int...) -> Input {
      .random(.float32, dims, low: -1, high: 1)
    }
  }
  public let inputs: [Input]
  public let attributes: [String: Attribute]
  public let outputCount: Int

  public init(
    _ inputs: [Input], _ attributes: [String: Attribute] = [:], outputs outputCount: Int = 1
  ) {
    self.inputs = inputs
    self.attributes = attributes
    self.outputCount = outputCount
  }
}
