extension OperatorTable {
  /// Contributed operators that little else resembles.
  static let contributedKernels: [OperatorDefinition] = [
    .cDist, .murmurHash3, .unfoldTensor, .nGramRepeatBlock, .dynamicTimeWarping, .cropAndResize,
    .bifurcationDetector, .maxpoolWithMask, .wordConvEmbedding,
  ]
}
