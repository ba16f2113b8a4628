import Base
import Graphs
import Tensors

/// How gradients flow back through one operator: nodes, not kernels, so that what a rule builds can
/// be differentiated, optimised and written to a file like anything else.
public struct GradientRule: Sendable {
  /// Returns the gradient of every input, nil where nothing flows to it; entries that
  /// `GradientScope.wants` does not ask for may be nil.
  public typealias Body = @Sendable (GradientScope) throws(StackLensError) -> [Edge?]

  /// How many of the first inputs the outputs depend on smoothly; through the others (axes,
  /// shapes, types to follow) nothing flows.
  let inputCount: Int
  let body: Body
  /// Whether the rule only says why there is none.
  let isExplanation: Bool

  public init(inputs inputCount: Int = .max, _ body: @escaping Body) {
    self.init(inputs: inputCount, isExplanation: false, body)
  }

  private init(inputs inputCount: Int, isExplanation: Bool, _ body: @escaping Body) {
    self.inputCount = inputCount
    self.isExplanation = isExplanation
    self.body = body
  }

  /// The operator cannot be differentiated.
  /// - Parameters:
  ///   - reason: why, as a sentence without its end.
  ///   - way: what else can be done.
  static func none(
    _ reason: String, instead way: String = GradientRule.detour, inputs inputCount: Int = .max
  ) -> GradientRule {
    GradientRule(inputs: inputCount, isExplanation: true) { (_) throws(StackLensError) in
      throw .unsupported("\(reason): \(way)")
    }
  }

  /// Operators that round to integers.
  static let quantised = none(
    "it rounds, and steps have no slope to learn by",
    instead: "train the model as it was before it was quantised, or freeze what lies before it")

  /// Ensembles of decision trees.
  static let trees = none("the outputs of trees are steps, which have no slope to learn by")

  /// What to do about an operator without a gradient.
  static let detour = "freeze what lies before it, or put a StopGradient behind it"

  /// Nothing flows back: the outputs are constant wherever they have a derivative.
  public static let zero = GradientRule(inputs: 0) { (scope) throws(StackLensError) in
    scope.inputs.map { _ in nil }
  }
}

/// What a gradient rule sees of one node: its values, the gradients that arrive at its outputs, and
/// a builder for the nodes that make those of its inputs.
public struct GradientScope: NodeView {
  public let node: Node
  public let definition: OperatorDefinition
  public let graph: GraphBuilder
  /// Nil where the node leaves an optional input out.
  public let inputs: [Edge?]
  /// Nil where the node leaves an output out.
  public let outputs: [Edge?]
  /// The gradient of each output; nil where none arrives.
  public let outputGradients: [Edge?]
  /// Whether anybody needs the gradient of each input.
  public let wants: [Bool]
  /// The inputs' names, and behind them those of the values that subgraphs take from around the
  /// node; `inputs`, `wants` and what a rule returns have the same order.
  public let names: [String]
  /// The type of a value, as far as it is known.
  public let types: (String) -> ValueType?

  /// An input that `inputCount` guarantees.
  public func input(_ index: Int) throws(StackLensError) -> Edge {
    guard index < inputs.count, let edge = inputs[index] else {
      throw .invalidArgument("input \(index) is missing")
    }
    return edge
  }

  public func hasInput(_ index: Int) -> Bool { index < inputs.count && inputs[index] != nil }

  public func wants(_ index: Int) -> Bool { index < wants.count && wants[index] }

  /// The number of axes of an input where it is known.
  public func rank(_ index: Int) -> Int? {
    guard index < names.count, case .tensor(_, let dims)? = types(names[index]) else { return nil }
    return dims?.count
  }

  /// The value of output 0.
  public var output: Edge { outputs.first.flatMap { $0 } ?? graph.existing("") }

  /// The gradient that arrives at output 0.
  /// - Throws: `.unsupported` when gradients only arrive at other outputs.
  public func arriving() throws(StackLensError) -> Edge {
    guard let gradient = outputGradients.first.flatMap({ $0 }) else {
      throw .unsupported("\(node.opType) has no gradient through its further outputs")
    }
    return gradient
  }

  /// A scalar of the element type of `edge`.
  public func scalar(_ value: Double, like edge: Edge) throws(StackLensError) -> Edge {
    graph.add("CastLike", [graph.constant(try Tensor(scalar: value)), edge])
  }

  /// A rank-1 int64 constant.
  public func ints(_ values: [Int64]) throws(StackLensError) -> Edge {
    graph.constant(try Tensor(values))
  }

  /// The extents of a value.
  public func shape(of edge: Edge) -> Edge { graph.add("Shape", [edge]) }

  /// `gradient`, which may have the shape that `edge` was broadcast to, summed to its shape.
  public func sum(_ gradient: Edge, like edge: Edge) -> Edge {
    graph.add("SumTo", [gradient, shape(of: edge)], domain: "ai.stacklens")
  }

  /// `gradient`, of the shape of output 0, summed to the shape of `edge`, an input that was broadcast
  /// to it; itself where both are known to have one shape.
  public func sumBack(_ gradient: Edge, like edge: Edge) -> Edge {
    guard let output = node.outputs.first, let made = dims(output), made == dims(edge.name),
      !made.contains(.unknown)
    else { return sum(gradient, like: edge) }
    return gradient
  }

  private func dims(_ name: String) -> [Dimension]? {
    guard case .tensor(_, let dims)? = types(name) else { return nil }
    return dims
  }

  /// A node with one output of the default domain.
  public func apply(
    _ opType: String, _ inputs: Edge?..., attributes: [String: Attribute] = [:]
  ) -> Edge {
    graph.add(opType, inputs, attributes)
  }

  /// `yes` where the condition holds, `no` elsewhere.
  public func choose(_ condition: Edge, _ yes: Edge, _ no: Edge) -> Edge {
    graph.add("Where", [condition, yes, no])
  }
}

extension Edge {
  static prefix func - (edge: Edge) -> Edge { edge.builder.add("Neg", [edge]) }
}
