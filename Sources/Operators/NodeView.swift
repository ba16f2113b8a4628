import Base
import Graphs
import Tensors

/// A node read through its operator's definition: attributes with their defaults.
public protocol NodeView {
  var node: Node { get }
  var definition: OperatorDefinition { get }
}

extension NodeView {
  private func attribute(_ name: String) -> Attribute? {
    node.attributes[name]
      ?? definition.attributes.first { $0.name == name }.flatMap(\.fallback)
  }

  private func mismatch(_ name: String, _ expected: String, _ found: Attribute?) -> StackLensError {
    guard let found else { return .invalidArgument("attribute '\(name)' (\(expected)) is missing") }
    return .invalidArgument("attribute '\(name)' must be \(expected), found \(found.kindName)")
  }

  public func has(_ name: String) -> Bool { attribute(name) != nil }

  public func int(_ name: String) throws(StackLensError) -> Int {
    guard case .int(let value)? = attribute(name) else {
      throw mismatch(name, "int", attribute(name))
    }
    return Int(value)
  }

  public func flag(_ name: String) throws(StackLensError) -> Bool { try int(name) != 0 }

  public func float(_ name: String) throws(StackLensError) -> Float {
    guard case .float(let value)? = attribute(name) else {
      throw mismatch(name, "float", attribute(name))
    }
    return value
  }

  public func string(_ name: String) throws(StackLensError) -> String {
    guard case .string(let value)? = attribute(name) else {
      throw mismatch(name, "string", attribute(name))
    }
    return value
  }

  /// Nil when the attribute is absent.
  public func ints(_ name: String) throws(StackLensError) -> [Int]? {
    switch attribute(name) {
    case nil: return nil
    case .ints(let values): return values.map(Int.init)
    case let other: throw mismatch(name, "ints", other)
    }
  }

  public func floats(_ name: String) throws(StackLensError) -> [Float]? {
    switch attribute(name) {
    case nil: return nil
    case .floats(let values): return values
    case let other: throw mismatch(name, "floats", other)
    }
  }

  public func strings(_ name: String) throws(StackLensError) -> [String]? {
    switch attribute(name) {
    case nil: return nil
    case .strings(let values): return values
    case let other: throw mismatch(name, "strings", other)
    }
  }

  public func tensor(_ name: String) throws(StackLensError) -> Tensor? {
    switch attribute(name) {
    case nil: return nil
    case .tensor(let tensor): return tensor
    case let other: throw mismatch(name, "tensor", other)
    }
  }

  /// The axis attribute as an index into a shape of the given rank; negative counts from the end.
  public func axis(_ name: String, rank: Int) throws(StackLensError) -> Int {
    let axis = try int(name)
    guard axis >= -rank, axis < rank else {
      throw .invalidArgument("attribute '\(name)' is \(axis), outside [-\(rank), \(rank))")
    }
    return axis < 0 ? axis + rank : axis
  }
}

/// A node and its definition: what a kernel keeps that reads attributes while it runs.
struct NodeOptions: NodeView {
  let node: Node
  let definition: OperatorDefinition

  init(node: Node, definition: OperatorDefinition) {
    self.node = node
    self.definition = definition
  }

  init(_ view: some NodeView) { self.init(node: view.node, definition: view.definition) }
}

/// What a shape rule sees: the node, the types of its inputs, and the values known so far.
public struct Inference: NodeView {
  public let node: Node
  public let definition: OperatorDefinition
  /// Nil where an optional input is left out.
  public let inputs: [TensorType?]
  private let values: [Tensor?]

  public init(
    node: Node, definition: OperatorDefinition, inputs: [TensorType?], values: [Tensor?]
  ) {
    self.node = node
    self.definition = definition
    self.inputs = inputs
    self.values = values
  }

  public func hasInput(_ index: Int) -> Bool { index < inputs.count && inputs[index] != nil }

  public func input(_ index: Int) throws(StackLensError) -> TensorType {
    guard index < inputs.count, let type = inputs[index] else {
      throw .invalidArgument("input \(index) is missing")
    }
    return type
  }

  /// The value of an input that the output shapes depend on.
  /// - Throws: `NeedsValue` (as `.internalError`) when it is only known while running; the planner
  ///   then defers the node.
  public func value(_ index: Int) throws(StackLensError) -> Tensor {
    _ = try input(index)
    guard let value = values[index] else { throw Inference.needsValue }
    return value
  }

  /// Nil when the input is left out.
  public func optionalValue(_ index: Int) throws(StackLensError) -> Tensor? {
    hasInput(index) ? try value(index) : nil
  }

  /// Thrown by `value` when the planner does not know it yet.
  package static let needsValue = StackLensError.internalError(
    "the output shape depends on a value that is only known while running")

  /// The input's type if its element type is among `allowed`.
  public func input(
    _ index: Int, oneOf allowed: [ElementType]
  ) throws(StackLensError) -> TensorType {
    let type = try input(index)
    try type.elementType.check(index, oneOf: allowed)
    return type
  }

  /// Checks that two inputs have the same element type, and returns it.
  public func sameElementType(_ indices: Int...) throws(StackLensError) -> ElementType {
    let first = try input(indices[0]).elementType
    for index in indices.dropFirst() where hasInput(index) {
      let other = try input(index).elementType
      guard other == first else {
        throw .typeMismatch(
          "input \(index) is \(other.name) but input \(indices[0]) is \(first.name)")
      }
    }
    return first
  }
}

extension ElementType {
  /// - Throws: `.typeMismatch` where the type of input `index` is not among `allowed`.
  func check(_ index: Int, oneOf allowed: [ElementType]) throws(StackLensError) {
    guard allowed.contains(self) else {
      let names = allowed.map(\.name).joined(separator: ", ")
      throw .typeMismatch("input \(index) is \(name), expected one of \(names)")
    }
  }
}

/// What a kernel sees when it is prepared.
public struct Preparation: NodeView {
  public let node: Node
  public let definition: OperatorDefinition
  public let inputs: [TensorType?]
  public let outputs: [TensorType]
  /// Inputs whose value never changes (weights, folded constants), nil elsewhere.
  public let constants: [Tensor?]
  /// What the kernel will run with, and what packing may use.
  public let parallel: Parallel
  public var threadCount: Int { parallel.threadCount }
  private let packs: PackCache

  public init(
    node: Node, definition: OperatorDefinition, inputs: [TensorType?], outputs: [TensorType],
    constants: [Tensor?], parallel: Parallel, packs: PackCache
  ) {
    self.node = node
    self.definition = definition
    self.inputs = inputs
    self.outputs = outputs
    self.constants = constants
    self.parallel = parallel
    self.packs = packs
  }

  public func input(_ index: Int) throws(StackLensError) -> TensorType {
    guard index < inputs.count, let type = inputs[index] else {
      throw .invalidArgument("input \(index) is missing")
    }
    return type
  }

  public func hasInput(_ index: Int) -> Bool { index < inputs.count && inputs[index] != nil }

  public func constant(_ index: Int) -> Tensor? {
    index < constants.count ? constants[index] : nil
  }

  /// Constant input `index` re-laid-out as bytes, made once for the session; nil when the input is
  /// not constant.
  public func packed(
    _ index: Int, layout: String, byteCount: Int,
    fill: (_ source: Tensor, _ target: UnsafeMutableRawPointer) -> Void
  ) throws(StackLensError) -> Tensor? {
    guard let source = constant(index) else { return nil }
    return try packs.packed(source, layout: layout, byteCount: byteCount, fill: fill)
  }

  /// A re-laid-out form of constant input `index`, made once for the session however many plans
  /// use it. `layout` names the form; nil when the input is not constant.
  public func packed(
    _ index: Int, layout: String, make: (Tensor) throws(StackLensError) -> Tensor
  ) throws(StackLensError) -> Tensor? {
    guard let source = constant(index) else { return nil }
    return try packs.packed(source, layout: layout, make: make)
  }

  /// What `make` derives from the node's attributes alone, made once for the session however many
  /// plans use it.
  func derived<T: Sendable>(
    make: () throws(StackLensError) -> T
  ) throws(StackLensError) -> T {
    try packs.object(node.label + node.outputs.joined(separator: "\n"), make: make)
  }
}
