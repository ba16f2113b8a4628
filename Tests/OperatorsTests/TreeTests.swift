import Base
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Operators

struct TreeTests {
  private func evaluate(
    _ name: String, _ x: Tensor, _ attributes: [String: Attribute], outputs: Int = 1
  ) throws -> [Value] {
    let definition = try #require(OperatorTable.find(name, domain: machineLearningDomain))
    let node = Node(
      name, inputs: ["x"], outputs: (0..<outputs).map { "y\($0)" }, attributes: attributes,
      domain: machineLearningDomain)
    try definition.verify(node)
    return try definition.evaluate(node, inputs: [.tensor(x)])
  }

  /// Feature 1 at most 0.1 gives 0.25, else 0.75.
  private func stump(_ changes: [String: Attribute] = [:]) -> [String: Attribute] {
    OperatorDefinition.stump(leaves: "target").merging(changes) { $1 }
  }

  private func regressed(_ attributes: [String: Attribute]) throws -> [Float] {
    let x = try Tensor([Float(9), 0.1, 9, 0.2, 9, .nan], shape: Shape([3, 2]))
    return try evaluate("TreeEnsembleRegressor", x, attributes)[0].tensor()
      .elements(as: Float.self)
  }

  @Test func walksToTheLeaves() throws {
    #expect(try regressed(stump()) == [0.25, 0.75, 0.75])
    #expect(
      try regressed(stump(["nodes_missing_value_tracks_true": .ints([1, 0, 0])]))
        == [0.25, 0.75, 0.25])
    #expect(
      try regressed(stump(["nodes_modes": .strings(["BRANCH_NEQ", "LEAF", "LEAF"])]))[2] == 0.25)
    #expect(try regressed(stump(["base_values": .floats([1])])) == [1.25, 1.75, 1.75])
  }

  @Test(arguments: [
    ("a cycle", ["nodes_truenodeids": Attribute.ints([0, 0, 0])]),
    ("a missing child", ["nodes_truenodeids": .ints([7, 0, 0])]),
    ("a node twice", ["nodes_nodeids": .ints([0, 1, 1])]),
    ("a missing leaf", ["target_nodeids": .ints([1, 9])]),
    ("a score too many", ["target_ids": .ints([0, 1])]),
    ("a negative feature", ["nodes_featureids": .ints([-1, 0, 0])]),
    ("a short list", ["nodes_values": .floats([0.1])]),
    ("no nodes", ["nodes_treeids": .ints([])]),
  ])
  func refusesBrokenTrees(_ name: String, _ changes: [String: Attribute]) throws {
    #expect(status { _ = try regressed(stump(changes)) } == .formatError, "\(name)")
  }

  @Test func refusesFeaturesBeyondTheInput() throws {
    #expect(
      status { _ = try regressed(stump(["nodes_featureids": .ints([2, 0, 0])])) } == .shapeMismatch)
  }

  @Test func namesTheClasses() throws {
    let x = try Tensor([Float(9), 0.1, 9, 0.2], shape: Shape([2, 2]))
    let attributes = OperatorDefinition.stump(leaves: "class").merging([
      "classlabels_strings": .strings(["no", "yes"])
    ]) { $1 }
    let result = try evaluate("TreeEnsembleClassifier", x, attributes, outputs: 2)
    #expect(try result[0].tensor().elements(as: String.self) == ["no", "yes"])
    #expect(try result[1].tensor().elements(as: Float.self) == [0.75, 0.25, 0.25, 0.75])
  }

  @Test func zipsScoresWithLabels() throws {
    let result = try evaluate(
      "ZipMap", iota(2, 2), ["classlabels_int64s": .ints([5, 7])])
    guard case .sequence(let maps) = result[0], maps.count == 2,
      case .map(let keys, let values) = maps[1]
    else {
      Issue.record("expected a sequence of two maps")
      return
    }
    #expect(try keys.elements(as: Int64.self) == [5, 7])
    #expect(try values.elements(as: Float.self) == [2, 3])
  }

  @Test func encodesLabels() throws {
    let x = try Tensor(["b", "?", "a"])
    let result = try evaluate(
      "LabelEncoder", x,
      [
        "keys_strings": .strings(["a", "b", "a"]), "values_int64s": .ints([1, 2, 3]),
        "default_int64": .int(-5),
      ])
    #expect(try result[0].tensor().elements(as: Int64.self) == [2, -5, 1])
  }

  @Test func decidesBetweenPairsOfClasses() throws {
    let x = try Tensor([Float(1), 2], shape: Shape([1, 2]))
    // Kernels are 1 and 2; the decision is 3·1 - 2·2 + 0.5.
    let attributes: [String: Attribute] = [
      "classlabels_strings": .strings(["no", "yes"]), "coefficients": .floats([3, -2]),
      "rho": .floats([0.5]), "support_vectors": .floats([1, 0, 0, 1]),
      "vectors_per_class": .ints([1, 1]),
    ]
    let plain = try evaluate("SVMClassifier", x, attributes, outputs: 2)
    #expect(try plain[0].tensor().elements(as: String.self) == ["yes"])
    #expect(try plain[1].tensor().elements(as: Float.self) == [0.5, -0.5])
    let likely = try evaluate(
      "SVMClassifier", x,
      attributes.merging(["prob_a": .floats([-1]), "prob_b": .floats([0])]) { $1 }, outputs: 2)
    let odds = try likely[1].tensor().elements(as: Float.self)
    // 1 / (1 + √e), as far as the iteration goes, which ends at 0.0025.
    #expect(abs(odds[0] - 0.37754) < 0.005 && abs(odds[0] + odds[1] - 1) < 1e-6)
    for (name, value) in [
      ("rho", Attribute.floats([])), ("coefficients", .floats([1])),
      ("vectors_per_class", .ints([1, 2])), ("vectors_per_class", .ints([-1, 3])),
      ("prob_a", .floats([1])), ("support_vectors", .floats([1])),
      ("kernel_params", .floats([1])), ("kernel_type", .string("COSINE")),
    ] {
      let broken = attributes.merging([name: value]) { $1 }
      #expect(
        status { _ = try evaluate("SVMClassifier", x, broken, outputs: 2) } != nil, "\(name)")
    }
  }

  @Test func regressesOverSupportVectors() throws {
    let x = try Tensor([Int64(1), 2], shape: Shape([1, 2]))
    var attributes: [String: Attribute] = [
      "coefficients": .floats([1, -0.5]), "kernel_params": .floats([2, 1, 2]),
      "kernel_type": .string("POLY"), "n_supports": .int(2), "rho": .floats([0.25]),
      "support_vectors": .floats([1, 0, 0, 1]),
    ]
    // (2·1 + 1)² - (2·2 + 1)² / 2 + 0.25
    #expect(
      try evaluate("SVMRegressor", x, attributes)[0].tensor().elements(as: Float.self) == [-3.25])
    attributes["one_class"] = .int(1)
    #expect(
      try evaluate("SVMRegressor", x, attributes)[0].tensor().elements(as: Float.self) == [-1])
  }

  private func mapped(
    _ name: String, _ value: Value, _ attributes: [String: Attribute]
  ) throws -> Tensor {
    let definition = try #require(OperatorTable.find(name, domain: machineLearningDomain))
    let node = Node(
      name, inputs: ["x"], outputs: ["y"], attributes: attributes, domain: machineLearningDomain)
    return try definition.evaluate(node, inputs: [value])[0].tensor()
  }

  @Test func makesTensorsOfMaps() throws {
    let map = try Value(keys: Tensor([Int64(3), 1]), values: Tensor([Float(1.5), -2.5]))
    #expect(
      try mapped("CastMap", map, ["cast_to": .string("TO_INT64")]).elements(as: Int64.self)
        == [-2, 1])
    #expect(
      try mapped("CastMap", map, ["map_form": .string("SPARSE"), "max_map": .int(4)])
        .elements(as: Float.self) == [0, -2.5, 0, 1.5])
    #expect(
      status {
        _ = try mapped("CastMap", map, ["map_form": .string("SPARSE"), "max_map": .int(3)])
      } == .invalidArgument)
    let vocabulary: [String: Attribute] = ["int64_vocabulary": .ints([1, 2])]
    let rows = try mapped("DictVectorizer", .sequence([map, map]), vocabulary)
    #expect(rows.shape.dims == [2, 2])
    #expect(try rows.elements(as: Float.self) == [-2.5, 0, -2.5, 0])
    #expect(
      status { _ = try Value(keys: Tensor([Int64(1), 1]), values: Tensor([Float(1), 2])) }
        == .invalidArgument)
  }

  /// Trees of random form, thresholds among the values that features take.
  private func forest(_ random: inout SystemRandomNumberGenerator) -> [String: Attribute] {
    var (trees, ids, features, yes, no): ([Int64], [Int64], [Int64], [Int64], [Int64])
    (trees, ids, features, yes, no) = ([], [], [], [], [])
    var (values, weights): ([Float], [Float]) = ([], [])
    var (modes, tracks): ([String], [Int64]) = ([], [])
    var (leafTrees, leafIDs, targets): ([Int64], [Int64], [Int64]) = ([], [], [])
    for tree in 0..<20 {
      let branches = Int64.random(in: 0..<40, using: &random)
      for node in 0..<2 * branches + 1 {
        let isBranch = node < branches
        trees.append(Int64(tree))
        ids.append(node)
        features.append(.random(in: 0..<3, using: &random))
        values.append(Float(Int.random(in: -2...2, using: &random)))
        modes.append(
          isBranch
            ? ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"].randomElement() ?? "" : "LEAF")
        tracks.append(.random(in: 0...1, using: &random))
        yes.append(isBranch ? 2 * node + 1 : 0)
        no.append(isBranch ? 2 * node + 2 : 0)
        if !isBranch {
          for target in 0..<Int64(2) where Bool.random(using: &random) {
            leafTrees.append(Int64(tree))
            leafIDs.append(node)
            targets.append(target)
            weights.append(Float.random(in: -1...1, using: &random))
          }
        }
      }
    }
    return [
      "nodes_treeids": .ints(trees), "nodes_nodeids": .ints(ids),
      "nodes_featureids": .ints(features), "nodes_values": .floats(values),
      "nodes_modes": .strings(modes), "nodes_missing_value_tracks_true": .ints(tracks),
      "nodes_truenodeids": .ints(yes), "nodes_falsenodeids": .ints(no),
      "target_treeids": .ints(leafTrees), "target_nodeids": .ints(leafIDs),
      "target_ids": .ints(targets), "target_weights": .floats(weights), "n_targets": .int(2),
    ]
  }

  @Test(arguments: [1, 15, 16, 300]) func blocksWalkAsTheReferenceDoes(_ rows: Int) throws {
    var random = SystemRandomNumberGenerator()
    let definition = try #require(
      OperatorTable.find("TreeEnsembleRegressor", domain: machineLearningDomain))
    let choices: [Float] = [-2, -1, -0.5, 0, 0.5, 1, 2, .nan, .infinity, -.infinity]
    for _ in 0..<20 {
      let node = Node(
        "TreeEnsembleRegressor", inputs: ["x"], outputs: ["y"], attributes: forest(&random),
        domain: machineLearningDomain)
      let x = (0..<rows * 3).map { _ in choices.randomElement() ?? 0 }
      let input = Value.tensor(try Tensor(x, shape: Shape([rows, 3])))
      let fast = try definition.evaluate(node, inputs: [input], kernel: "blocks")[0].tensor()
      let plain = try definition.evaluate(node, inputs: [input], kernel: "reference")[0].tensor()
      #expect(fast.difference(from: plain) == nil)
    }
  }
}
