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
    var values: [String: Tensor] = [:]
    for (name, tensor) in zip(node.inputs, try test.sample.tensors()) { values[name] = tensor }
    let y = try #require(try run([node], values)["y0"])
    var random = SeededNumbers(9)
    values["weight"] = try random.tensor(.float32, y.shape.dims)
    let nodes = [
      node, Node("Mul", inputs: ["y0", "weight"], outputs: ["weighted"]),
      Node(
        "ReduceSum", inputs: ["weighted"], outputs: ["loss"], attributes: ["keepdims": .int(0)]),
    ]
    let variables = node.inputs.filter { values[$0]?.elementType == .float32 }
    #expect(variables.count >= 2)
    for variable in variables {
      let builder = GraphBuilder("g")
      let edge = try Differentiation(nodes, into: builder)
        .gradients(of: "loss", with: [variable])[0]
      let gradient = try #require(edge)
      var all = values
      for constant in builder.graph.initializers { all[constant.name] = constant.tensor }
      let found = try #require(try run(nodes + builder.graph.nodes, all)[gradient.name])
      let x = try #require(values[variable])
      #expect(found.shape == x.shape)
      let (place, slopes) = (try x.elements(as: Float.self), try found.elements(as: Float.self))
      for index in place.indices {
        func loss(_ step: Float) throws -> Double {
          var (moved, numbers) = (values, place)
          numbers[index] += step
          moved[variable] = try Tensor(numbers, shape: x.shape)
          return try #require(try run(nodes, moved)["loss"]?.real)
        }
        let expected = try (loss(1) - loss(-1)) / 2
        #expect(
          abs(Double(slopes[index]) - expected) <= 2e-5 * max(1, abs(try loss(0)), abs(expected)),
          "\(variable)[\(index)]: \(slopes[index]), by differences \(expected)")
      }
    }
  }

  private func run(_ nodes: [Node], _ given: [String: Tensor]) throws -> [String: Tensor] {
    var values = given
    for node in nodes {
      let definition = try #require(OperatorTable.find(node.opType, domain: node.domain))
      let results = try definition.evaluate(
        node, inputs: node.inputs.map { name in values[name].map { .tensor($0) } })
      for (name, value) in zip(node.outputs, results) where !name.isEmpty {
        values[name] = try value.tensor()
      }
    }
    return values
  }
}
