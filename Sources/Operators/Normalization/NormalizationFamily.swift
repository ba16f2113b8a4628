extension OperatorTable {
  static let normalization: [OperatorDefinition] = []
}
