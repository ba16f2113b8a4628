import Base
import Glibc
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Operators

/// Losses and optimisers by hand; the backend suite has the rest.
struct LossTests {
  private func run(
    _ name: String, _ inputs: [Tensor], _ attributes: [String: Attribute] = [:],
    domain: String = "", outputs: Int = 1
  ) throws -> [Tensor] {
    let definition = try #require(OperatorTable.find(name, domain: domain))
    let node = Node(
      name, inputs: inputs.indices.map { "x\($0)" }, outputs: (0..<outputs).map { "y\($0)" },
      attributes: attributes, domain: domain)
    try definition.verify(node)
    return try definition.evaluate(node, inputs: inputs.map { .tensor($0) }).map {
      try $0.tensor()
    }
  }

  private let scores: Tensor
  private let classes: Tensor

  init() throws {
    scores = try Tensor([Float(-1), -2, -3, -4], shape: Shape([2, 2]))
    classes = try Tensor([Int64(1), 0])
  }

  @Test func addsTheScoresOfTheClasses() throws {
    let name = "NegativeLogLikelihoodLoss"
    #expect(try run(name, [scores, classes])[0].elements(as: Float.self) == [2.5])
    let weights = try Tensor([Float(1), 3])
    let weighted = try run(name, [scores, classes, weights])[0]
    #expect(try weighted.elements(as: Float.self) == [(3 * 2 + 3) / 4])
    let ignoring = try run(name, [scores, classes], ["ignore_index": .int(1)])[0]
    #expect(try ignoring.elements(as: Float.self) == [3])
  }

  @Test func ignoredClassesNeedNotExist() throws {
    let classes = try Tensor([Int64(-100), 0])
    let name = "SoftmaxCrossEntropyLoss"
    let found = try run(
      name, [scores, classes], ["ignore_index": .int(-100), "reduction": .string("none")])[0]
    let expected = log(1 + exp(Float(-1)))
    #expect(found.difference(from: try Tensor([0, expected])) == nil)
  }

  @Test(arguments: [[Int64(2), 0], [-1, 0], [.max, 0]])
  func rejectsClassesOutOfRange(_ classes: [Int64]) throws {
    let error = failure {
      _ = try run("NegativeLogLikelihoodLoss", [scores, try Tensor(classes)])
    }
    #expect(error?.message.contains("class \(classes[0]) is outside [0, 2)") == true)
  }

  @Test func rejectsTargetsOfAnotherShape() throws {
    let error = failure {
      _ = try run("SoftmaxCrossEntropyLoss", [scores, try Tensor([Int64(0)])])
    }
    #expect(error?.status == .shapeMismatch)
  }

  @Test func momentumGoesDownhill() throws {
    let scalar = { (value: Double) in try Tensor(scalar: value) }
    let (x, gradient, velocity) = (
      try Tensor([1.0]), try Tensor([0.5]), try Tensor([0.25])
    )
    let settings: [String: Attribute] = [
      "alpha": .float(0.5), "beta": .float(2), "mode": .string("standard"),
      "norm_coefficient": .float(0),
    ]
    let found = try run(
      "Momentum", [try scalar(0.1), try Tensor(scalar: Int64(1)), x, gradient, velocity], settings,
      domain: "ai.onnx.preview.training", outputs: 2)
    #expect(try found[1].elements(as: Double.self) == [0.5 * 0.25 + 2 * 0.5])
    #expect(try found[0].elements(as: Double.self) == [1 - 0.1 * 1.125])
  }

  @Test func optimisersNeedEveryState() throws {
    let inputs = [
      try Tensor(scalar: Float(1)), try Tensor(scalar: Int64(0)), try Tensor([Float(1)]),
      try Tensor([Float(1)]),
    ]
    let error = failure {
      _ = try run("Adam", inputs, domain: "ai.onnx.preview.training")
    }
    #expect(error?.message.contains("2 tensors, expected a multiple of 4") == true)
  }
}
