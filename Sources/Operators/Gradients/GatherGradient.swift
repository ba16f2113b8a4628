import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// Back through Gather: from g, the indices and the extents of the data, zeros to which each slice
  /// of g is added where it was read, in the order of the indices.
  static let gatherGradient = OperatorDefinition(
    "GatherGradient", domain: "ai.stacklens", versions: [1], inputs: 3...3,
    attributes: [.int("axis", default: 0)],
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: ElementType.reals)
      let indices = try context.input(1)
      try requireIndices(indices, 1)
      let shape = try Shape(try context.value(2).integers())
      let axis = try context.axis("axis", rank: shape.rank)
      let expected = shape.dims[..<axis] + indices.shape.dims + shape.dims[(axis + 1)...]
      guard g.shape.dims == Array(expected) else {
        throw .shapeMismatch("gradient \(g) of slices \(Array(expected))")
      }
      return [TensorType(g.elementType, shape)]
    },
    execution: .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        return try gatherGradient(Float.self, preparation) { x, y, count in
          slk_axpy(1, x, y, count)
        }
      },
      .reference { (preparation) throws(StackLensError) in
        try gatherGradient(Double.self, preparation) { x, y, count in
          for i in 0..<count { y[i] += x[i] }
        }
      },
    ]),
    outline: outline(extents: 2),
    gradient: GradientRule(inputs: 1) { (scope) throws(StackLensError) in
      [
        scope.graph.add(
          "Gather", [try scope.arriving(), scope.inputs[1]], scope.node.attributes), nil, nil,
      ]
    },
    samples: [
      Sample([.floats(2, 2, 3), .indices([[0, -1], [4, 4]]), .ints([5, 3])]),
      Sample([.floats(2, 2, 3), .ints([3, 0]), .ints([2, 4, 3])], ["axis": .int(-2)]),
      Sample([.floats(), .scalarIndex(-4), .ints([4])]),
      Sample([.floats(2, 300), .ints([1, 1]), .ints([3, 300])]),
      Sample([.floats(0, 2), .ints([]), .ints([3, 2])]),
    ])

  private static func gatherGradient<T: RealElement & BinaryFloatingPoint>(
    _: T.Type, _ preparation: Preparation,
    add: @escaping @Sendable (UnsafePointer<T>, UnsafeMutablePointer<T>, Int) -> Void
  ) throws(StackLensError) -> PreparedKernel {
    let shape = preparation.outputs[0].shape
    let axis = try preparation.axis("axis", rank: shape.rank)
    let (blocks, run) = (shape.count(0..<axis), shape.count(axis + 1..<shape.rank))
    let blockLength = shape[axis] * run
    let count = try preparation.input(1).shape.count
    let offsets = IndexOffsets(bounds: [shape[axis]], strides: [run])
    // Threads share the columns of long slices, else the blocks before the axis.
    let columnParts = max(1, min(run / 64, preparation.threadCount * 2))
    return try wideKernel(T.self, preparation, inputs: 1, scratch: offsetBytes(count)) {
      (wide) throws(StackLensError) in
      let (g, y) = (try wide.input(0), wide.outputs[0])
      let table = wide.scratch.assumingMemoryBound(to: Int.self)
      try offsets.write(try wide.run.input(1), to: table, count: count)
      wide.run.parallel.ranges(shape.count, grain: cheapGrain) { range in
        (y + range.lowerBound).update(repeating: 0, count: range.count)
      }
      wide.run.parallel.forEach(blocks * columnParts) { index in
        let (block, part) = index.quotientAndRemainder(dividingBy: columnParts)
        let columns = run * part / columnParts..<run * (part + 1) / columnParts
        for row in 0..<count {
          add(
            g + (block * count + row) * run + columns.lowerBound,
            y + block * blockLength + table[row] + columns.lowerBound, columns.count)
        }
      }
    }
  }
}
