import Graphs
import Tensors
import TestSupport
import Testing

@testable import Operators

/// Prediction with a linear chain, against a sum over every sequence.
struct ChainTests {
  private func run(_ name: String, outputs: Int, mask: Bool = true) throws -> [Tensor] {
    let definition = try #require(OperatorTable.find(name, domain: "ai.stacklens"))
    var inputs = try ["e", "a", "s", "f"].map { try TrainingGolden.tensor("chain/\($0)") }
    if mask { inputs.append(try TrainingGolden.tensor("chain/mask")) }
    let node = Node(
      name, inputs: inputs.indices.map { "x\($0)" }, outputs: (0..<outputs).map { "y\($0)" },
      domain: "ai.stacklens")
    return try definition.evaluate(node, inputs: inputs.map { .tensor($0) }).map {
      try $0.tensor()
    }
  }

  @Test func decodesTheBestSequence() throws {
    let found = try run("CRFDecode", outputs: 2)
    let best = try TrainingGolden.tensor("chain/best")
    let top = try TrainingGolden.tensor("chain/top")
    #expect(found[0].isIdentical(to: best))
    #expect(found[1].difference(from: top) == nil)
  }

  @Test func marginalsAreThoseOfAllSequences() throws {
    let found = try run("CRFMarginals", outputs: 1)[0]
    let expected = try TrainingGolden.tensor("chain/marginals")
    #expect(found.difference(from: expected) == nil)
  }

  @Test func marginalsSumToOne() throws {
    let found = try run("CRFMarginals", outputs: 1, mask: false)[0].elements(as: Float.self)
    for place in stride(from: 0, to: found.count, by: 3) {
      #expect(abs(found[place..<place + 3].reduce(0, +) - 1) < 1e-6)
    }
  }
}
