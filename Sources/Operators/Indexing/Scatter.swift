import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// A copy of `data` in which `updates` replace (or join, by `reduction`) the elements that
  /// `indices` name along `axis`. ONNX ScatterElements-18.
  static let scatterElements = OperatorDefinition(
    "ScatterElements", versions: [11, 13, 16, 18], inputs: 3...3,
    attributes: [.int("axis", default: 0), .string("reduction", default: "none")],
    infer: { (context) throws(StackLensError) in
      let (data, indices) = try context.elementIndices()
      return try context.scattered(into: data, updates: indices.shape.dims)
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let reduction = try ScatterReduction.check(preparation, preparation.input(0).elementType)
        let places = try ElementPlaces(preparation)
        return PreparedKernel(scratchByteCount: offsetBytes(places.count)) {
          (run) throws(StackLensError) in
          let table = run.offsets(places.count)
          try places.write(try run.input(1), to: table, run.parallel)
          run.outputs[0].fillElements(from: try run.input(0), run.parallel)
          reduction.scatter(
            try run.input(2), to: run.outputs[0], UnsafeBufferPointer(table), runLength: 1)
        }
      }
    ]),
    lower: { (node, opset, rewriter) throws(StackLensError) in
      var node = try lowerReduction(node, opset, &rewriter)[0]
      if opset < 11 { node.opType = "Scatter" }
      return [node]
    },
    gradient: .scatter(reader: "GatherElements"),
    samples: [
      Sample([.floats(3, 3), .indices([[1, 0, 2], [0, 2, -1]]), .floats(2, 3)]),
      Sample(
        [.floats(1, 5), .indices([[1, 3, 1]]), .floats(1, 3)],
        ["axis": .int(1), "reduction": .string("add")]),
      Sample([.floats(2, 2), .indices([]), .floats(0, 0)]),
    ])

  /// The older name of ScatterElements. ONNX Scatter-11.
  static let scatter = OperatorDefinition(
    composing: "Scatter", versions: [9, 11], inputs: 3...3, attributes: [.int("axis", default: 0)],
    samples: [
      Sample([.floats(3, 3), .indices([[1, 0, 2], [0, 2, -1]]), .floats(2, 3)]),
      Sample([.floats(1, 5), .indices([[1, 3]]), .floats(1, 2)], ["axis": .int(1)]),
    ],
    lift: { (node, _, _) throws(StackLensError) in
      var node = node
      node.opType = "ScatterElements"
      return [node]
    })

  /// A copy of `data` in which slices of `updates` replace (or join) the slices that the tuples in
  /// the last axis of `indices` name. ONNX ScatterND-18.
  static let scatterND = OperatorDefinition(
    "ScatterND", versions: [11, 13, 16, 18], inputs: 3...3,
    attributes: [.string("reduction", default: "none")],
    infer: { (context) throws(StackLensError) in
      let (data, indices) = (try context.input(0), try context.input(1))
      try requireIndices(indices, 1)
      guard indices.rank >= 1, indices.shape[indices.rank - 1] <= data.rank else {
        throw .shapeMismatch("indices of shape \(indices.shape) do not fit \(data.shape)")
      }
      let width = indices.shape[indices.rank - 1]
      return try context.scattered(
        into: data, updates: indices.shape.dims.dropLast() + data.shape.dims[width...])
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let (data, indices) = (try preparation.input(0), try preparation.input(1))
        let reduction = try ScatterReduction.check(preparation, data.elementType)
        let width = indices.shape[indices.rank - 1]
        let offsets = IndexOffsets(
          bounds: Array(data.shape.dims[..<width]), strides: Array(data.shape.strides[..<width]))
        let count = indices.shape.count(0..<indices.rank - 1)
        let runLength = data.shape.count(width..<data.rank)
        return PreparedKernel(scratchByteCount: offsetBytes(count)) {
          (run) throws(StackLensError) in
          let table = run.offsets(count)
          if let start = table.baseAddress {
            try offsets.write(try run.input(1), to: start, count: count)
          }
          run.outputs[0].fillElements(from: try run.input(0), run.parallel)
          reduction.scatter(
            try run.input(2), to: run.outputs[0], UnsafeBufferPointer(table), runLength: runLength)
        }
      }
    ]),
    lower: lowerReduction,
    gradient: .scatter(reader: "GatherND"),
    samples: [
      Sample([.floats(8), .indices([[4], [3], [-7]]), .floats(3)]),
      Sample(
        [.floats(4, 2, 2), .indices([[0], [2], [0]]), .floats(3, 2, 2)],
        ["reduction": .string("max")]),
      Sample([.floats(0, 2), .indices([[]]), .floats(1, 0, 2)]),
    ])
}

extension Inference {
  /// The output of an operator that scatters updates of the shape `dims` into data.
  fileprivate func scattered(
    into data: TensorType, updates dims: [Int]
  ) throws(StackLensError) -> [TensorType] {
    let updates = try input(2).shape
    guard updates.dims == dims else {
      throw .shapeMismatch("updates of shape \(updates), expected \(dims)")
    }
    _ = try sameElementType(0, 2)
    try ScatterReduction.check(self, data.elementType)
    return [data]
  }
}

@Sendable private func lowerReduction(
  _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
) throws(StackLensError) -> [Node] {
  if opset < 18, case .string(let name)? = node.attributes["reduction"],
    name == "max" || name == "min"
  {
    throw .unsupported("\(node.opType) with reduction \(name) needs opset 18, not \(opset)")
  }
  return try dropAttribute("reduction", before: 16) { $0.isString("none") }(
    node, opset, &rewriter)
}
