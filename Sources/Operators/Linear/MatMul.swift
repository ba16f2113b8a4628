import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// The matrix product by NumPy's rules: leading axes are batches and broadcast, a vector stands
  /// for a row on the left and for a column on the right. ONNX MatMul-13.
  static let matMul = OperatorDefinition(
    "MatMul", versions: [1, 9, 13], inputs: 2...2,
    infer: { (context) throws(StackLensError) in
      let type = try productType(context)
      let (_, shape) = try MatrixProduct.make(context.input(0).shape, context.input(1).shape)
      return [TensorType(type, shape)]
    },
    execution: .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        let (product, _) = try MatrixProduct.make(
          preparation.input(0).shape, preparation.input(1).shape)
        return try product.packedKernel(preparation)
      },
      .reference { (preparation) throws(StackLensError) in
        let (product, _) = try MatrixProduct.make(
          preparation.input(0).shape, preparation.input(1).shape)
        return try product.referenceKernel(preparation)
      },
    ]),
    gradient: .matMul,
    samples: [
      Sample([.floats(3, 4), .floats(4, 5)]),
      Sample([.floats(2, 1, 3, 4), .floats(5, 4, 6)]),
      Sample([.floats(4), .floats(4)]),
      Sample([.floats(4), .floats(3, 4, 2)]),
      Sample([.floats(2, 3, 4), .floats(4)]),
      Sample([.floats(2, 0), .floats(0, 3)]),
      Sample([
        .random(.int32, [2, 3], low: -9, high: 9), .random(.int32, [3, 2], low: -9, high: 9),
      ]),
      Sample([.floats(33, 70), .floats(70, 65)]),
    ])

  /// The common element type of the two factors.
  static func productType(_ context: Inference) throws(StackLensError) -> ElementType {
    let type = try context.sameElementType(0, 1)
    guard type.isNumeric else { throw .typeMismatch("cannot multiply \(type.name)") }
    return type
  }
}

extension MatrixProduct {
  /// The plain kernel for A in input 0 and B in input 1, for every numeric type.
  func referenceKernel(_ preparation: Preparation) throws(StackLensError) -> PreparedKernel {
    switch try ComputeKind(preparation.input(0).elementType) {
    case .float: return try referenceKernel(Float.self, preparation)
    case .double: return try referenceKernel(Double.self, preparation)
    case .integer: return try referenceKernel(Int64.self, preparation)
    }
  }

  func referenceKernel<T: ComputeElement>(
    _ type: T.Type, _ preparation: Preparation, alpha: Float = 1
  ) throws(StackLensError) -> PreparedKernel {
    var plan = ScratchPlan()
    let aRoom = try plan.reserve(preparation.input(0), as: type)
    let bRoom = try plan.reserve(preparation.input(1), as: type)
    let cRoom = try plan.reserve(preparation.outputs[0], as: type)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let a = T.load(try run.input(0), run.scratch + aRoom)
      let b = T.load(try run.input(1), run.scratch + bRoom)
      let c = T.target(run.outputs[0], run.scratch + cRoom)
      computeReference(a, b, c, run.parallel)
      if alpha != 1 {
        for i in 0..<run.outputs[0].count { c[i] = c[i].scaled(by: alpha) }
      }
      T.store(c, run.outputs[0])
    }
  }

  /// The packed kernel for float32 A in input 0 and B in input 1; nil for other types.
  func packedKernel(
    _ preparation: Preparation, alpha: Float = 1
  ) throws(StackLensError) -> PreparedKernel? {
    guard try preparation.input(0).elementType == .float32 else { return nil }
    var plan = ScratchPlan()
    let packed = try PackedProduct(
      self, packedB: packConstant(preparation), threadCount: preparation.threadCount, plan: &plan)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      packed.compute(
        Float.load(try run.input(0), run.scratch), Float.load(try run.input(1), run.scratch),
        Float.target(run.outputs[0], run.scratch), ProductEpilogue(alpha: alpha), run.scratch,
        run.parallel)
    }
  }

  /// Input 1 packed ahead, where it is one constant matrix.
  func packConstant(_ preparation: Preparation) throws(StackLensError) -> Tensor? {
    guard !isEmpty, bBatchStrides.allSatisfy({ $0 == 0 }) else { return nil }
    return try preparation.packed(
      1, layout: "product \(k) \(n) \(bRow) \(bColumn)",
      byteCount: try PackedProduct.packedByteCount(k, n)
    ) { b, target in
      preparation.parallel.ranges(slk_gemm_f32_panel_count(n), grain: 1) { range in
        slk_gemm_f32_pack(
          b.floats, k, n, bRow, bColumn, target, range.lowerBound, range.upperBound)
      }
    }
  }
}
