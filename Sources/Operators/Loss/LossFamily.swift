extension OperatorTable {
  static let loss: [OperatorDefinition] = [
    .crfDecode, .crfLoss, .crfLossGradient, .crfMarginals, .ctcLoss, .ctcLossGradient, .matchShape,
    .negativeLogLikelihoodLoss, .softmaxCrossEntropyLoss,
  ]
}
