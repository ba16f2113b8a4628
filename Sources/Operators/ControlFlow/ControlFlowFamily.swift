extension OperatorTable {
  static let controlFlow: [OperatorDefinition] = [.branch, .loop, .scan]
}
