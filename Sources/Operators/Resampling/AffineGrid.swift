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
}
