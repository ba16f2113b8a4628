import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Attention whose scores and weights pass through subgraphs of the node. ONNX
  /// FlexAttention-1 of ai.onnx.preview.
  static let flexAttention = OperatorDefinition(
    "FlexAttention", domain: "ai.onnx.preview", versions: [1], inputs: 3...3,
    attributes: [
      .optional("scale", .float), .optional("softmax_precision", .int),
      .optional("score_mod", .graph), .optional("prob_mod", .graph),
    ],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      [.tensor(try context.flexibleAttention())]
    },
    outline: { (context) throws(StackLensError) in
      let (query, value) = (try context.input(0), try context.input(2))
      guard let type = query.type, let values = value.type, let keys = try context.input(1).type,
        type.rank == 4, keys.rank == 4, values.rank == 4
      else { return [query.rankless] }
      let dims = type.shape.dims
      let scores = try AbstractValue.tensor(
        type.elementType, [dims[0], dims[1], dims[2], keys.shape[2]])
      for name in ["score_mod", "prob_mod"] { _ = context.subgraph(name, [scores]) }
      return [try .tensor(type.elementType, [dims[0], dims[1], dims[2], values.shape[3]])]
    },
    gradient: .flexAttention,
    samples: [
      Sample(
        [.floats(2, 4, 3, 8), .floats(2, 2, 5, 8), .floats(2, 2, 5, 4)],
        ["score_mod": doubled, "prob_mod": doubled]),
      Sample([.floats(1, 2, 3, 4), .floats(1, 2, 3, 4), .floats(1, 2, 3, 4)]),
    ])

  private static let doubled = Attribute.graph(
    Graph(
      inputs: [ValueInfo("scores", .tensor(.float32, nil))],
      outputs: [ValueInfo("twice", .tensor(.float32, nil))],
      nodes: [Node("Add", inputs: ["scores", "scores"], outputs: ["twice"])]))
}

extension Evaluation {
  fileprivate func flexibleAttention() throws(StackLensError) -> Tensor {
    let (query, key, value) = (try tensor(0), try tensor(1), try tensor(2))
    let type = query.elementType
    guard ElementType.reals.contains(type), key.elementType == type, value.elementType == type
    else {
      throw .typeMismatch(
        "query, key and value are \(type.name), \(key.elementType.name) and "
          + "\(value.elementType.name), expected one floating-point type")
    }
    guard query.rank == 4, key.rank == 4, value.rank == 4 else {
      throw .shapeMismatch(
        "query \(query.shape), key \(key.shape) and value \(value.shape) must have four axes")
    }
    guard node.attributes["score_mod"] != nil || node.attributes["prob_mod"] != nil else {
      return try apply("Attention", [query, key, value], node.attributes)
    }
    // Checks that the shapes fit, heads included.
    let (q, k, v) = (query.shape, key.shape, value.shape)
    guard k[0] == q[0], v.dims[..<3] == k.dims[..<3], q[3] == k[3],
      k[1] > 0 ? q[1] % k[1] == 0 : q[1] == 0
    else { throw .shapeMismatch("query \(q), key \(k) and value \(v) do not fit together") }
    let compute = try computeType(type)
    let group = k[1] > 0 ? q[1] / k[1] : 1
    let rows = try query.reshaped(to: Shape([q[0], k[1], extentProduct(group, q[2]), q[3]]))
    let turned = try apply("Transpose", [key], ["perm": .ints([0, 1, 3, 2])])
    let products = try apply("MatMul", [rows, turned])
    let scale =
      has("scale") ? try float("scale") : Float(1 / Double(q[3]).squareRoot())
    let factor = try apply("CastLike", [Tensor(scalar: scale), query])
    var scores = try apply("Mul", [products, factor])
    let scoreShape = try Shape([q[0], q[1], q[2], k[2]])
    scores = try cast(scores, compute).reshaped(to: scoreShape)
    scores = try modified(scores, by: "score_mod")
    var weights = try apply("Softmax", [scores], ["axis": .int(-1)])
    weights = try modified(weights, by: "prob_mod")
    weights = try weights.reshaped(to: Shape([q[0], k[1], extentProduct(group, q[2]), k[2]]))
    let mixed = try apply("MatMul", [weights, cast(value, compute)])
    return try cast(mixed, type).reshaped(to: Shape([q[0], q[1], q[2], v[3]]))
  }

  /// The type of scores and weights.
  private func computeType(_ type: ElementType) throws(StackLensError) -> ElementType {
    guard has("softmax_precision") else { return type == .float64 ? .float64 : .float32 }
    let code = try int("softmax_precision")
    guard let found = Int32(exactly: code).flatMap(ElementType.init), found.isFloat else {
      throw .invalidArgument(
        "attribute 'softmax_precision' is \(code), expected a floating-point type")
    }
    return found
  }

  /// What a subgraph makes of a tensor, which must keep type and shape.
  private func modified(_ tensor: Tensor, by name: String) throws(StackLensError) -> Tensor {
    guard node.attributes[name] != nil else { return tensor }
    let result = try run(name, [.tensor(tensor)], outputs: 1)[0].tensor()
    guard TensorType(result) == TensorType(tensor) else {
      throw .shapeMismatch(
        "subgraph '\(name)' gives \(TensorType(result)), expected \(TensorType(tensor))")
    }
    return result
  }

  private func cast(_ tensor: Tensor, _ type: ElementType) throws(StackLensError) -> Tensor {
    tensor.elementType == type
      ? tensor : try apply("Cast", [tensor], ["to": .int(Int64(type.rawValue))])
  }

  /// The only output of another operator.
  private func apply(
    _ opType: String, _ inputs: [Tensor], _ attributes: [String: Attribute] = [:]
  ) throws(StackLensError) -> Tensor {
    guard let definition = OperatorTable.find(opType, domain: "") else {
      throw .internalError("\(opType) is missing in the table")
    }
    let node = Node(
      opType, inputs: inputs.indices.map { "input\($0)" }, outputs: ["output"],
      attributes: attributes)
    let results = try definition.evaluate(
      node, inputs: inputs.map { .tensor($0) }, parallel: parallel)
    guard let first = results.first else { throw .internalError("\(opType) gives nothing") }
    return try first.tensor()
  }
}
