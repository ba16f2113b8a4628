import Base
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Execution

/// Convolution nets whose images are turned to have their channels last.
struct ChannelsLastTests {
  /// A net of 3 x 3, 1 x 1 and depthwise convolutions with the blocks that published ones have.
  private struct Net {
    let g = GraphBuilder("net")
    var numbers = SeededNumbers(5)

    mutating func convolution(
      _ x: Edge, _ weight: [Int], _ attributes: [String: Attribute] = [:]
    ) throws -> Edge {
      let scale = 1 / Double(weight.dropFirst().reduce(1, *)).squareRoot()
      let w = g.constant(try numbers.tensor(.float32, weight, low: -scale, high: scale))
      return g.add(
        "Conv", [x, w, g.constant(try numbers.tensor(.float32, [weight[0]], low: -1))], attributes)
    }

    func swish(_ x: Edge) -> Edge { g.add("Mul", [x, g.add("Sigmoid", [x])]) }
  }

  private let frame: [String: Attribute] = ["pads": .ints([1, 1, 1, 1])]

  /// An inverted bottleneck with squeeze and excitation, a residual sum, pooling, a join.
  @Test func runsTheSameWithChannelsLast() throws {
    var net = Net()
    let g = net.g
    let x = g.input("x", .float32, [.named("batch"), .fixed(3), .fixed(30), .fixed(26)])
    let stem = net.swish(
      try net.convolution(x, [40, 3, 3, 3], frame.merging(["strides": .ints([2, 2])]) { $1 }))
    let deep = g.add(
      "HardSwish",
      [try net.convolution(stem, [40, 1, 3, 3], frame.merging(["group": .int(40)]) { $1 })])
    let pooled = g.add("GlobalAveragePool", [deep])
    let squeezed = g.add("Relu", [try net.convolution(pooled, [8, 40, 1, 1])])
    let gate = g.add("HardSigmoid", [try net.convolution(squeezed, [40, 8, 1, 1])])
    let excited = try net.convolution(g.add("Mul", [deep, gate]), [40, 40, 1, 1])
    let sum = g.add("Relu", [g.add("Add", [excited, stem])])
    let wide = try net.convolution(sum, [48, 40, 3, 3], frame)
    let low = g.constant(try Tensor(scalar: Float(0))),
      high = g.constant(try Tensor(scalar: Float(6)))
    let clipped = g.add("Clip", [wide, low, high])
    let joined = g.add("Concat", [clipped, sum], ["axis": .int(1)])
    let window: [String: Attribute] = [
      "kernel_shape": .ints([3, 3]), "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1]),
    ]
    let largest = g.add("MaxPool", [joined], window)
    let mean = g.add("AveragePool", [joined], window)
    let scale = g.constant(try net.numbers.tensor(.float32, [88, 1, 1], low: -1))
    let last = try net.convolution(
      g.add("Mul", [g.add("Add", [largest, mean]), scale]), [16, 88, 1, 1])
    g.output(g.add("Flatten", [g.add("GlobalAveragePool", [last])]), "y")

    for batch in [1, 3] {
      let input = try net.numbers.tensor(.float32, [batch, 3, 30, 26], low: -1)
      let operators = try expectSameAtAllLevels(g.graph, ["x": input], tolerance: 2e-5)
      #expect(operators.filter { $0 == "ChannelsLastConv" }.count == 7)
      #expect(operators.filter { $0 == "Transpose" }.count == 2)
      #expect(operators.filter { $0 == "ChannelsLastPool" }.count == 2)
      #expect(!operators.contains("Swish") && !operators.contains("Clip"))
      #expect(operators.filter { $0 == "Add" }.count == 1)
      // The excited image is multiplied inside the convolution that reads it.
      #expect(operators.filter { $0 == "Mul" }.count == 1)
    }
  }

  /// A value that something else needs as it was is turned back once, also for a subgraph or a result.
  @Test func turnsBackWhatIsReadElsewhere() throws {
    var net = Net()
    let g = net.g
    let x = g.input("x", .float32, [.fixed(1), .fixed(4), .fixed(9), .fixed(9)])
    var images: [Edge] = [x]
    for _ in 0..<9 { images.append(try net.convolution(images[images.count - 1], [4, 4, 1, 1])) }
    g.output(images[9], "y")
    g.output(g.add("Softmax", [images[5]], ["axis": .int(1)]), "softmax")
    g.output(g.add("ReduceMax", [images[5], try g.ints("axes", [1])]), "largest")
    let input = try net.numbers.tensor(.float32, [1, 4, 9, 9], low: -1)
    let operators = try expectSameAtAllLevels(g.graph, ["x": input], tolerance: 1e-5)
    #expect(operators.filter { $0 == "Transpose" }.count == 3)
  }

  /// Images that are rounded to half precision and back between convolutions stay turned. Their
  /// sums are exact, whatever their order. A half that something else reads is turned
  /// back.
  @Test(arguments: [ElementType.bfloat16, .float16])
  func roundsImagesAsTheyLie(_ half: ElementType) throws {
    let g = GraphBuilder("net")
    var numbers = SeededNumbers(8)
    func whole(_ dims: [Int], half: Bool = false) throws -> Tensor {
      let count = dims.reduce(1, *)
      let values = try numbers.tensor(.float32, [count], low: -3, high: 3).elements(as: Float.self)
      return try Tensor(values.map { $0.rounded() * (half ? 0.125 : 1) }, shape: Shape(dims))
    }
    func cast(_ x: Edge, _ type: ElementType) -> Edge {
      g.add("Cast", [x], ["to": .int(Int64(type.rawValue))])
    }
    var y = g.input("x", .float32, [.fixed(1), .fixed(6), .fixed(5), .fixed(7)])
    var halves: [Edge] = []
    for _ in 0..<12 {
      halves.append(cast(y, half))
      let weight = g.constant(try whole([6, 6, 1, 1], half: true))
      y = g.add("Relu", [g.add("Conv", [cast(halves[halves.count - 1], .float32), weight])])
    }
    g.output(y, "y")
    let input = try whole([1, 6, 5, 7])
    let alone = try expectSameAtAllLevels(g.graph, ["x": input], tolerance: 0)
    #expect(alone.filter { $0 == "ChannelsLastConv" }.count == 12)
    #expect(alone.filter { $0 == "Transpose" }.count == 2)
    g.output(halves[2], "half")
    let read = try expectSameAtAllLevels(g.graph, ["x": input], tolerance: 0)
    #expect(read.filter { $0 == "Transpose" }.count == 4)
  }

  /// A sum of images of unequal extents, which broadcasts.
  @Test func broadcastsAResidual() throws {
    var net = Net()
    let g = net.g
    let x = g.input("x", .float32, [.fixed(2), .fixed(6), .fixed(8), .fixed(8)])
    var image = x
    for _ in 0..<7 { image = try net.convolution(image, [6, 6, 1, 1]) }
    let pooled = g.add("GlobalAveragePool", [image])
    let vector = try net.convolution(pooled, [6, 6, 1, 1])
    g.output(g.add("Relu", [g.add("Add", [image, vector])]), "y")
    let input = try net.numbers.tensor(.float32, [2, 6, 8, 8], low: -1)
    _ = try expectSameAtAllLevels(g.graph, ["x": input], tolerance: 1e-5)
  }

  /// A product of an image with what only looks like factors of its channels stays a product.
  @Test func multipliesImagesByWhatIsNoGate() throws {
    var net = Net()
    let g = net.g
    let x = g.input("x", .float32, [.named("batch"), .fixed(6), .fixed(7), .fixed(5)])
    var image = x
    for _ in 0..<4 { image = try net.convolution(image, [6, 6, 1, 1]) }
    let other = try net.convolution(image, [6, 6, 1, 1])
    let mean = g.add(
      "Sigmoid", [try net.convolution(g.add("GlobalAveragePool", [other]), [6, 6, 1, 1])])
    let narrow = g.add(
      "Sigmoid", [try net.convolution(g.add("GlobalAveragePool", [image]), [1, 6, 1, 1])])
    let products = try [g.add("Mul", [image, other]), g.add("Mul", [image, mean])].map {
      try net.convolution($0, [4, 6, 1, 1])
    }
    let last = try net.convolution(g.add("Mul", [narrow, image]), [4, 6, 1, 1])
    g.output(g.add("Sum", [products[0], products[1], last]), "y")
    let input = try net.numbers.tensor(.float32, [2, 6, 7, 5], low: -1)
    let operators = try expectSameAtAllLevels(g.graph, ["x": input], tolerance: 1e-5)
    #expect(operators.filter { $0 == "Mul" }.count == 3)
  }

  /// Few convolutions are not worth the turns.
  @Test func leavesSmallNetsAlone() throws {
    var net = Net()
    let x = net.g.input("x", .float32, [.fixed(1), .fixed(4), .fixed(9), .fixed(9)])
    let y = try net.convolution(try net.convolution(x, [4, 4, 3, 3]), [4, 4, 3, 3])
    net.g.output(y, "y")
    let input = try net.numbers.tensor(.float32, [1, 4, 9, 9], low: -1)
    let operators = try expectSameAtAllLevels(net.g.graph, ["x": input], tolerance: 1e-5)
    #expect(!operators.contains("ChannelsLastConv"))
  }
}
