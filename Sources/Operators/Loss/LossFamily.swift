extension OperatorTable {
  static let loss: [OperatorDefinition] = [.negativeLogLikelihoodLoss, .softmaxCrossEntropyLoss]
}
