import Base
import Graphs
import Tensors
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
}
