import Base
import Graphs
import Tensors

/// What the type rule of an operator sees whose outputs depend on data, are no tensors, or come
/// from subgraphs.
public struct Outlining: NodeView {
  public let node: Node
  public let definition: OperatorDefinition
  /// Nil where an optional input is left out.
  public let inputs: [AbstractValue?]
  private let symbol: (String) -> Int
  private let declare: (ValueType, String) -> AbstractValue
  private let walk: (String, [AbstractValue]) -> [AbstractValue]

  init(
    node: Node, definition: OperatorDefinition, inputs: [AbstractValue?],
    symbol: @escaping (String) -> Int,
    declare: @escaping (ValueType, String) -> AbstractValue,
    walk: @escaping (String, [AbstractValue]) -> [AbstractValue]
  ) {
    self.node = node
    self.definition = definition
    self.inputs = inputs
    self.symbol = symbol
    self.declare = declare
    self.walk = walk
  }

  public func hasInput(_ index: Int) -> Bool { index < inputs.count && inputs[index] != nil }

  public func input(_ index: Int) throws(StackLensError) -> AbstractValue {
    guard index < inputs.count, let value = inputs[index] else {
      throw .invalidArgument("input \(index) is missing")
    }
    return value
  }

  /// The elements of an input where they are known.
  public func value(_ index: Int) -> Tensor? {
    index < inputs.count ? inputs[index]?.value : nil
  }

  /// An extent that depends on data; the same label of the same node is the same extent.
  public func extent(_ label: String) -> Int { symbol(label) }

  /// A type that an attribute declares.
  public func declared(_ type: ValueType, _ label: String) -> AbstractValue {
    declare(type, label)
  }

  /// What holds for both values; extents that differ become symbols of this node.
  public func join(
    _ left: AbstractValue, _ right: AbstractValue, _ label: String
  ) throws(StackLensError) -> AbstractValue {
    try left.joined(with: right) { symbol("\(label).\($0)") }
  }

  /// The items of a sequence that holds the given values.
  public func join(
    _ values: [AbstractValue], _ label: String
  ) throws(StackLensError) -> AbstractValue {
    guard var result = values.first?.forgetting else { return .unknown }
    for value in values.dropFirst() { result = try join(result, value, label) }
    return result
  }

  /// The outputs of a subgraph for the given inputs.
  public func subgraph(_ attribute: String, _ inputs: [AbstractValue]) -> [AbstractValue] {
    walk(attribute, inputs)
  }
}
