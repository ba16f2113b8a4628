import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Labels and scores of the classes by the leaves that a row reaches: the largest score wins. Two
  /// classes with weights for one of them alone are a binary case with ONNX Runtime's rules: the
  /// sum is the second class's score, the label follows from it at 0.5 where no weight is
  /// negative and else at 0, and SOFTMAX leaves the scores as they are.
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
      Kernel("blocks") { (preparation) throws(StackLensError) in
        let (ensemble, rule) = try classification(preparation)
        guard let forest = ensemble.packed, try preparation.input(0).elementType == .float32
        else { return nil }
        let features = try FeatureRows(preparation.input(0).shape)
        let writer = LabelWriter(rule.labels, preparation.node)
        return PreparedKernel { (run) throws(StackLensError) in
          forest.run(try run.input(0).floats, features, run.outputs[1].floats, run.parallel) {
            row, scores, room in
            writer.write(rule.decide(scores, room), run.outputs[0], row)
          }
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let (ensemble, rule) = try classification(preparation)
        let features = try FeatureRows(preparation.input(0).shape)
        var plan = ScratchPlan()
        let room = try ensemble.scratch(features, &plan)
        let writer = LabelWriter(rule.labels, preparation.node)
        return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
          let width = ensemble.scoreCount
          let y = run.outputs[1].floats
          ensemble.run(try run.input(0), features, room, run) { row, scores in
            let values = UnsafeMutableBufferPointer(start: scores, count: width)
            let label = rule.decide(values)
            for index in 0..<width { y[row * width + index] = Float(values[index]) }
            writer.write(label, run.outputs[0], row)
          }
        }
      },
    ]),
    gradient: .trees,
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

  private static func classification(
    _ preparation: Preparation
  ) throws(StackLensError) -> (TreeEnsemble, TreeClassRule) {
    let labels = try ClassLabels(
      preparation, integers: "classlabels_int64s", strings: "classlabels_strings")
    let ensemble = try preparation.derived { () throws(StackLensError) in
      try TreeEnsemble(TreeNodes(preparation, leaves: "class"), .sum, scoreCount: labels.count)
    }
    try ensemble.check(FeatureRows(preparation.input(0).shape))
    let base = try TreeNodes.numbers(preparation, "base_values")
    return (ensemble, try TreeClassRule(preparation, ensemble, labels, base: base))
  }
}

/// From the sums of a row to its label and its scores.
private struct TreeClassRule: Sendable {
  let labels: ClassLabels
  let transform: ScoreTransform
  let base: [Double]
  let width: Int
  /// The class that the leaves name, where they name one of two.
  let onlyClass: Int?
  let allPositive: Bool

  init(
    _ view: some NodeView, _ ensemble: TreeEnsemble, _ labels: ClassLabels, base: [Double]
  ) throws(StackLensError) {
    self.labels = labels
    transform = try ScoreTransform(view)
    width = ensemble.scoreCount
    let weights = ensemble.trees.weights
    let classes = Set(weights.map(\.target))
    onlyClass = width == 2 && classes.count == 1 ? classes.first.map { Int($0) } : nil
    allPositive = weights.allSatisfy { $0.value >= 0 }
    let isSingleBase = base.count == 1 && onlyClass == 0
    guard base.isEmpty || base.count == width || isSingleBase else {
      throw .invalidArgument("\(base.count) base_values for \(width) classes")
    }
    self.base = base
  }

  /// The index of the label; `scores` become what the operator returns.
  /// - Parameter room: for as many numbers.
  func decide(
    _ scores: UnsafeMutablePointer<Float>, _ room: UnsafeMutableBufferPointer<Double>
  ) -> Int {
    if base.isEmpty, transform == .none, onlyClass == nil {
      var best = 0
      for index in 0..<width where scores[index] > scores[best] { best = index }
      return best
    }
    for index in 0..<width { room[index] = Double(scores[index]) }
    let label = decide(room)
    for index in 0..<width { scores[index] = Float(room[index]) }
    return label
  }

  func decide(_ scores: UnsafeMutableBufferPointer<Double>) -> Int {
    for (index, value) in base.enumerated() { scores[index] += value }
    guard let onlyClass else {
      var best = 0
      for index in scores.indices where scores[index] > scores[best] { best = index }
      transform.apply(scores)
      return best
    }
    let score = scores[onlyClass]
    let label = score > (allPositive ? 0.5 : 0) ? 1 : 0
    guard onlyClass == 0 else {
      transform.apply(scores)
      return label
    }
    // One sum for both classes: the second's score, from which the first's follows.
    if transform == .logistic {
      scores[0] = ScoreTransform.logistic(-score)
      scores[1] = ScoreTransform.logistic(score)
    } else {
      scores[0] = allPositive ? 1 - score : -score
      scores[1] = score
      if transform == .probit { transform.apply(scores) }
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
