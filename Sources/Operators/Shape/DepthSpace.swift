import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Moves blocks of channels into blocks of pixels. ONNX DepthToSpace-28.
  static let depthToSpace = OperatorDefinition(
    "DepthToSpace", versions: [1, 11, 13, 28], inputs: 1...1,
    attributes: [.required("blocksize", .int), .string("mode", default: "DCR")],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let block = try BlockMode(context)
      try block.check(input.shape, rank: 4)
      let dims = input.shape.dims
      guard dims[1] % block.area == 0 else {
        throw .shapeMismatch("\(dims[1]) channels do not divide by blocksize² \(block.area)")
      }
      let shape = try Shape([
        dims[0], dims[1] / block.area, try extentProduct(dims[2], block.size),
        try extentProduct(dims[3], block.size),
      ])
      return [TensorType(input.elementType, shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let input = try preparation.input(0)
        let block = try BlockMode(preparation)
        let (deep, flat) = (input.shape, preparation.outputs[0].shape)
        let axes = block.axes(deep: deep, flat: flat)
        let plan = StridedCopy(
          input.elementType, axes.extents, from: axes.deep, to: axes.flat)
        return PreparedKernel { (run) throws(StackLensError) in
          plan.run(from: try run.input(0).base, to: run.outputs[0].base, run.parallel)
        }
      }
    ]),
    lower: dropAttribute("mode", before: 11) { $0.isString("DCR") },
    gradient: .pick,
    samples: [
      Sample([.floats(1, 8, 2, 3)], ["blocksize": .int(2)]),
      Sample([.floats(2, 8, 1, 3)], ["blocksize": .int(2), "mode": .string("CRD")]),
      Sample([.floats(0, 4, 2, 2)], ["blocksize": .int(2)]),
    ])

  /// Moves blocks of pixels into channels. ONNX SpaceToDepth-28.
  static let spaceToDepth = OperatorDefinition(
    "SpaceToDepth", versions: [1, 13, 28], inputs: 1...1,
    attributes: [.required("blocksize", .int), .string("mode", default: "DCR")],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let block = try BlockMode(context)
      try block.check(input.shape, rank: 4)
      let dims = input.shape.dims
      guard dims[2] % block.size == 0, dims[3] % block.size == 0 else {
        throw .shapeMismatch("\(input.shape) does not divide by blocksize \(block.size)")
      }
      let shape = try Shape([
        dims[0], try extentProduct(dims[1], block.area), dims[2] / block.size, dims[3] / block.size,
      ])
      return [TensorType(input.elementType, shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let input = try preparation.input(0)
        let block = try BlockMode(preparation)
        let (deep, flat) = (preparation.outputs[0].shape, input.shape)
        let axes = block.axes(deep: deep, flat: flat)
        let plan = StridedCopy(
          input.elementType, axes.extents, from: axes.flat, to: axes.deep)
        return PreparedKernel { (run) throws(StackLensError) in
          plan.run(from: try run.input(0).base, to: run.outputs[0].base, run.parallel)
        }
      }
    ]),
    lower: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 28, node.attributes["mode"]?.isString("CRD") == true,
        case .int(let size)? = node.attributes["blocksize"], size > 0, size < 1 << 31
      else {
        return try dropAttribute("mode", before: 28, unless: { $0.isString("DCR") })(
          node, opset, &rewriter)
      }
      return try columnsFirst(node, size * size, opset, &rewriter)
    },
    gradient: .pick,
    samples: [
      Sample([.floats(1, 2, 4, 6)], ["blocksize": .int(2)]),
      Sample([.floats(2, 3, 2, 2)], ["blocksize": .int(2), "mode": .string("CRD")]),
      Sample([.floats(1, 0, 2, 2)], ["blocksize": .int(1)]),
    ])

  /// Depth-column-row order, then the channels of a pixel's place in the block brought together.
  private static func columnsFirst(
    _ node: Node, _ area: Int64, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    var steps = Decomposition(node, opset)
    var attributes = node.attributes
    attributes["mode"] = nil
    let deep = steps.apply("SpaceToDepth", node.inputs, attributes, &rewriter)
    let shape = steps.apply("Shape", [deep], &rewriter)
    let places = try rewriter.ints([area], "places")
    func part(
      _ name: String, _ index: [Int64], _ steps: inout Decomposition, _ rewriter: inout Rewriter
    ) throws(StackLensError) -> String {
      steps.apply("Gather", [name, try rewriter.ints(index, "axis")], &rewriter)
    }
    let whole = steps.apply("Shape", [node.inputs[0]], &rewriter)
    let batch = try part(whole, [0], &steps, &rewriter)
    let channels = try part(whole, [1], &steps, &rewriter)
    let plane = try part(shape, [2, 3], &steps, &rewriter)
    let split = steps.apply(
      "Concat", [batch, places, channels, plane], ["axis": .int(0)], &rewriter)
    let parts = steps.apply("Reshape", [deep, split], &rewriter)
    let turned = steps.apply("Transpose", [parts], ["perm": .ints([0, 2, 1, 3, 4])], &rewriter)
    return steps.finish("Reshape", [turned, shape])
  }
}

/// How blocks of pixels lie in the channels: depth-column-row or column-row-depth.
private struct BlockMode {
  let size: Int
  let area: Int
  let isDepthFirst: Bool

  init(_ view: some NodeView) throws(StackLensError) {
    size = try view.int("blocksize")
    guard size > 0 else { throw .invalidArgument("attribute 'blocksize' is \(size)") }
    area = try extentProduct(size, size)
    let mode = try view.string("mode")
    guard mode == "DCR" || mode == "CRD" else {
      throw .invalidArgument("attribute 'mode' is '\(mode)', expected DCR or CRD")
    }
    isDepthFirst = mode == "DCR"
  }

  func check(_ shape: Shape, rank: Int) throws(StackLensError) {
    guard shape.rank == rank else {
      throw .shapeMismatch("input 0 has shape \(shape), expected rank \(rank)")
    }
  }

  /// Extents and strides of both sides, in the order n, c, y, row in block, x, column in block.
  func axes(deep: Shape, flat: Shape) -> (extents: [Int], deep: [Int], flat: [Int]) {
    let (d, f, channels) = (deep.strides, flat.strides, flat[1])
    let (channel, row, column) =
      isDepthFirst
      ? (d[1], d[1] * channels * size, d[1] * channels)
      : (d[1] * area, d[1] * size, d[1])
    return (
      [deep[0], channels, deep[2], size, deep[3], size],
      [d[0], channel, d[2], row, d[3], column],
      [f[0], f[1], f[2] * size, f[2], f[3] * size, f[3]]
    )
  }
}
