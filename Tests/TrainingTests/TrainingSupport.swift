import Base
import Graphs
import Operators
import Tensors

@testable import Training

/// Seeded normal numbers.
func normal(_ dims: [Int], seed: UInt64, scale: Double = 1) throws -> Tensor {
  var random = RandomGenerator(seed: seed)
  let shape = try Shape(dims)
  return try Tensor((0..<shape.count).map { _ in Float(scale * random.normal()) }, shape: shape)
}

/// Labels that follow from inputs: the column (of the first `classes`) with the largest number.
func labels(of inputs: Tensor, classes: Int) throws -> Tensor {
  let width = inputs.shape.dims[1]
  let x = try inputs.elements(as: Float.self)
  return try Tensor(
    (0..<inputs.shape.dims[0]).map { row -> Int64 in
      let values = x[row * width..<row * width + classes]
      return Int64((values.firstIndex(of: values.max() ?? 0) ?? 0) - row * width)
    })
}

/// Two layers with normalisation and dropout on the way where wanted.
func perceptron(
  width: Int = 8, hidden: Int = 16, classes: Int = 3, normalizes: Bool = false, drops: Bool = false
) throws -> Model {
  let graph = GraphBuilder("perceptron")
  let x = graph.input("x", .float32, [.named("batch"), .fixed(width)])
  func parameter(_ name: String, _ dims: [Int], _ seed: UInt64) throws -> Edge {
    graph.constant(name, try normal(dims, seed: seed, scale: 0.4))
  }
  func filled(_ name: String, _ value: Float) throws -> Edge {
    graph.constant(name, try Tensor([Float](repeating: value, count: hidden)))
  }
  var h = graph.add(
    "Gemm",
    [
      x, try parameter("first.weight", [hidden, width], 1),
      try parameter("first.bias", [hidden], 2),
    ],
    ["transB": .int(1)])
  if normalizes {
    h = graph.add(
      "BatchNormalization",
      [
        h, try filled("norm.weight", 1), try filled("norm.bias", 0),
        try filled("norm.running_mean", 0), try filled("norm.running_var", 1),
      ])
  }
  h = graph.add("Relu", [h])
  if drops { h = graph.add("Dropout", [h, try graph.scalar("ratio", 0.25)]) }
  let y = graph.add(
    "Gemm",
    [
      h, try parameter("second.weight", [classes, hidden], 3),
      try parameter("second.bias", [classes], 4),
    ],
    ["transB": .int(1)])
  graph.output(y, "y", .float32, [.named("batch"), .fixed(classes)])
  return Model(graph: graph.graph)
}

func json(_ text: String) throws -> JSON { try JSON.parse(Array(text.utf8)) }

func trainer(_ model: Model, _ options: String) throws -> Trainer {
  try Trainer(model, TrainerOptions(json(options)))
}

extension Trainer {
  /// The bits of all weights.
  var bits: [UInt32] {
    let numbers = UnsafeBufferPointer(start: weights.values.values, count: weights.values.count)
    var bits = numbers.map(\.bitPattern)
    for (_, tensor) in weights.statistics {
      bits += ((try? tensor.elements(as: Float.self)) ?? []).map(\.bitPattern)
    }
    return bits
  }
}
