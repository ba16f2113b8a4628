extension OperatorTable {
  /// Contributed operators with kernels of their own.
  static let contributedKernels: [OperatorDefinition] = [
    .cDist, .murmurHash3, .unfoldTensor, .nGramRepeatBlock, .dynamicTimeWarping, .cropAndResize,
    .bifurcationDetector,
  ]
}
