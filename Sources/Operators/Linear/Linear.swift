extension OperatorTable {
  static let linear: [OperatorDefinition] = []
}
