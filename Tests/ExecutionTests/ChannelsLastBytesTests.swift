import Base
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Execution

/// Quantised convolution nets, whose bytes are turned to have their channels last.
extension QuantizedFusionTests {
  private static func convolution(
    _ g: GraphBuilder, _ x: Edge, _ dims: [Int], _ attributes: [String: Attribute] = [:]
  ) throws -> Edge {
    let terms = dims.dropFirst().reduce(1, *)
    let scale = 0.04 / Float(terms).squareRoot()
    let w = try weights(
      g, dims, axis: 0, scales: (0..<dims[0]).map { scale * (1 + Float($0 % 3) / 4) })
    let bias = (0..<dims[0]).map { Float($0 % 5) / 10 - 0.2 }
    let name = "b\(g.graph.initializers.count)"
    var attributes = attributes
    if dims[2] > 1 { attributes["pads"] = .ints([1, 1, 1, 1]) }
    return g.add("Conv", [x, w, g.constant(name, try Tensor(bias))], attributes)
  }

  /// An inverted bottleneck with squeeze and excitation, a residual sum, pooling.
  @Test(arguments: [1, 2]) func runsNetsOnBytesWithChannelsLast(batch: Int) throws {
    func rounded(_ g: GraphBuilder, _ x: Edge, _ scale: Float, _ zero: UInt8 = 128) throws -> Edge {
      try Self.rounded(g, x, scale, zero)
    }
    let g = GraphBuilder("net")
    let x = try rounded(
      g, g.input("x", .float32, [.fixed(batch), .fixed(3), .fixed(30), .fixed(26)]), 0.02)
    var stem = try rounded(
      g, Self.convolution(g, x, [40, 3, 3, 3], ["strides": .ints([2, 2])]), 0.04)
    stem = try rounded(
      g, g.add("Mul", [stem, rounded(g, g.add("Sigmoid", [stem]), 1 / 255, 0)]), 0.02)
    let deep = try rounded(
      g,
      g.add(
        "HardSwish",
        [
          rounded(g, Self.convolution(g, stem, [40, 1, 3, 3], ["group": .int(40)]), 0.03)
        ]), 0.02)
    let pooled = try rounded(g, g.add("GlobalAveragePool", [deep]), 0.02)
    let squeezed = try rounded(
      g, g.add("Relu", [Self.convolution(g, pooled, [6, 40, 1, 1])]), 0.01, 0)
    let gate = try rounded(
      g, g.add("HardSigmoid", [rounded(g, Self.convolution(g, squeezed, [40, 6, 1, 1]), 0.02)]),
      1 / 255, 0)
    let excited = try rounded(g, g.add("Mul", [deep, gate]), 0.02)
    let projected = try rounded(g, Self.convolution(g, excited, [40, 40, 1, 1]), 0.02)
    let sum = try rounded(
      g, g.add("Relu", [rounded(g, projected + stem, 0.03)]), 0.02, 0)
    let wide = try rounded(
      g, g.add("Relu", [Self.convolution(g, sum, [48, 40, 3, 3])]), 0.02, 0)
    let largest = try rounded(
      g, g.add("MaxPool", [wide], ["kernel_shape": .ints([3, 3]), "pads": .ints([1, 1, 1, 1])]),
      0.02, 0)
    let last = try rounded(g, Self.convolution(g, largest, [16, 48, 1, 1]), 0.02)
    let mean = try rounded(g, g.add("GlobalAveragePool", [last]), 0.01)
    g.output(try rounded(g, g.add("Flatten", [mean]), 0.01), "y")

    var numbers = SeededNumbers(5)
    let input = try numbers.tensor(.float32, [batch, 3, 30, 26], low: -2)
    // Two steps of the result: sums in float32 may fall on the other side of a half.
    let operators = try expectSameAtAllLevels(g.graph, ["x": input], tolerance: 0.02)
    #expect(operators.filter { $0 == "ChannelsLastQLinearConv" }.count == 7, "\(operators)")
    #expect(operators.filter { $0 == "Transpose" }.count == 2, "\(operators)")
    #expect(operators.filter { $0 == "ChannelsLastBytePool" }.count == 1)
    #expect(operators.filter { $0 == "QLinearMul" }.count == 1, "x * sigmoid(x) is a table")
    #expect(operators.filter { $0 == "ByteTable" }.count == 1, "others belong to convolutions")
    #expect(operators.filter { $0 == "DequantizeLinear" }.count == 1, "only the result")
  }
}
