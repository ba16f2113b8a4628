import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The outputs of one of two subgraphs. ONNX If-25.
  static let branch = OperatorDefinition(
    "If", versions: [1, 11, 13, 16, 19, 21, 23, 24, 25], inputs: 1...1,
    outputs: 1...Int(Int32.max),
    attributes: [.required("then_branch", .graph), .required("else_branch", .graph)],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      let name = try context.condition(0) ? "then_branch" : "else_branch"
      return try context.run(name, [], outputs: context.node.outputs.count)
    },
    outline: { (context) throws(StackLensError) in
      let then = context.subgraph("then_branch", [])
      let other = context.subgraph("else_branch", [])
      guard then.count == other.count else {
        throw .invalidArgument(
          "then_branch has \(then.count) outputs, else_branch \(other.count)")
      }
      if let value = context.value(0), value.elementType == .bool, value.count == 1 {
        return value.base.load(as: UInt8.self) != 0 ? then : other
      }
      var outputs: [AbstractValue] = []
      for index in then.indices {
        var (left, right) = (then[index], other[index])
        // A branch that cannot be followed may be one that never runs.
        if case .unknown = left {
          left = right.rankless
        } else if case .unknown = right {
          right = left.rankless
        }
        outputs.append(try context.join(left, right, "\(index)"))
      }
      return outputs
    },
    gradient: .branch,
    samples: [
      Sample([.flag(true)], branches), Sample([.flag(false)], branches),
    ])
}

private let branches: [String: Attribute] = [
  "then_branch": .graph(
    Graph(
      outputs: [ValueInfo("a", .tensor(.float32, [.fixed(2)]))],
      nodes: [
        Node(
          "Constant", inputs: [], outputs: ["a"],
          attributes: ["value_floats": .floats([1, 2])])
      ])),
  "else_branch": .graph(
    Graph(
      outputs: [ValueInfo("b", .tensor(.float32, [.fixed(1)]))],
      nodes: [
        Node(
          "Constant", inputs: [], outputs: ["b"],
          attributes: ["value_floats": .floats([-3])])
      ])),
]

extension Sample.Input {
  /// A bool scalar.
  static func flag(_ value: Bool) -> Self {
    .tensor { () throws(StackLensError) in try Tensor(scalar: value) }
  }
}

extension Evaluation {
  /// An input that must hold one bool.
  func condition(_ index: Int) throws(StackLensError) -> Bool {
    try Self.condition(try value(index), "input \(index)")
  }

  static func condition(_ value: Value, _ place: String) throws(StackLensError) -> Bool {
    guard case .tensor(let tensor) = value, tensor.elementType == .bool, tensor.count == 1 else {
      throw .typeMismatch("\(place) must be one bool")
    }
    return tensor.base.load(as: UInt8.self) != 0
  }

  /// Runs a subgraph and checks how much it gives.
  func run(
    _ attribute: String, _ inputs: [Value], outputs: Int
  ) throws(StackLensError) -> [Value] {
    let values = try subgraph(attribute)(inputs)
    guard values.count == outputs else {
      throw .invalidArgument(
        "subgraph '\(attribute)' gives \(values.count) values, expected \(outputs)")
    }
    return values
  }

  /// The graph of an attribute.
  func graph(_ attribute: String) throws(StackLensError) -> Graph {
    guard case .graph(let graph)? = node.attributes[attribute] else {
      throw .invalidArgument("attribute '\(attribute)' (a graph) is missing")
    }
    return graph
  }
}
