import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// y = x Wᵀ + b, one row of coefficients for each target. ai.onnx.ml LinearRegressor-1.
  static let linearRegressor = OperatorDefinition(
    "LinearRegressor", domain: machineLearningDomain, versions: [1], inputs: 1...1,
    attributes: [
      .optional("coefficients", .floats), .optional("intercepts", .floats),
      .string("post_transform", default: "NONE"), .int("targets", default: 1),
    ],
    infer: { (context) throws(StackLensError) in
      let rows = try FeatureRows(context.input(0, oneOf: FeatureRows.types).shape).rows
      return [TensorType(.float32, try Shape([rows, context.int("targets")]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let model = try LinearScores(preparation, targets: preparation.int("targets"))
        let transform = try ScoreTransform(preparation)
        return PreparedKernel { (run) throws(StackLensError) in
          let y = run.outputs[0].floats
          model.run(try run.input(0), run.parallel) { row, scores in
            var scores = scores
            if scores.count > 1 || transform == .probit { transform.apply(&scores) }
            for (target, score) in scores.enumerated() {
              y[row * scores.count + target] = Float(score)
            }
          }
        }
      }
    ]),
    samples: [
      Sample(
        [.floats(3, 2)],
        [
          "coefficients": .floats([1, 2, -1, 0.5]), "intercepts": .floats([0.5, -1]),
          "targets": .int(2),
        ]),
      Sample([.floats(0, 2)], ["coefficients": .floats([1, 2])]),
    ])

  /// The class with the largest x Wᵀ + b, and all scores. One row of coefficients for two labels is
  /// the score of the second; SOFTMAX leaves it as it is. ai.onnx.ml LinearClassifier-1.
  static let linearClassifier = OperatorDefinition(
    "LinearClassifier", domain: machineLearningDomain, versions: [1], inputs: 1...1,
    outputs: 1...2,
    attributes: [
      .optional("classlabels_ints", .ints), .optional("classlabels_strings", .strings),
      .required("coefficients", .floats), .optional("intercepts", .floats),
      .int("multi_class", default: 0), .string("post_transform", default: "NONE"),
    ],
    infer: { (context) throws(StackLensError) in
      let rows = try FeatureRows(context.input(0, oneOf: FeatureRows.types).shape).rows
      return try linearLabels(context).outputTypes(rows: rows)
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let labels = try linearLabels(preparation)
        let columns = try FeatureRows(preparation.input(0).shape).columns
        let coefficients = try preparation.floats("coefficients") ?? []
        let isSingle = labels.count == 2 && coefficients.count == columns
        let model = try LinearScores(preparation, targets: isSingle ? 1 : labels.count)
        let transform = try ScoreTransform(preparation)
        let writer = LabelWriter(labels, preparation.node)
        return PreparedKernel { (run) throws(StackLensError) in
          let (output, y) = (run.outputs[0], run.outputs[1].floats)
          model.run(try run.input(0), run.parallel) { row, scores in
            var scores = scores
            var best = 0
            if isSingle {
              let score = scores[0]
              best = score > 0 ? 1 : 0
              if transform == .logistic {
                scores = [ScoreTransform.logistic(-score), ScoreTransform.logistic(score)]
              } else {
                scores = [1 - score, score]
                if transform == .probit { transform.apply(&scores) }
              }
            } else {
              for index in scores.indices where scores[index] > scores[best] { best = index }
              transform.apply(&scores)
            }
            for (index, score) in scores.enumerated() {
              y[row * scores.count + index] = Float(score)
            }
            writer.write(best, output, row)
          }
        }
      }
    ]),
    samples: [
      Sample(
        [.floats(3, 2)],
        [
          "coefficients": .floats([1, 2, -1, 0.5, 0, 1]), "intercepts": .floats([0.5, -1, 0]),
          "classlabels_ints": .ints([3, 4, 5]), "post_transform": .string("SOFTMAX"),
        ], outputs: 2),
      Sample(
        [.floats(3, 2)],
        [
          "coefficients": .floats([1, 2]), "intercepts": .floats([0.5]),
          "classlabels_strings": .strings(["no", "yes"]), "post_transform": .string("LOGISTIC"),
        ], outputs: 2),
    ])

  private static func linearLabels(_ view: some NodeView) throws(StackLensError) -> ClassLabels {
    try ClassLabels(view, integers: "classlabels_ints", strings: "classlabels_strings")
  }
}

/// Rows of coefficients with intercepts.
private struct LinearScores: Sendable {
  let features: FeatureRows
  let targets: Int
  let coefficients: [Double]
  let intercepts: [Double]

  init(_ preparation: Preparation, targets: Int) throws(StackLensError) {
    features = try FeatureRows(preparation.input(0).shape)
    self.targets = targets
    coefficients = (try preparation.floats("coefficients") ?? []).map { Double($0) }
    let given = (try preparation.floats("intercepts") ?? []).map { Double($0) }
    let (expected, overflow) = targets.multipliedReportingOverflow(by: features.columns)
    guard targets > 0, !overflow, coefficients.count == expected,
      given.isEmpty || given.count == targets
    else {
      throw .shapeMismatch(
        "\(coefficients.count) coefficients and \(given.count) intercepts for \(targets) targets "
          + "of \(features.columns) features")
    }
    intercepts = given.isEmpty ? Array(repeating: 0, count: targets) : given
  }

  func run(_ x: Tensor, _ parallel: Parallel, _ finish: (Int, [Double]) -> Void) {
    let columns = features.columns
    parallel.ranges(features.rows, grain: max(1, (1 << 14) / max(1, columns * targets))) { rows in
      var values = [Double](repeating: 0, count: max(1, columns))
      var scores = [Double](repeating: 0, count: targets)
      for row in rows {
        values.withUnsafeMutableBufferPointer { values in
          if let start = values.baseAddress { features.load(x, row, start) }
        }
        for target in 0..<targets {
          var sum = 0.0
          for i in 0..<columns { sum += values[i] * coefficients[target * columns + i] }
          scores[target] = sum + intercepts[target]
        }
        finish(row, scores)
      }
    }
  }
}
