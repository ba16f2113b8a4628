import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Trees whose branches and leaves are apart, with membership tests. ai.onnx.ml TreeEnsemble-5.
  static let treeEnsemble = OperatorDefinition(
    "TreeEnsemble", domain: machineLearningDomain, versions: [5], inputs: 1...1,
    attributes: [
      .int("aggregate_function", default: 1), .required("leaf_targetids", .ints),
      .required("leaf_weights", .tensor), .optional("membership_values", .tensor),
      .int("n_targets", default: 1), .required("nodes_falseleafs", .ints),
      .required("nodes_falsenodeids", .ints), .required("nodes_featureids", .ints),
      .optional("nodes_hitrates", .tensor), .optional("nodes_missing_value_tracks_true", .ints),
      .required("nodes_modes", .tensor), .required("nodes_splits", .tensor),
      .required("nodes_trueleafs", .ints), .required("nodes_truenodeids", .ints),
      .int("post_transform", default: 0), .required("tree_roots", .ints),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: [.float32, .float64, .float16])
      let targets = try context.int("n_targets")
      return [TensorType(x.elementType, try Shape([FeatureRows(x.shape).rows, targets]))]
    },
    execution: treeKernels { (preparation) throws(StackLensError) in
      let aggregates: [TreeAggregate] = [.average, .sum, .min, .max]
      let aggregate = try preparation.int("aggregate_function")
      guard aggregates.indices.contains(aggregate) else {
        throw .invalidArgument("aggregate_function \(aggregate) is unknown")
      }
      let ensemble = try preparation.derived { () throws(StackLensError) in
        try TreeEnsemble(
          TreeNodes(newForm: preparation), aggregates[aggregate],
          scoreCount: preparation.int("n_targets"))
      }
      let transforms: [ScoreTransform] = [.none, .softmax, .logistic, .softmaxZero, .probit]
      let transform = try preparation.int("post_transform")
      guard transforms.indices.contains(transform) else {
        throw .invalidArgument("post_transform \(transform) is unknown")
      }
      return TreeRegression(ensemble: ensemble, transform: transforms[transform], base: [])
    },
    gradient: .trees,
    samples: [
      Sample([.floats(4, 2)], newStump), Sample([.floats(0, 2)], newStump),
    ])

  private static var newStump: [String: Attribute] {
    guard let modes = try? Tensor([UInt8(0)]), let splits = try? Tensor([Float(0.1)]),
      let weights = try? Tensor([Float(0.25), 0.75])
    else { return [:] }
    return [
      "leaf_targetids": .ints([0, 0]), "leaf_weights": .tensor(weights),
      "nodes_falseleafs": .ints([1]), "nodes_falsenodeids": .ints([1]),
      "nodes_featureids": .ints([1]), "nodes_modes": .tensor(modes),
      "nodes_splits": .tensor(splits), "nodes_trueleafs": .ints([1]),
      "nodes_truenodeids": .ints([0]), "tree_roots": .ints([0]),
    ]
  }
}

extension TreeNodes {
  /// Reads the arrays of ai.onnx.ml 5; leaves go behind the branches.
  init(newForm view: some NodeView) throws(StackLensError) {
    guard let modes = try view.tensor("nodes_modes"), modes.elementType == .uint8,
      let splits = try view.tensor("nodes_splits"),
      let weights = try view.tensor("leaf_weights")
    else { throw .typeMismatch("nodes_modes must be a uint8 tensor") }
    let count = modes.count
    let names = try modes.elements(as: UInt8.self)
    let thresholds = try splits.doubles()
    func ints(_ name: String) throws(StackLensError) -> [Int] {
      let values = try view.ints(name) ?? []
      guard values.count == count else {
        throw .formatError("\(name) has \(values.count) entries, nodes_modes has \(count)")
      }
      return values
    }
    let features = try ints("nodes_featureids")
    let (whenTrue, whenFalse) = (try ints("nodes_truenodeids"), try ints("nodes_falsenodeids"))
    let (trueLeafs, falseLeafs) = (try ints("nodes_trueleafs"), try ints("nodes_falseleafs"))
    let tracks = try view.ints("nodes_missing_value_tracks_true") ?? []
    let targets = try view.ints("leaf_targetids") ?? []
    let values = try weights.doubles()
    guard thresholds.count == count, tracks.isEmpty || tracks.count == count,
      targets.count == values.count, count <= Int(Int32.max) / 2,
      targets.count <= Int(Int32.max) / 2
    else {
      throw .formatError(
        "\(count) nodes_modes, \(thresholds.count) nodes_splits, \(tracks.count) "
          + "nodes_missing_value_tracks_true, \(targets.count) leaf_targetids and "
          + "\(values.count) leaf_weights")
    }
    let members = try Self.memberSets(view)
    var nextSet = 0
    for index in 0..<count {
      guard let mode = TreeNode.Mode(rawValue: names[index]), mode != .leaf,
        let feature = Int32(exactly: features[index])
      else {
        throw .formatError("node \(index) has the mode \(names[index]) on \(features[index])")
      }
      var threshold = thresholds[index]
      if mode == .member {
        guard nextSet < members.count else {
          throw .formatError("membership_values holds \(members.count) sets, too few")
        }
        threshold = Double(nextSet)
        nextSet += 1
      }
      func place(_ child: Int, isLeaf: Bool) throws(StackLensError) -> Int32 {
        guard child >= 0, child < (isLeaf ? targets.count : count) else {
          throw .formatError("node \(index) of a tree has the child \(child), which is missing")
        }
        return Int32(isLeaf ? count + child : child)
      }
      nodes.append(
        TreeNode(
          threshold: threshold, feature: feature,
          whenTrue: try place(whenTrue[index], isLeaf: trueLeafs[index] != 0),
          whenFalse: try place(whenFalse[index], isLeaf: falseLeafs[index] != 0), mode: mode,
          missingIsTrue: !tracks.isEmpty && tracks[index] != 0))
    }
    sets = members
    for index in targets.indices {
      guard let target = Int32(exactly: targets[index]), target >= 0 else {
        throw .formatError("leaf_targetids[\(index)] is \(targets[index])")
      }
      self.weights.append(LeafWeight(target: target, value: values[index]))
      nodes.append(
        TreeNode(
          threshold: 0, feature: Int32(index), whenTrue: Int32(index + 1), whenFalse: 0,
          mode: .leaf, missingIsTrue: false))
    }
    for root in try view.ints("tree_roots") ?? [] {
      guard root >= 0, root < count else { throw .formatError("tree_roots names node \(root)") }
      roots.append(Int32(root))
    }
    guard !roots.isEmpty else { throw .formatError("tree_roots is empty") }
    try finish()
  }

  /// Sets of values, each ended by NaN.
  private static func memberSets(_ view: some NodeView) throws(StackLensError) -> [[Double]] {
    guard let tensor = try view.tensor("membership_values") else { return [] }
    var sets: [[Double]] = []
    var current: [Double] = []
    for value in try tensor.doubles() {
      if value.isNaN {
        sets.append(current)
        current = []
      } else {
        current.append(value)
      }
    }
    if !current.isEmpty { sets.append(current) }
    return sets
  }
}
