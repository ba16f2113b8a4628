import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The determinants of square matrices in the last two axes. ONNX Det-22.
  static let det = OperatorDefinition(
    "Det", versions: [11, 22], inputs: 1...1,
    infer: { (context) throws(StackLensError) in
      let input = try squareMatrices(context)
      return [TensorType(input.elementType, try Shape(Array(input.shape.dims.dropLast(2))))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        try matrixKernel(preparation, outputStep: 1) { (factors, output) in
          output[0] = factors.determinant
          return true
        }
      }
    ]),
    gradient: .det,
    samples: [
      Sample([.floats(3, 3)]), Sample([.floats(2, 1, 4, 4)]), Sample([.floats(2, 0, 0)]),
      Sample([.random(.float16, [1, 1], low: -1, high: 1)]),
    ])

  /// The inverses of square matrices in the last two axes, of the contribution domain.
  static let inverse = OperatorDefinition(
    "Inverse", domain: "com.microsoft", versions: [1], inputs: 1...1,
    infer: { (context) throws(StackLensError) in [try squareMatrices(context)] },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let size = try preparation.input(0).shape.dims.last ?? 0
        return try matrixKernel(preparation, outputStep: size * size) { (factors, output) in
          guard factors.determinant != 0 else { return false }
          factors.invert(into: output)
          return true
        }
      }
    ]),
    gradient: .inverse,
    samples: [
      Sample([.floats(3, 3)]),
      Sample([.random(.float64, [2, 2, 5, 5], low: -1, high: 1)]), Sample([.floats(2, 0, 0)]),
    ])

  private static func squareMatrices(_ context: Inference) throws(StackLensError) -> TensorType {
    let input = try context.input(0, oneOf: ElementType.reals)
    let rank = input.rank
    guard rank >= 2, input.shape[rank - 2] == input.shape[rank - 1] else {
      throw .shapeMismatch("input 0 has shape \(input.shape), expected square matrices")
    }
    return input
  }

  /// Calls `body` with the factors of every matrix and where its result goes; false says that the
  /// matrix is singular.
  private static func matrixKernel(
    _ preparation: Preparation, outputStep: Int,
    _ body:
      @escaping @Sendable (TriangularFactors, UnsafeMutablePointer<Double>) -> Bool
  ) throws(StackLensError) -> PreparedKernel {
    let shape = try preparation.input(0).shape
    let size = shape[shape.rank - 1]
    let count = shape.count(0..<shape.rank - 2)
    return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
      let input = try wide.input(0)
      var work = [Double](repeating: 0, count: max(1, size * size))
      for matrix in 0..<count {
        let isRegular = work.withUnsafeMutableBufferPointer { work in
          guard let base = work.baseAddress else { return false }
          if size > 0 { base.update(from: input + matrix * size * size, count: size * size) }
          let factors = TriangularFactors(base, size: size)
          return body(factors, wide.outputs[0] + matrix * outputStep)
        }
        guard isRegular else { throw .invalidArgument("matrix \(matrix) is singular") }
      }
    }
  }
}
