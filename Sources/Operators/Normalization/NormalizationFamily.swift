extension OperatorTable {
  static let normalization: [OperatorDefinition] = [
    .softmax, .logSoftmax, .hardmax, .layerNormalization, .rmsNormalization,
    .batchNormalization, .instanceNormalization, .groupNormalization, .lpNormalization,
    .meanVarianceNormalization, .localResponseNormalization,
  ]
}
