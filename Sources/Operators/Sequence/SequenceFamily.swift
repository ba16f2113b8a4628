extension OperatorTable {
  static let sequence: [OperatorDefinition] = [
    .sequenceConstruct, .sequenceEmpty, .sequenceAt, .sequenceInsert, .sequenceErase,
    .sequenceLength, .splitToSequence, .concatFromSequence, .sequenceMap, .optional,
    .optionalGetElement, .optionalHasElement,
  ]
}
