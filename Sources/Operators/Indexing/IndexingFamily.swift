extension OperatorTable {
  static let indexing: [OperatorDefinition] = [
    .gather, .gatherND, .gatherElements, .scatter, .scatterElements, .scatterND, .oneHot, .topK,
    .nonZero, .compress, .unique, .reverseSequence, .nonMaxSuppression,
  ]
}
