extension OperatorTable {
  static let linear: [OperatorDefinition] = [
    .matMul, .gemm, .einsum, .fusedMatMul, .contribFusedMatMul, .det, .inverse,
  ]
}
