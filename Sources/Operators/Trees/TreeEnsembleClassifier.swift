import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Labels and scores of the classes by the leaves that a row reaches. Two classes with
  /// weights for one of them alone are a binary case with rules of its own, those of ONNX Runtime.
  /// ai.onnx.ml TreeEnsembleClassifier-3.
  static let treeEnsembleClassifier = OperatorDefinition(
    "TreeEnsembleClassifier", domain: machineLearningDomain, versions: [1, 3], inputs: 1...1,
    outputs: 1...2,
    attributes: treeAttributes + [
      .optional("class_ids", .ints), .optional("class_nodeids", .ints),
      .optional("class_treeids", .ints), .optional("class_weights", .floats),
      .optional("class_weights_as_tensor", .tensor), .optional("classlabels_int64s", .ints),
      .optional("classlabels_strings", .strings),
    ],
    infer: { (context) throws(StackLensError) in
      let rows = try FeatureRows(context.input(0, oneOf: FeatureRows.types).shape).rows
      let labels = try ClassLabels(
        context, integers: "classlabels_int64s", strings: "classlabels_strings")
      return try labels.outputTypes(rows: rows)
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let labels = try ClassLabels(
          preparation, integers: "classlabels_int64s", strings: "classlabels_strings")
        let ensemble = try preparation.derived { () throws(StackLensError) in
          try TreeEnsemble(
            TreeNodes(preparation, leaves: "class"), .sum, scoreCount: labels.count)
        }
        let features = try FeatureRows(preparation.input(0).shape)
        try ensemble.check(features)
        let rule = try TreeClassRule(
          preparation, ensemble, base: TreeNodes.numbers(preparation, "base_values"))
        var plan = ScratchPlan()
        let room = try ensemble.scratch(features, &plan)
        let writer = LabelWriter(labels, preparation.node)
        return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
          let width = ensemble.scoreCount
          let y = run.outputs[1].floats
          ensemble.run(try run.input(0), features, room, run) { row, scores, touched in
            var values = (0..<width).map { scores[$0] }
            let label = rule.decide(&values, touched)
            for index in 0..<width { y[row * width + index] = Float(values[index]) }
            writer.write(label, run.outputs[0], row)
          }
        }
      }
    ]),
    samples: [
      Sample(
        [.floats(5, 2)],
        stump(leaves: "class").merging(["classlabels_strings": .strings(["no", "yes"])]) { $1 },
        outputs: 2),
      Sample(
        [.random(.float64, [3, 2], low: -1, high: 1)],
        stump(leaves: "class").merging(["classlabels_int64s": .ints([4, 5, 6])]) { $1 },
        outputs: 2),
    ])
}

/// From the sums of a row to its label and its scores.
private struct TreeClassRule: Sendable {
  let transform: ScoreTransform
  let base: [Double]
  let width: Int
  /// Two classes of which the leaves name one.
  let isBinary: Bool
  let allPositive: Bool

  init(
    _ view: some NodeView, _ ensemble: TreeEnsemble, base: [Double]
  ) throws(StackLensError) {
    transform = try ScoreTransform(view)
    width = ensemble.scoreCount
    guard base.count <= width else {
      throw .invalidArgument("\(base.count) base_values for \(width) classes")
    }
    self.base = base
    let weights = ensemble.trees.weights
    isBinary = width == 2 && Set(weights.map(\.target)).count == 1
    allPositive = weights.allSatisfy { $0.value >= 0 }
  }

  /// The index of the label; `scores` become what the operator returns.
  func decide(_ scores: inout [Double], _ touched: UnsafeMutablePointer<Bool>) -> Int {
    guard width == 2 else {
      var best = -1
      for index in 0..<width {
        if index < base.count { scores[index] += base[index] }
        guard touched[index] || index < base.count else { continue }
        if best < 0 || scores[index] > scores[best] { best = index }
      }
      transform.apply(&scores)
      return max(best, 0)
    }
    var isSingle = false
    if base.count == 2 {
      if touched[1] {
        scores[1] = base[1] + scores[0]
        scores[0] = -scores[1]
      } else {
        scores[0] += base[0]
        scores[1] += base[1]
      }
    } else {
      if base.count == 1 { scores[0] += base[0] }
      isSingle = !touched[1]
    }
    let positive = isSingle ? scores[0] : scores[1]
    let label = positive > (isBinary && allPositive ? 0.5 : 0) ? 1 : 0
    guard isSingle else {
      transform.apply(&scores)
      return label
    }
    switch transform {
    case .probit: scores = [ScoreTransform.probit(positive), 0]
    case _ where isBinary && allPositive: scores = [1 - positive, positive]
    case .logistic where isBinary:
      scores = [ScoreTransform.logistic(-positive), ScoreTransform.logistic(positive)]
    case _ where isBinary: scores = [-positive, positive]
    default: scores = [positive, 0]
    }
    return label
  }
}

extension ClassLabels {
  /// Labels, and a score for each class.
  func outputTypes(rows: Int) throws(StackLensError) -> [TensorType] {
    let type: ElementType
    switch self {
    case .integers: type = .int64
    case .strings: type = .string
    }
    return [
      TensorType(type, try Shape([rows])), TensorType(.float32, try Shape([rows, count])),
    ]
  }
}

/// Stores labels, unless the node leaves them out.
struct LabelWriter: Sendable {
  private let labels: ClassLabels
  private let isWanted: Bool

  init(_ labels: ClassLabels, _ node: Node) {
    self.labels = labels
    isWanted = node.outputs.first.map { !$0.isEmpty } ?? false
  }

  func write(_ label: Int, _ output: Tensor, _ row: Int) {
    guard isWanted else { return }
    switch labels {
    case .integers(let labels): output.int64s[row] = labels[label]
    case .strings(let labels):
      output.base.assumingMemoryBound(to: String.self)[row] = labels[label]
    }
  }
}
