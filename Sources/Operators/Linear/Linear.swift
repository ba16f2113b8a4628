extension OperatorTable {
  static let linear: [OperatorDefinition] = [.matMul, .gemm]
}
