import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Execution

/// Steps of training of convolution nets whose images are turned to have their channels last.
struct ChannelsLastTrainingTests {
  /// A net with its loss, and the values of its weights.
  private struct Net {
    let g = GraphBuilder("net")
    var numbers = SeededNumbers(9)
    var weights: [String: Tensor] = [:]

    mutating func weight(_ name: String, _ dims: [Int], low: Double = -0.3) throws -> Edge {
      let tensor = try numbers.tensor(.float32, dims, low: low, high: 0.3)
      weights[name] = tensor
      return g.constant(name, tensor)
    }

    mutating func convolution(
      _ name: String, _ x: Edge, _ dims: [Int], _ attributes: [String: Attribute] = [:]
    ) throws -> Edge {
      g.add(
        "Conv", [x, try weight(name + ".w", dims), try weight(name + ".b", [dims[0]])], attributes)
    }

    mutating func normalized(_ name: String, _ x: Edge, _ channels: Int) throws -> Edge {
      let mean = g.constant(name + ".mean", try numbers.floats(channels))
      let variance = g.constant(
        name + ".variance", try numbers.tensor(.float32, [channels], low: 0.5, high: 2))
      return g.add(
        "BatchNormalization",
        [
          x, try weight(name + ".scale", [channels], low: 0.1),
          try weight(name + ".bias", [channels]), mean, variance,
        ], ["training_mode": .int(1)])
    }

    func loss(_ y: Edge) { g.output(g.add("ReduceMean", [y * y], ["keepdims": .int(0)]), "loss") }

    func step() throws -> Graph {
      try TrainingFusionTests.training(g.graph, weights.keys.sorted(), isFused: true)
    }
  }

  private let frame: [String: Attribute] = ["pads": .ints([1, 1, 1, 1])]
  private let halved: [String: Attribute] = ["strides": .ints([2, 2])]
  private let square: [String: Attribute] = [
    "kernel_shape": .ints([2, 2]), "strides": .ints([2, 2]),
  ]

  /// Residual blocks with batch normalisation, strides and both kinds of pooling.
  private func residualNet() throws -> Net {
    var net = Net()
    let g = net.g
    let x = g.input("x", .float32, [.named("batch"), .fixed(3), .fixed(16), .fixed(18)])
    let stem = g.add(
      "Relu", [try net.normalized("bn1", net.convolution("c1", x, [36, 3, 3, 3], frame), 36)])
    let pooled = g.add("MaxPool", [stem], square)
    let inner = g.add(
      "Relu", [try net.normalized("bn2", net.convolution("c2", pooled, [36, 36, 3, 3], frame), 36)])
    let sum = g.add("Relu", [try net.convolution("c3", inner, [36, 36, 3, 3], frame) + pooled])
    let wide = frame.merging(halved) { $1 }
    let far = try net.convolution("c4", sum, [20, 36, 3, 3], wide)
    let short = try net.convolution("c5", sum, [20, 36, 1, 1], halved)
    let joined = g.add("Relu", [far + short])
    let overlapping: [String: Attribute] = [
      "kernel_shape": .ints([3, 3]), "pads": .ints([1, 1, 1, 1]),
    ]
    let both = g.add("MaxPool", [joined], overlapping) + g.add("AveragePool", [joined], overlapping)
    net.loss(g.add("Flatten", [g.add("GlobalAveragePool", [both])]))
    return net
  }

  @Test func hasTheSameGradients() throws {
    var net = try residualNet()
    let graph = try net.step()
    for batch in [1, 7] {
      var inputs = net.weights
      inputs["x"] = try net.numbers.tensor(.float32, [batch, 3, 16, 18], low: -1)
      let operators = try expectSameAtAllLevels(graph, inputs, tolerance: 1e-4)
      func count(_ name: String) -> Int { operators.count { $0 == name } }
      #expect(count("ChannelsLastConv") == 5 && count("ChannelsLastConvWeightGradient") == 5)
      #expect(count("ChannelsLastConvInputGradient") == 4)
      #expect(count("ChannelsLastPoolGradient") == 3)
      #expect(count("Transpose") <= 4, "\(operators)")
      #expect(!operators.contains("Conv") && !operators.contains("MaxPoolGradient"))
    }
  }

  @Test func bitsDoNotDependOnThreads() throws {
    var net = try residualNet()
    let graph = try net.step()
    var inputs = net.weights
    inputs["x"] = try net.numbers.tensor(.float32, [9, 3, 16, 18], low: -1)
    let results = try (1...3).map { threads in
      try session(graph, threads: threads).run(tensors: inputs)
        .map { try $0.tensor().elements(as: Float.self) }
    }
    #expect(results[1] == results[0] && results[2] == results[0])
  }

  /// Pooling behind a Relu goes back through both at once; a net of two layers pays already.
  @Test func goesBackThroughPoolAndRelu() throws {
    var net = Net()
    let g = net.g
    let x = g.input("x", .float32, [.named("batch"), .fixed(1), .fixed(12), .fixed(12)])
    var image = x
    for (index, dims) in [[8, 1, 3, 3], [16, 8, 3, 3]].enumerated() {
      image = g.add("Relu", [try net.convolution("c\(index)", image, dims, frame)])
      image = g.add("MaxPool", [image], square)
    }
    net.loss(g.add("Flatten", [image]))
    let graph = try net.step()
    var inputs = net.weights
    inputs["x"] = try net.numbers.tensor(.float32, [5, 1, 12, 12], low: -1)
    let operators = try expectSameAtAllLevels(graph, inputs, tolerance: 2e-5)
    #expect(operators.count { $0 == "ChannelsLastPoolGradient" } == 2)
    #expect(!operators.contains("ActivationGradient") && !operators.contains("Relu"))
  }

  /// Grouped convolutions with weights that change stay as they are, and so does what is around them.
  @Test func leavesDepthwiseNetsAlone() throws {
    var net = Net()
    let g = net.g
    var image = g.input("x", .float32, [.fixed(2), .fixed(6), .fixed(8), .fixed(8)])
    for index in 0..<3 {
      let depthwise = frame.merging(["group": .int(6)]) { $1 }
      image = try net.convolution("d\(index)", image, [6, 1, 3, 3], depthwise)
      image = g.add("Relu", [try net.convolution("p\(index)", image, [6, 6, 1, 1])])
    }
    net.loss(image)
    var inputs = net.weights
    inputs["x"] = try net.numbers.tensor(.float32, [2, 6, 8, 8], low: -1)
    let operators = try expectSameAtAllLevels(net.step(), inputs, tolerance: 2e-5)
    #expect(!operators.contains("ChannelsLastConv"))
  }
}
