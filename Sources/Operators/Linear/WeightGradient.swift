import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// What a linear layer Y = X W' + b passes to its weights: alpha G' X of the gradient G [..., rows, n]
  /// of Y and X [..., rows, k], and the sums of all rows of G. With rounds_factors the factors of the product are
  /// rounded to bfloat16, where the processor has such products. Made by the compile passes.
  static let weightGradient = OperatorDefinition(
    "WeightGradient", domain: "ai.stacklens", versions: [1], inputs: 2...2, outputs: 2...2,
    attributes: [.float("alpha", default: 1), .int("rounds_factors", default: 0)],
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: [.float32, .float64, .float16, .bfloat16])
      let x = try context.input(1)
      let type = try context.sameElementType(0, 1)
      guard g.shape.rank > 1, x.shape.rank > 1 else {
        throw .shapeMismatch("\(g.shape) and \(x.shape) are not both matrices")
      }
      let (product, shape) = try factors(g, x)
      return [TensorType(type, shape), TensorType(type, try Shape([product.m]))]
    },
    execution: .kernels([
      Kernel("packed", prepare: packedWeightGradient),
      .reference { (preparation) throws(StackLensError) in
        let (product, _) = try factors(preparation.input(0), preparation.input(1))
        let alpha = Double(try preparation.float("alpha"))
        let rows = try preparation.input(0).shape.count / max(1, product.m)
        return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
          let (g, sums) = (try wide.input(0), wide.outputs[1])
          product.computeReference(g, try wide.input(1), wide.outputs[0], wide.run.parallel)
          for place in 0..<wide.run.outputs[0].count { wide.outputs[0][place] *= alpha }
          for column in 0..<product.m {
            sums[column] = 0
            for row in 0..<rows { sums[column] += g[row * product.m + column] }
          }
        }
      },
    ]),
    samples: [
      Sample([.floats(9, 40), .floats(9, 50)], ["alpha": .float(0.5)], outputs: 2),
      Sample([.floats(32, 40), .floats(32, 48)], outputs: 2),
      Sample([.floats(33, 20), .floats(33, 512)], ["alpha": .float(2)], outputs: 2),
      Sample([.floats(200, 24), .floats(200, 32)], outputs: 2),
      Sample([.floats(16, 1), .floats(16, 16)], outputs: 2),
      Sample([.floats(0, 3), .floats(0, 16)], outputs: 2),
      Sample([.floats(2, 20, 5), .floats(2, 20, 16)], ["alpha": .float(0.5)], outputs: 2),
      Sample(
        [
          .random(.float64, [5, 3], low: -1, high: 1),
          .random(.float64, [5, 4], low: -1, high: 1),
        ], outputs: 2),
    ])

  private static func factors(
    _ g: TensorType, _ x: TensorType
  ) throws(StackLensError) -> (product: MatrixProduct, output: Shape) {
    try MatrixProduct.make(g.shape, x.shape, transA: true)
  }

  private static func packedWeightGradient(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    guard try preparation.input(0).elementType == .float32 else { return nil }
    let (product, _) = try factors(preparation.input(0), preparation.input(1))
    let alpha = try preparation.float("alpha")
    var plan = ScratchPlan()
    let packed = try PackedProduct(
      product, packedB: nil, roundsFactors: preparation.flag("rounds_factors"),
      threadCount: preparation.threadCount, plan: &plan)
    let shape = try preparation.input(0).shape
    let sum = ReductionPlan(shape, axes: Array(0..<shape.rank - 1))
    guard let vector = VectorReduction(.sum, count: sum.reducedCount) else { return nil }
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let (g, sums) = (try run.input(0).floats, run.outputs[1].floats)
      var epilogue = ProductEpilogue(alpha: alpha)
      if packed.sumsColumns {
        epilogue.columnSums = sums
      } else {
        sum.reduce(g, sums, vector, run.parallel)
      }
      packed.compute(
        g, try run.input(1).floats, run.outputs[0].floats, epilogue, run.scratch, run.parallel)
    }
  }
}
