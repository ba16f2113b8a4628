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
      let (data, indices) = (try context.input(0), try context.input(1))
      try requireIndices(indices, 1)
      let axis = try context.axis("axis", rank: data.rank)
      try requireFit(indices.shape, data.shape, axis: axis)
      guard try context.input(2).shape == indices.shape else {
        throw .shapeMismatch(
          "updates of shape \(try context.input(2).shape), indices of \(indices.shape)")
      }
      _ = try context.sameElementType(0, 2)
      try ScatterReduction.check(context, data.elementType)
      return [data]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let (data, indices) = (try preparation.input(0), try preparation.input(1))
        let reduction = try ScatterReduction.check(preparation, data.elementType)
        let places = ElementPlaces(
          data: data.shape, indices: indices.shape,
          axis: try preparation.axis("axis", rank: data.rank))
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
      let expected = indices.shape.dims.dropLast() + data.shape.dims[width...]
      guard try context.input(2).shape.dims == Array(expected) else {
        throw .shapeMismatch(
          "updates of shape \(try context.input(2).shape), expected \(Array(expected))")
      }
      _ = try context.sameElementType(0, 2)
      try ScatterReduction.check(context, data.elementType)
      return [data]
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
