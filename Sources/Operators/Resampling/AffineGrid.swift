import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Sampling positions of an affine map, for GridSample: position = theta [x y (z) 1], in units in
  /// which the image spans [-1, 1]. ONNX AffineGrid-20.
  static let affineGrid = OperatorDefinition(
    "AffineGrid", versions: [20], inputs: 2...2, attributes: [.int("align_corners", default: 0)],
    infer: { (context) throws(StackLensError) in
      let theta = try context.input(0, oneOf: ElementType.reals)
      let size = try context.value(1).integers()
      let rank = size.count - 2
      guard rank == 2 || rank == 3, theta.rank == 3,
        theta.shape.dims == [size[0], rank, rank + 1]
      else { throw .shapeMismatch("theta \(theta.shape) does not fit the size \(size)") }
      return [TensorType(theta.elementType, try Shape([size[0]] + size.dropFirst(2) + [rank]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        switch preparation.outputs[0].elementType {
        case .float64: return try affineKernel(Double.self, preparation)
        case .float16: return try affineKernel(Float16.self, preparation)
        case .bfloat16: return try affineKernel(BFloat16.self, preparation)
        default: return try affineKernel(Float.self, preparation)
        }
      }
    ]),
    lower: { (node, opset, rewriter) throws(StackLensError) in
      opset < 20 ? try lowerAffineGrid(node, opset, &rewriter) : [node]
    },
    gradient: .affineGrid,
    samples: [
      Sample([.floats(2, 2, 3), .ints([2, 3, 4, 5])], ["align_corners": .int(1)]),
      Sample([.floats(1, 3, 4), .ints([1, 1, 2, 3, 1])]),
      Sample([.floats(0, 2, 3), .ints([0, 3, 4, 5])]),
    ])

  private static func affineKernel<T: RealElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let output = preparation.outputs[0].shape
    let rank = output[output.rank - 1]
    let extents = Array(output.dims[1..<1 + rank])
    let alignsCorners = try preparation.flag("align_corners")
    return PreparedKernel { (run) throws(StackLensError) in
      let theta = try run.input(0).base.assumingMemoryBound(to: T.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: T.self)
      let points = extents.reduce(1, *)
      run.parallel.ranges(output[0] * points, grain: 1 << 12) { range in
        var position = [1.0, 1.0, 1.0, 1.0]
        for index in range {
          var rest = index % points
          let matrix = theta + index / points * rank * (rank + 1)
          // The last axis of the image is x.
          for axis in 0..<rank {
            let extent = extents[rank - 1 - axis]
            let place = Double(rest % extent)
            rest /= extent
            position[axis] =
              alignsCorners
              ? (extent == 1 ? 0 : 2 * place / Double(extent - 1) - 1)
              : (2 * place + 1) / Double(extent) - 1
          }
          position[rank] = 1
          for row in 0..<rank {
            var sum = 0.0
            for column in 0...rank {
              sum += matrix[row * (rank + 1) + column].double * position[column]
            }
            y[index * rank + row] = T(rounding: sum)
          }
        }
      }
    }
  }

  /// In older operators: all positions as rows [x y (z) 1], times the transposed maps.
  private static func lowerAffineGrid(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    var rank = rewriter.value(of: node.inputs[1]).map { $0.count - 2 }
    if rank == nil, let dims = rewriter.dims(of: node.inputs[0]), dims.count == 3 {
      rank = dims[1]
    }
    guard opset >= 11, let rank, rank == 2 || rank == 3,
      let type = rewriter.elementType(of: node.inputs[0])
    else {
      throw .unsupported(
        "AffineGrid of unknown type or rank cannot be written for opset \(opset)")
    }
    let alignsCorners = node.isSet("align_corners")
    var steps = Decomposition(node, opset)
    let plane = try steps.apply(
      "Slice", [node.inputs[1], rewriter.ints([2], "from"), rewriter.ints([.max], "to")], &rewriter)
    let column = try rewriter.ints([-1, 1], "column")
    var columns: [String] = []
    for axis in (0..<rank).reversed() {
      let line = try positions(axis, type, node, alignsCorners, &steps, &rewriter)
      var dims = [Int64](repeating: 1, count: rank)
      dims[axis] = -1
      let shaped = steps.apply("Reshape", [line, try rewriter.ints(dims, "dims")], &rewriter)
      let spread = steps.apply("Expand", [shaped, plane], &rewriter)
      columns.append(steps.apply("Reshape", [spread, column], &rewriter))
    }
    let one = try steps.scalar(1, &rewriter)
    let filled = steps.apply("Expand", [one, plane], &rewriter)
    columns.append(steps.apply("Reshape", [filled, column], &rewriter))
    let points = steps.apply("Concat", columns, ["axis": .int(1)], &rewriter)
    let maps = steps.apply(
      "Transpose", [node.inputs[0]], ["perm": .ints([0, 2, 1])], &rewriter)
    let moved = steps.apply("MatMul", [points, maps], &rewriter)
    let batch = try steps.apply("Gather", [node.inputs[1], rewriter.ints([0], "first")], &rewriter)
    let width = try rewriter.ints([Int64(rank)], "rank")
    let shape = steps.apply("Concat", [batch, plane, width], ["axis": .int(0)], &rewriter)
    return steps.finish("Reshape", [moved, shape])
  }

  /// Where the pixels of an axis of n lie: (2 i - (n - 1)) / n, or / (n - 1) between the corners.
  private static func positions(
    _ axis: Int, _ type: ElementType, _ node: Node, _ alignsCorners: Bool,
    _ steps: inout Decomposition, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let target: [String: Attribute] = ["to": .int(Int64(type.rawValue))]
    let place = rewriter.constant(try Tensor(scalar: Int64(axis + 2)), "axis")
    let count = steps.apply("Gather", [node.inputs[1], place], &rewriter)
    let zero = rewriter.constant(try Tensor(scalar: Int64(0)), "zero")
    let one = rewriter.constant(try Tensor(scalar: Int64(1)), "one")
    let indices = steps.apply("Range", [zero, count, one], &rewriter)
    let twice = steps.apply("Add", [indices, indices], &rewriter)
    let last = steps.apply("Sub", [count, one], &rewriter)
    let centred = steps.apply("Sub", [twice, last], &rewriter)
    let above = steps.apply("Cast", [centred], target, &rewriter)
    var below = steps.apply("Cast", [alignsCorners ? last : count], target, &rewriter)
    if alignsCorners {
      below = steps.apply("Max", [below, try steps.scalar(1, &rewriter)], &rewriter)
    }
    return steps.apply("Div", [above, below], &rewriter)
  }
}
