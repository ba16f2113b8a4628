import Base
import Graphs
import Tensors

extension OperatorDefinition {
  static let treeAttributes: [AttributeSpec] = [
    .optional("base_values", .floats), .optional("base_values_as_tensor", .tensor),
    .optional("nodes_falsenodeids", .ints), .optional("nodes_featureids", .ints),
    .optional("nodes_hitrates", .floats), .optional("nodes_hitrates_as_tensor", .tensor),
    .optional("nodes_missing_value_tracks_true", .ints), .optional("nodes_modes", .strings),
    .optional("nodes_nodeids", .ints), .optional("nodes_treeids", .ints),
    .optional("nodes_truenodeids", .ints), .optional("nodes_values", .floats),
    .optional("nodes_values_as_tensor", .tensor), .string("post_transform", default: "NONE"),
  ]

  /// Sums (means, smallest, largest) of the leaves that a row reaches. A single target knows
  /// NONE and PROBIT alone, as in ONNX Runtime. ai.onnx.ml TreeEnsembleRegressor-3.
  static let treeEnsembleRegressor = OperatorDefinition(
    "TreeEnsembleRegressor", domain: machineLearningDomain, versions: [1, 3], inputs: 1...1,
    attributes: treeAttributes + [
      .string("aggregate_function", default: "SUM"), .int("n_targets", default: 1),
      .optional("target_ids", .ints), .optional("target_nodeids", .ints),
      .optional("target_treeids", .ints), .optional("target_weights", .floats),
      .optional("target_weights_as_tensor", .tensor),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: FeatureRows.types)
      let targets = try context.int("n_targets")
      return [TensorType(.float32, try Shape([FeatureRows(x.shape).rows, targets]))]
    },
    execution: treeKernels { (preparation) throws(StackLensError) in
      let name = try preparation.string("aggregate_function")
      guard let aggregate = TreeAggregate(rawValue: name) else {
        throw .invalidArgument("aggregate_function '\(name)' is unknown")
      }
      let ensemble = try preparation.derived { () throws(StackLensError) in
        try TreeEnsemble(
          TreeNodes(preparation, leaves: "target"), aggregate,
          scoreCount: preparation.int("n_targets"))
      }
      return try TreeRegression(
        ensemble: ensemble, transform: ScoreTransform(preparation),
        base: TreeNodes.numbers(preparation, "base_values"))
    },
    gradient: .trees,
    samples: [
      Sample([.floats(5, 2)], stump(leaves: "target")),
      Sample([.random(.int64, [0, 2], low: -1, high: 1)], stump(leaves: "target")),
    ])

  /// The kernels of an operator that only returns scores.
  static func treeKernels(
    _ read: @escaping @Sendable (Preparation) throws(StackLensError) -> TreeRegression
  ) -> Execution {
    .kernels([
      Kernel("blocks") { (preparation) throws(StackLensError) in
        let model = try read(preparation)
        let features = try FeatureRows(preparation.input(0).shape)
        try model.check(features)
        guard let forest = model.ensemble.packed,
          try preparation.input(0).elementType == .float32
        else { return nil }
        return PreparedKernel { (run) throws(StackLensError) in
          forest.run(try run.input(0).floats, features, run.outputs[0].floats, run.parallel) {
            row, scores, room in
            if model.isPlain { return }
            for index in room.indices { room[index] = Double(scores[index]) }
            model.finish(room)
            for index in room.indices { scores[index] = Float(room[index]) }
          }
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let model = try read(preparation)
        let features = try FeatureRows(preparation.input(0).shape)
        try model.check(features)
        var plan = ScratchPlan()
        let room = try model.ensemble.scratch(features, &plan)
        let width = model.ensemble.scoreCount
        return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
          let output = run.outputs[0]
          model.ensemble.run(try run.input(0), features, room, run) { row, scores in
            model.finish(UnsafeMutableBufferPointer(start: scores, count: width))
            for target in 0..<width { output.set(row * width + target, toNumber: scores[target]) }
          }
        }
      },
    ])
  }

  /// A tree of one branch, for samples.
  static func stump(leaves prefix: String) -> [String: Attribute] {
    [
      "nodes_treeids": .ints([0, 0, 0]), "nodes_nodeids": .ints([0, 1, 2]),
      "nodes_featureids": .ints([1, 0, 0]), "nodes_values": .floats([0.1, 0, 0]),
      "nodes_modes": .strings(["BRANCH_LEQ", "LEAF", "LEAF"]),
      "nodes_truenodeids": .ints([1, 0, 0]), "nodes_falsenodeids": .ints([2, 0, 0]),
      "\(prefix)_treeids": .ints([0, 0]), "\(prefix)_nodeids": .ints([1, 2]),
      "\(prefix)_ids": .ints([0, 0]), "\(prefix)_weights": .floats([0.25, 0.75]),
    ]
  }
}

/// Trees whose scores are the result, perhaps moved and transformed.
struct TreeRegression: Sendable {
  let ensemble: TreeEnsemble
  let transform: ScoreTransform
  let base: [Double]

  var isPlain: Bool { base.isEmpty && !isTransformed }

  private var isTransformed: Bool {
    transform == .probit || transform != .none && ensemble.scoreCount > 1
  }

  func check(_ features: FeatureRows) throws(StackLensError) {
    try ensemble.check(features)
    guard base.isEmpty || base.count == 1 || base.count == ensemble.scoreCount else {
      throw .invalidArgument("\(base.count) base_values for \(ensemble.scoreCount) targets")
    }
  }

  func finish(_ scores: UnsafeMutableBufferPointer<Double>) {
    if !base.isEmpty {
      for index in scores.indices { scores[index] += base[base.count == 1 ? 0 : index] }
    }
    if isTransformed { transform.apply(scores) }
  }
}
