import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Runs a subgraph until a count or a condition ends it; carries values from one round to the
  /// next and stacks others. ONNX Loop-25.
  static let loop = OperatorDefinition(
    "Loop", versions: [1, 11, 13, 16, 19, 21, 23, 24, 25], inputs: 2...Int(Int32.max),
    outputs: 1...Int(Int32.max), attributes: [.required("body", .graph)],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      let body = try context.graph("body")
      var limit = Int.max
      if context.hasInput(0) {
        let count = try context.tensor(0)
        guard count.count == 1 else {
          throw .shapeMismatch("input 0 (M) has shape \(count.shape), expected one number")
        }
        limit = try count.integers()[0]
      }
      var goesOn = context.hasInput(1) ? try context.condition(1) : true
      var carried: [Value] = []
      for index in 2..<max(2, context.inputs.count) { carried.append(try context.value(index)) }
      let scanCount = body.outputs.count - 1 - carried.count
      guard scanCount >= 0, body.inputs.count == carried.count + 2 else {
        throw .invalidArgument(
          "the body has \(body.inputs.count) inputs and \(body.outputs.count) outputs, which do "
            + "not fit \(carried.count) carried values")
      }
      var stacks = [[Tensor]](repeating: [], count: scanCount)
      var round = 0
      while goesOn && round < limit {
        let values = try context.run(
          "body",
          [.tensor(try Tensor(scalar: Int64(round))), .tensor(try Tensor(scalar: goesOn))]
            + carried, outputs: body.outputs.count)
        goesOn = try Evaluation.condition(values[0], "output 0 of the body")
        carried = Array(values[1..<carried.count + 1])
        for index in 0..<scanCount {
          stacks[index].append(try values[carried.count + 1 + index].tensor())
        }
        round += 1
      }
      var outputs = carried
      for (index, stack) in stacks.enumerated() {
        let declared = body.outputs[carried.count + 1 + index]
        outputs.append(
          .tensor(try stacked(stack, axis: 0, declared: declared, context.parallel)))
      }
      return outputs
    },
    outline: { (context) throws(StackLensError) in
      let starts = try (2..<max(2, context.inputs.count)).map { (index) throws(StackLensError) in
        try context.input(index)
      }
      let fixed: [AbstractValue] = [
        try .tensor(.int64, []), try .tensor(.bool, []),
      ]
      let (states, values) = try context.carried(starts, "body", before: fixed, skipping: 1)
      var rounds = context.extent("rounds")
      // Without a condition the count alone decides.
      if !context.hasInput(1), let count = context.value(0), count.count == 1 {
        rounds = max(0, try count.integers()[0])
      }
      var outputs = states
      for value in values.dropFirst(1 + states.count) {
        outputs.append(try value.stacked(rounds, axis: 0))
      }
      return outputs
    },
    gradient: .none(
      "a Loop is differentiated round by round where the number of its rounds is known",
      instead: "make its trip count a constant and its condition one that stays true, write it as "
        + "a Scan over a fixed extent, or freeze what lies before it"),
    samples: [
      Sample([.scalarIndex(3), .flag(true), .floats(2)], ["body": .graph(body)], outputs: 2),
      Sample([.scalarIndex(0), .absent, .floats(2)], ["body": .graph(body)], outputs: 2),
    ])
}

/// Carries relu(x) and stacks x.
private let body = Graph(
  inputs: [
    ValueInfo("round", .tensor(.int64, [])), ValueInfo("on", .tensor(.bool, [])),
    ValueInfo("x", .tensor(.float32, [.fixed(2)])),
  ],
  outputs: [
    ValueInfo("still", .tensor(.bool, [])), ValueInfo("y", .tensor(.float32, [.fixed(2)])),
    ValueInfo("seen", .tensor(.float32, [.fixed(2)])),
  ],
  initializers: emptyShape,
  nodes: [
    Node("Reshape", inputs: ["on", "scalar"], outputs: ["still"]),
    Node("Relu", inputs: ["x"], outputs: ["y"]),
    Node("Transpose", inputs: ["x"], outputs: ["seen"]),
  ])

private let emptyShape: [Initializer] =
  (try? Tensor([Int64]())).map { [Initializer("scalar", $0)] } ?? []

/// Tensors of one type and shape put behind one another along a new axis.
/// - Parameter declared: gives type and shape when there is no tensor.
func stacked(
  _ tensors: [Tensor], axis: Int, declared: ValueInfo, _ parallel: Parallel
) throws(StackLensError) -> Tensor {
  guard let first = tensors.first else {
    guard case .tensor(let type, let dims) = declared.type else {
      throw .unsupported("'\(declared.name)' is stacked from nothing and has no declared type")
    }
    var extents: [Int] = []
    for dimension in dims ?? [] {
      if case .fixed(let extent) = dimension { extents.append(extent) } else { extents.append(0) }
    }
    extents.insert(0, at: min(axis, extents.count))
    return try Tensor(uninitialized: type, try Shape(extents))
  }
  for tensor in tensors
  where tensor.shape != first.shape || tensor.elementType != first.elementType {
    throw .shapeMismatch(
      "'\(declared.name)' is \(TensorType(tensor)) in one round and \(TensorType(first)) in "
        + "another")
  }
  var dims = first.shape.dims
  guard axis <= dims.count else {
    throw .invalidArgument("axis \(axis) is outside [0, \(dims.count)] for '\(declared.name)'")
  }
  dims.insert(tensors.count, at: axis)
  let shape = try Shape(dims)
  let result = try Tensor(uninitialized: first.elementType, shape)
  let part = first.shape.count(axis..<first.rank)
  for (index, tensor) in tensors.enumerated() {
    StridedCopy(
      first.elementType, [first.shape.count(0..<axis), part], from: [part, 1],
      to: [part * tensors.count, 1], targetStart: index * part
    ).run(from: tensor.base, to: result.base, parallel)
  }
  return result
}
