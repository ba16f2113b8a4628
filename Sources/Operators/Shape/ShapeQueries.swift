import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The extents of a tensor, or of its axes [start, end). ONNX Shape-25.
  static let shapeOf = OperatorDefinition(
    "Shape", versions: [1, 13, 15, 19, 21, 23, 24, 25], inputs: 1...1,
    attributes: [.int("start", default: 0), .optional("end", .int)],
    infer: { (context) throws(StackLensError) in
      let range = try shapeRange(context, rank: context.input(0).rank)
      return [TensorType(.int64, try Shape([range.count]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let input = try preparation.input(0)
        let extents = input.shape.dims[try shapeRange(preparation, rank: input.rank)]
        return PreparedKernel { (run) throws(StackLensError) in
          let target = run.outputs[0].base.assumingMemoryBound(to: Int64.self)
          for (index, extent) in extents.enumerated() { target[index] = Int64(extent) }
        }
      }
    ]),
    valueOfTypes: { (context) throws(StackLensError) in
      let shape = try context.input(0).shape
      let range = try shapeRange(context, rank: shape.rank)
      return [try Tensor(shape.dims[range].map(Int64.init))]
    },
    lower: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 15 else { return [node] }
      var plain = node
      let (start, end) = (plain.attributes["start"], plain.attributes["end"])
      plain.attributes["start"] = nil
      plain.attributes["end"] = nil
      var first: Int64 = 0
      if case .int(let value)? = start { first = value }
      if first == 0 && end == nil { return [plain] }
      var last = Int64.max
      if case .int(let value)? = end { last = value }
      var slice = Node("Slice", inputs: [rewriter.fresh("shape")], outputs: node.outputs)
      plain.outputs = slice.inputs
      if opset < 10 {
        slice.attributes = ["starts": .ints([first]), "ends": .ints([last]), "axes": .ints([0])]
      } else {
        slice.inputs.append(try rewriter.ints([first], "starts"))
        slice.inputs.append(try rewriter.ints([last], "ends"))
      }
      return [plain, slice]
    },
    gradient: .zero,
    samples: [
      Sample([.floats(2, 3, 4)]), Sample([.floats()]),
      Sample([.floats(2, 0, 4)], ["start": .int(-2), "end": .int(9)]),
    ])

  /// The number of elements as a scalar. ONNX Size-25.
  static let size = OperatorDefinition(
    "Size", versions: [1, 13, 19, 21, 23, 24, 25], inputs: 1...1,
    infer: { (context) throws(StackLensError) in
      _ = try context.input(0)
      return [TensorType(.int64, .scalar)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let count = Int64(try preparation.input(0).shape.count)
        return PreparedKernel { (run) throws(StackLensError) in
          run.outputs[0].base.storeBytes(of: count, as: Int64.self)
        }
      }
    ]),
    valueOfTypes: { (context) throws(StackLensError) in
      [try Tensor(scalar: Int64(try context.input(0).shape.count))]
    },
    gradient: .zero,
    samples: [Sample([.floats(2, 3, 4)]), Sample([.floats()]), Sample([.floats(2, 0)])])
}

/// The axes that Shape's `start` and `end` select: negative ones count from the end, all are
/// clamped.
private func shapeRange(_ view: some NodeView, rank: Int) throws(StackLensError) -> Range<Int> {
  func place(_ value: Int) -> Int { min(max(value < 0 ? value + rank : value, 0), rank) }
  let start = place(try view.int("start"))
  let end = view.has("end") ? place(try view.int("end")) : rank
  return start..<max(start, end)
}
