import Base
import Graphs
import Tensors
import Testing

@testable import Operators

/// Shapes that are easily forgotten: scalars, and extents whose product only a zero makes small, for
/// which nothing is walked or allocated.
struct DegenerateShapeTests {
  private func time(
    _ name: String, domain: String = "", _ dims: [Int], _ more: [Tensor] = [],
    _ attributes: [String: Attribute] = [:]
  ) throws -> Duration {
    let definition = try #require(OperatorTable.find(name, domain: domain))
    let inputs = [try Tensor(zeros: .float32, Shape(dims))] + more
    let node = Node(
      name, inputs: inputs.indices.map { "x\($0)" }, outputs: ["y"], attributes: attributes,
      domain: domain)
    return ContinuousClock().measure {
      // Refusing such an extent is as good as an empty result.
      _ = try? definition.evaluate(node, inputs: inputs.map { .tensor($0) })
    }
  }

  @Test func scalarsHaveAnExtreme() throws {
    let one = try Tensor(scalar: Float(3))
    for keepDims in [0, 1] as [Int64] {
      let found = try evaluate("ArgMax", [one], ["axis": .int(-1), "keepdims": .int(keepDims)])
      #expect(try found[0].tensor().shape == .scalar)
      #expect(try found[0].tensor().elements(as: Int64.self) == [0])
    }
  }

  @Test func rangesMayLieFarBehindTheirLimit() throws {
    let (start, limit, step) = (Float(3.4e38), Float(5), Float(1))
    let found = try evaluate(
      "Range", [Tensor(scalar: start), Tensor(scalar: limit), Tensor(scalar: step)])
    #expect(try found[0].tensor().count == 0)
  }

  @Test func takesNoTime() throws {
    #expect(try time("CumProd", [1 << 40, 0, 4], [ints(1)]) < .seconds(2))
    #expect(try time("CumSum", [1 << 40, 0, 4], [ints(1)]) < .seconds(2))
    #expect(
      try time("MeanVarianceNormalization", [1 << 40, 4, 0], [], ["axes": .ints([-1])])
        < .seconds(2))
    #expect(try time("LpNormalization", [1 << 31, 8, 0]) < .seconds(2))
    #expect(try time("Softmax", [1 << 40, 0]) < .seconds(2))
    #expect(try time("LRN", [1 << 40, 0, 2], [], ["size": .int(3)]) < .seconds(2))
    #expect(
      try time(
        "Scaler", domain: "ai.onnx.ml", [0, 1 << 31], [],
        ["scale": .floats([2]), "offset": .floats([1])]) < .seconds(2))
  }
}
