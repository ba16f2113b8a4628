import Base
import Graphs
import Operators
import Tensors

/// What a loss sees while it is built, and the words it is written in.
struct LossScope {
  let graph: GraphBuilder
  let outputs: [Edge]
  let targets: [Edge]
  let types: (String) -> ValueType?

  /// The element type of a value where it is known.
  func elementType(of edge: Edge) -> ElementType? {
    if case .tensor(let type, _)? = types(edge.name) { return type }
    return nil
  }

  /// The number of axes of a value where it is known.
  func rank(of edge: Edge) -> Int? {
    if case .tensor(_, let dims?)? = types(edge.name) { return dims.count }
    return nil
  }

  /// An output in float32, whatever the model computes in.
  func output(_ index: Int) -> Edge { floats(outputs[index]) }

  /// A target in float32 and in the shape of `output`, from which it may differ by extents of 1.
  func target(_ index: Int, like output: Edge) -> Edge {
    matched(floats(targets[index]), to: output)
  }

  /// `edge` in the shape of `other`, from which it may differ by extents of 1: nothing is broadcast
  /// by mistake.
  func matched(_ edge: Edge, to other: Edge) -> Edge {
    graph.add("MatchShape", [edge, other], domain: "ai.stacklens")
  }

  func floats(_ edge: Edge) -> Edge {
    elementType(of: edge) == .float32 ? edge : cast(edge, .float32)
  }

  func cast(_ edge: Edge, _ type: ElementType) -> Edge {
    apply("Cast", edge, ["to": .int(Int64(type.rawValue))])
  }

  /// Class labels as operators take them: int64 or int32.
  func labels(_ edge: Edge) -> Edge {
    switch elementType(of: edge) {
    case .int64?, .int32?, nil: edge
    default: cast(edge, .int64)
    }
  }

  // Words ---------------------------------------------------------------------------------------

  func apply(_ opType: String, _ edge: Edge, _ attributes: [String: Attribute] = [:]) -> Edge {
    graph.add(opType, [edge], attributes)
  }

  func number(_ value: Double) throws(StackLensError) -> Edge {
    graph.constant(try Tensor(scalar: Float(value)))
  }

  /// A list of numbers that is no parameter.
  func numbers(_ values: [Double], dims: [Int]? = nil) throws(StackLensError) -> Edge {
    let tensor = try Tensor(
      values.map { Float($0) }, shape: try Shape(dims ?? [values.count]))
    return graph.add("Constant", [], ["value": .tensor(tensor)])
  }

  func ints(_ values: Int64...) throws(StackLensError) -> Edge {
    try graph.ints("ints", values)
  }

  func choose(_ condition: Edge, _ yes: Edge, _ no: Edge) -> Edge {
    graph.add("Where", [condition, yes, no])
  }

  func negated(_ edge: Edge) -> Edge { apply("Neg", edge) }

  /// A reduction along axes, which disappear; along all without any.
  func reduce(
    _ opType: String, _ edge: Edge, _ axes: Int64..., keepsAxes: Bool = false
  ) throws(StackLensError) -> Edge {
    graph.add(
      opType, [edge] + (axes.isEmpty ? [] : [try graph.ints("axes", axes)]),
      ["keepdims": .int(keepsAxes ? 1 : 0)])
  }

  /// The mean or the sum of all elements.
  func total(_ edge: Edge, _ reduction: Reduction) throws(StackLensError) -> Edge {
    try reduce(reduction == .mean ? "ReduceMean" : "ReduceSum", edge)
  }

  /// sum / count, 0 where the count is.
  func share(_ sum: Edge, of count: Edge) throws(StackLensError) -> Edge {
    let isSome = graph.add("Greater", [count, try number(0)])
    return sum / choose(isSome, count, try number(1))
  }

  /// 0 where labels are `ignored`, 1 elsewhere.
  func isNot(_ ignored: Int, _ labels: Edge) throws(StackLensError) -> Edge {
    let label = graph.constant(try Tensor(scalar: Int64(ignored)))
    let isIgnored = graph.add("Equal", [labels, graph.add("CastLike", [label, labels])])
    return cast(apply("Not", isIgnored), .float32)
  }

  /// max(0, x).
  func hinge(_ edge: Edge) -> Edge { apply("Relu", edge) }
}
