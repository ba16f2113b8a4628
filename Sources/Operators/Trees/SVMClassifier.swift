import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// One decision for each pair of classes, by the support vectors of the two; the class with most
  /// votes wins. The scores are the decisions, or with `prob_a` and `prob_b` a probability for each
  /// class. Without support vectors one linear score for each class. Two classes without
  /// probabilities have [-s, s], or what ONNX Runtime makes of s by the transform.
  /// ai.onnx.ml SVMClassifier-1.
  static let svmClassifier = OperatorDefinition(
    "SVMClassifier", domain: machineLearningDomain, versions: [1], inputs: 1...1, outputs: 1...2,
    attributes: SupportKernel.attributes + [
      .optional("classlabels_ints", .ints), .optional("classlabels_strings", .strings),
      .optional("prob_a", .floats), .optional("prob_b", .floats),
      .optional("vectors_per_class", .ints),
    ],
    infer: { (context) throws(StackLensError) in
      let rows = try FeatureRows(context.input(0, oneOf: FeatureRows.types).shape).rows
      let labels = try svmLabels(context)
      let vectors = try context.ints("vectors_per_class") ?? []
      let slopes = try context.floats("prob_a") ?? []
      let isPairwise = !vectors.isEmpty && slopes.isEmpty
      let pairs = labels.count * (labels.count - 1) / 2
      let width = isPairwise ? max(2, pairs) : labels.count
      return [
        try labels.outputTypes(rows: rows)[0], TensorType(.float32, try Shape([rows, width])),
      ]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let rows = try FeatureRows(preparation.input(0).shape)
        let labels = try svmLabels(preparation)
        let model = try preparation.derived { () throws(StackLensError) in
          try SupportClasses(preparation, columns: rows.columns, classCount: labels.count)
        }
        let writer = LabelWriter(labels, preparation.node)
        return PreparedKernel { (run) throws(StackLensError) in
          let y = run.outputs[1].floats
          model.vectors.run(try run.input(0), rows, run.parallel) { row, values in
            let (label, scores) = model.decide(values)
            for (index, score) in scores.enumerated() {
              y[row * scores.count + index] = Float(score)
            }
            writer.write(label, run.outputs[0], row)
          }
        }
      }
    ]),
    samples: [
      Sample(
        [.floats(3, 2)],
        [
          "classlabels_ints": .ints([4, 5, 6]), "coefficients": .floats([1, -1, 0.5, 2, 0.5, -1]),
          "kernel_params": .floats([0.5, 0.1, 2]), "kernel_type": .string("POLY"),
          "rho": .floats([0.1, 0, -0.1]), "vectors_per_class": .ints([1, 1, 1]),
          "support_vectors": .floats([0.1, 0.2, -0.3, 0.4, 0, 1]),
        ], outputs: 2),
      Sample(
        [.floats(3, 2)],
        [
          "classlabels_strings": .strings(["a", "b"]), "coefficients": .floats([1, -1]),
          "rho": .floats([0.1]), "vectors_per_class": .ints([1, 1]), "prob_a": .floats([-1]),
          "prob_b": .floats([0.1]), "support_vectors": .floats([0.1, 0.2, -0.3, 0.4]),
        ], outputs: 2),
    ])

  private static func svmLabels(_ view: some NodeView) throws(StackLensError) -> ClassLabels {
    let labels = try ClassLabels(
      view, integers: "classlabels_ints", strings: "classlabels_strings")
    guard labels.count < 1 << 16 else {
      throw .limitExceeded("\(labels.count) classes, an SVMClassifier has 65535 at most")
    }
    return labels
  }
}

/// The pairwise or linear decisions of an SVMClassifier.
private struct SupportClasses: Sendable {
  let vectors: SupportVectors
  private let classCount: Int
  private let isLinear: Bool
  /// The vectors of each class.
  private var ranges: [Range<Int>] = []
  /// Class-minus-one rows of one coefficient for each vector.
  private let coefficients: [Double]
  private let rho: [Double]
  private let slopes: [Double]
  private let offsets: [Double]
  private let transform: ScoreTransform

  init(_ view: some NodeView, columns: Int, classCount: Int) throws(StackLensError) {
    self.classCount = classCount
    transform = try ScoreTransform(view)
    let given = try view.floats("coefficients") ?? []
    coefficients = given.map { Double($0) }
    rho = (try view.floats("rho") ?? []).map { Double($0) }
    slopes = (try view.floats("prob_a") ?? []).map { Double($0) }
    offsets = (try view.floats("prob_b") ?? []).map { Double($0) }
    let counts = try view.ints("vectors_per_class") ?? []
    isLinear = counts.isEmpty
    if isLinear {
      guard !rho.isEmpty else { throw .invalidArgument("attribute 'rho' needs one entry") }
      vectors = try SupportVectors(given, count: classCount, columns: columns, .linear)
      return
    }
    var total = 0
    for count in counts {
      let (sum, overflow) = total.addingReportingOverflow(count)
      guard count >= 0, !overflow else {
        throw .invalidArgument("vectors_per_class holds \(count)")
      }
      ranges.append(total..<sum)
      total = sum
    }
    vectors = try SupportVectors(
      view.floats("support_vectors") ?? [], count: total, columns: columns, SupportKernel(view))
    let pairs = classCount * (classCount - 1) / 2
    guard classCount > 1, counts.count == classCount,
      coefficients.count / (classCount - 1) == total,
      coefficients.count % (classCount - 1) == 0, rho.count == pairs,
      slopes.count == offsets.count, slopes.isEmpty || slopes.count == pairs
    else {
      throw .shapeMismatch(
        "\(classCount) classes with \(total) vectors in \(counts.count) parts, "
          + "\(coefficients.count) coefficients, \(rho.count) rho, \(slopes.count) prob_a and "
          + "\(offsets.count) prob_b")
    }
  }

  /// The index of the label and the scores of a row.
  func decide(_ values: UnsafePointer<Double>) -> (Int, [Double]) {
    if isLinear {
      var scores = (0..<classCount).map { values[$0] + rho[0] }
      let best = Self.best(scores)
      transform.apply(&scores)
      return (best, scores)
    }
    var votes = [Double](repeating: 0, count: classCount)
    var scores: [Double] = []
    for i in 0..<classCount {
      for j in i + 1..<max(classCount, i + 1) {
        var sum = rho[scores.count]
        for vector in ranges[i] {
          sum += coefficients[(j - 1) * vectors.count + vector] * values[vector]
        }
        for vector in ranges[j] { sum += coefficients[i * vectors.count + vector] * values[vector] }
        scores.append(sum)
        votes[sum > 0 ? i : j] += 1
      }
    }
    let best = Self.best(votes)
    if !slopes.isEmpty {
      scores = PairwiseCoupling.probabilities(pairs(scores), classCount)
    } else if scores.count == 1 {
      return (best, binary(scores[0]))
    }
    transform.apply(&scores)
    return (best, scores)
  }

  /// What two classes make of one decision.
  private func binary(_ score: Double) -> [Double] {
    switch transform {
    case .none: [-score, score]
    case .logistic: [ScoreTransform.logistic(-score), ScoreTransform.logistic(score)]
    case .probit: [ScoreTransform.probit(score), 0]
    case .softmax, .softmaxZero: [1 - score, score]
    }
  }

  private static func best(_ values: [Double]) -> Int {
    values.indices.reduce(0) { values[$1] > values[$0] ? $1 : $0 }
  }

  /// The probability that the first class of each pair is the right one.
  private func pairs(_ scores: [Double]) -> [Double] {
    scores.enumerated().map { index, score in
      let probability = 1 - ScoreTransform.logistic(score * slopes[index] + offsets[index])
      return min(max(probability, 1e-7), 1 - 1e-7)
    }
  }
}
