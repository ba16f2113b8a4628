import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Runs a subgraph over the slices of some inputs, carries states along, stacks its other
  /// outputs. ONNX Scan-25.
  static let scan = OperatorDefinition(
    "Scan", versions: [8, 9, 11, 16, 19, 21, 23, 24, 25], inputs: 1...Int(Int32.max),
    outputs: 1...Int(Int32.max),
    attributes: [
      .required("body", .graph), .required("num_scan_inputs", .int),
      .optional("scan_input_axes", .ints), .optional("scan_input_directions", .ints),
      .optional("scan_output_axes", .ints), .optional("scan_output_directions", .ints),
    ],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      let body = try context.graph("body")
      let scanned = try context.int("num_scan_inputs")
      let stateCount = scanned >= 1 ? context.inputs.count - scanned : -1
      guard stateCount >= 0, body.inputs.count == context.inputs.count,
        body.outputs.count >= stateCount
      else {
        throw .invalidArgument(
          "the body has \(body.inputs.count) inputs and \(body.outputs.count) outputs, which do "
            + "not fit \(context.inputs.count) inputs of which \(scanned) are scanned")
      }
      let stackCount = body.outputs.count - stateCount
      let inputAxes = try list(context, "scan_input_axes", scanned)
      let inputBack = try list(context, "scan_input_directions", scanned)
      let outputAxes = try list(context, "scan_output_axes", stackCount)
      let outputBack = try list(context, "scan_output_directions", stackCount)

      var states: [Value] = []
      for index in 0..<stateCount { states.append(try context.value(index)) }
      var sources: [Slices] = []
      for index in 0..<scanned {
        let tensor = try context.tensor(stateCount + index)
        let axis = try tensor.shape.axis(inputAxes[index])
        try requireWalkable(tensor.shape[axis], tensor.shape)
        sources.append(Slices(tensor, axis: axis))
      }
      let rounds = sources[0].count
      for (index, source) in sources.enumerated() where source.count != rounds {
        throw .shapeMismatch(
          "scanned input \(index) has \(source.count) slices, the first has \(rounds)")
      }
      var stacks = [[Tensor]](repeating: [], count: stackCount)
      for round in 0..<rounds {
        var inputs = states
        for (source, back) in zip(sources, inputBack) {
          let place = back != 0 ? rounds - 1 - round : round
          inputs.append(.tensor(try source.slice(place, context.parallel)))
        }
        let values = try context.run("body", inputs, outputs: body.outputs.count)
        states = Array(values[..<stateCount])
        for index in 0..<stackCount {
          stacks[index].append(try values[stateCount + index].tensor())
        }
      }
      var outputs = states
      for (index, stack) in stacks.enumerated() {
        let declared = body.outputs[stateCount + index]
        var rank = stack.first?.rank ?? 0
        if stack.isEmpty, case .tensor(_, let dims?) = declared.type { rank = dims.count }
        let axis = outputAxes[index]
        guard axis >= -(rank + 1), axis <= rank else {
          throw .invalidArgument("scan_output_axes holds \(axis), outside [-\(rank + 1), \(rank)]")
        }
        outputs.append(
          .tensor(
            try stacked(
              outputBack[index] != 0 ? stack.reversed() : stack,
              axis: axis < 0 ? axis + rank + 1 : axis, declared: declared, context.parallel)))
      }
      return outputs
    },
    outline: { (context) throws(StackLensError) in
      let scanned = try context.int("num_scan_inputs")
      let stateCount = scanned >= 1 ? context.inputs.count - scanned : -1
      guard stateCount >= 0 else {
        throw .invalidArgument("\(scanned) of \(context.inputs.count) inputs are scanned")
      }
      let inputAxes = try list(context, "scan_input_axes", scanned)
      var rounds = context.extent("rounds")
      var slices: [AbstractValue] = []
      for index in 0..<scanned {
        let input = try context.input(stateCount + index)
        guard let type = input.type else {
          slices.append(input.elementType.map { .elements($0) } ?? .unknown)
          continue
        }
        var dims = type.shape.dims
        rounds = dims.remove(at: try type.shape.axis(inputAxes[index]))
        slices.append(try .tensor(type.elementType, dims))
      }
      let starts = try (0..<stateCount).map { (index) throws(StackLensError) in
        try context.input(index)
      }
      let (states, values) = try context.carried(starts, "body", after: slices)
      let stacks = values.dropFirst(stateCount)
      let outputAxes = try list(context, "scan_output_axes", stacks.count)
      var outputs = states
      for (value, axis) in zip(stacks, outputAxes) {
        outputs.append(try value.stacked(rounds, axis: axis))
      }
      return outputs
    },
    lift: { (node, opset, rewriter) throws(StackLensError) in
      opset < 9 ? [try batchedScan(node, &rewriter)] : [node]
    },
    lower: { (node, opset, _) throws(StackLensError) in
      guard opset >= 9 else { throw .unsupported("Scan needs opset 9, not \(opset)") }
      return [node]
    },
    gradient: .none(
      "a Scan is differentiated round by round where the extent that it walks over is known",
      instead: "give its inputs fixed extents, or freeze what lies before it"),
    samples: [
      Sample(
        [.floats(2), .floats(3, 2)], ["body": .graph(body), "num_scan_inputs": .int(1)],
        outputs: 2),
      Sample(
        [.floats(2), .floats(2, 4)],
        [
          "body": .graph(body), "num_scan_inputs": .int(1), "scan_input_axes": .ints([-1]),
          "scan_input_directions": .ints([1]), "scan_output_axes": .ints([1]),
          "scan_output_directions": .ints([1]),
        ], outputs: 2),
    ])
}

/// An attribute with one integer for each input or output, zeros by default.
private func list(
  _ context: some NodeView, _ name: String, _ count: Int
) throws(StackLensError) -> [Int] {
  guard let values = try context.ints(name) else { return [Int](repeating: 0, count: count) }
  guard values.count == count else {
    throw .invalidArgument("attribute '\(name)' holds \(values.count) numbers, expected \(count)")
  }
  return values
}

/// A tensor as a row of slices along one axis.
private struct Slices {
  private let tensor: Tensor
  private let axis: Int
  var count: Int { tensor.shape[axis] }

  init(_ tensor: Tensor, axis: Int) {
    self.tensor = tensor
    self.axis = axis
  }

  func slice(_ index: Int, _ parallel: Parallel) throws(StackLensError) -> Tensor {
    var dims = tensor.shape.dims
    dims.remove(at: axis)
    let shape = try Shape(dims)
    if axis == 0 { return try tensor.rows(index..<index + 1).reshaped(to: shape) }
    let result = try Tensor(uninitialized: tensor.elementType, shape)
    let part = tensor.shape.count(axis + 1..<tensor.rank)
    StridedCopy(
      tensor.elementType, [tensor.shape.count(0..<axis), part], from: [part * count, 1],
      to: [part, 1], sourceStart: index * part
    ).run(from: tensor.base, to: result.base, parallel)
    return result
  }
}

/// Scan of opset 8 runs once for every entry of a batch: a scan over the batch around the scan
/// over the sequence.
private func batchedScan(_ node: Node, _ rewriter: inout Rewriter) throws(StackLensError) -> Node {
  guard node.inputs.first?.isEmpty ?? true else {
    throw .unsupported("Scan of opset 8 with sequence lengths")
  }
  guard case .graph(let body)? = node.attributes["body"] else {
    throw .formatError("required attribute 'body' is missing")
  }
  var inner = node
  inner.inputs = []
  inner.outputs = []
  inner.attributes["scan_input_directions"] = inner.attributes.removeValue(forKey: "directions")
  var entry = Graph(name: "\(body.name)_entry")
  for info in body.inputs {
    inner.inputs.append(rewriter.fresh(info.name))
    entry.inputs.append(ValueInfo(inner.inputs[inner.inputs.count - 1], .unknown))
  }
  for info in body.outputs {
    inner.outputs.append(rewriter.fresh(info.name))
    entry.outputs.append(ValueInfo(inner.outputs[inner.outputs.count - 1], .unknown))
  }
  entry.nodes = [inner]
  var outer = node
  outer.inputs.removeFirst()
  outer.attributes = [
    "body": .graph(entry), "num_scan_inputs": .int(Int64(outer.inputs.count)),
  ]
  return outer
}

/// Carries relu(state) and stacks the slices.
private let body = Graph(
  inputs: [
    ValueInfo("state", .tensor(.float32, [.fixed(2)])),
    ValueInfo("slice", .tensor(.float32, [.fixed(2)])),
  ],
  outputs: [
    ValueInfo("next", .tensor(.float32, [.fixed(2)])),
    ValueInfo("seen", .tensor(.float32, [.fixed(2)])),
  ],
  nodes: [
    Node("Relu", inputs: ["state"], outputs: ["next"]),
    Node("Transpose", inputs: ["slice"], outputs: ["seen"]),
  ])
