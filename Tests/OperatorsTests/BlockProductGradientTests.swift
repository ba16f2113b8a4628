import Base
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Operators

/// Gradients of products with weights of few bits, which do not take float64: their samples, whose
/// results are linear in each input, against differences over a wide step.
@Suite struct BlockProductGradientTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let definition: OperatorDefinition
    let sample: Sample
    var testDescription: String { "\(definition.title) \(sample.attributes)" }
  }

  static let cases = [OperatorDefinition.matMulNBits, .matMulBnb4].flatMap { definition in
    definition.samples.map { Case(definition: definition, sample: $0) }
  }

  @Test(arguments: cases) func agreesWithDifferences(_ test: Case) throws {
    let node = test.sample.node(test.definition)
    var values: [String: Value] = [:]
    for (name, tensor) in zip(node.inputs, try test.sample.tensors()) {
      values[name] = tensor.map { .tensor($0) }
    }
    let y = try #require(try run([node], values)["y0"]?.tensor())
    var random = SeededNumbers(9)
    values["weight"] = .tensor(try random.tensor(.float32, y.shape.dims))
    let nodes = [
      node, Node("Mul", inputs: ["y0", "weight"], outputs: ["weighted"]),
      Node(
        "ReduceSum", inputs: ["weighted"], outputs: ["loss"], attributes: ["keepdims": .int(0)]),
    ]
    let variables = try node.inputs.filter { try values[$0]?.tensor().elementType == .float32 }
    #expect(variables.count >= 2)
    for variable in variables {
      let builder = GraphBuilder("g")
      let edge = try Differentiation(nodes, into: builder)
        .gradients(of: "loss", with: [variable])[0]
      let gradient = try #require(edge)
      var all = values
      for constant in builder.graph.initializers { all[constant.name] = .tensor(constant.tensor) }
      let found = try #require(try run(nodes + builder.graph.nodes, all)[gradient.name]?.tensor())
      let x = try #require(try values[variable]?.tensor())
      #expect(found.shape == x.shape)
      let (place, slopes) = (try x.elements(as: Float.self), try found.elements(as: Float.self))
      for index in place.indices {
        func loss(_ step: Float) throws -> Double {
          var (moved, numbers) = (values, place)
          numbers[index] += step
          moved[variable] = .tensor(try Tensor(numbers, shape: x.shape))
          return try #require(try run(nodes, moved)["loss"]?.tensor().real)
        }
        let expected = try (loss(1) - loss(-1)) / 2
        #expect(
          abs(Double(slopes[index]) - expected) <= 2e-5 * max(1, abs(try loss(0)), abs(expected)),
          "\(variable)[\(index)]: \(slopes[index]), by differences \(expected)")
      }
    }
  }
}
