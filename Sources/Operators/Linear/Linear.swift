extension OperatorTable {
  static let linear: [OperatorDefinition] = [
    .matMul, .gemm, .einsum, .fusedMatMul, .contribFusedMatMul, .weightGradient, .det, .inverse,
  ]
}
