import Base
import Graphs
import Layers
import Tensors
import Testing

@testable import Training

/// Layers whose form in training is another one.
struct LayerTrainingTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let name: String
    let build: @Sendable (Network, Edge) throws -> Edge
    var testDescription: String { name }
  }

  private static let models = [
    Case(name: "recurrent dropout") { network, x in
      var settings = RecurrentSettings(.lstm, hiddenSize: 6)
      settings.layerCount = 2
      settings.isBidirectional = true
      settings.dropout = 0.3
      settings.dropoutMode = .variational
      settings.recurrentDropout = 0.2
      return try network.flatten("flat", network.recurrent("lstm", x, settings).h, from: 0)
    },
    Case(name: "dropout of channels") { network, x in
      let y = try network.convolution("conv", x, from: 5, to: 4, Windows([3]))
      return try network.globalPool("pool", network.dropout(y, 0.4, .channels), .average)
    },
    Case(name: "transformer") { network, x in
      var settings = TransformerSettings(heads: 2)
      settings.feedForward = 12
      settings.dropout = 0.2
      settings.positions = .rotary
      let wide = try network.linear("in", x, to: 8)
      return try network.transformerEncoder("encoder", wide, layers: 2, settings)
    },
  ]

  private func loss(_ model: Case, seed: Int) throws -> (first: Double, last: Double) {
    let network = Network(model.name)
    let x = network.input("x", .float32, [.named("batch"), .fixed(5), .fixed(7)])
    let y = try model.build(network, x)
    network.output(y, "y")
    let shape = try #require(
      try Trainer(
        network.model(), TrainerOptions(json(#"{"loss": "mse"}"#))
      ).predict(["x": try normal([3, 5, 7], seed: 1)]).first
    ).tensor().shape
    let trainer = try trainer(
      network.model(), #"{"loss": "mse", "learning_rate": 0.02, "seed": \#(seed)}"#)
    let batch: Batch = [
      "x": try normal([3, 5, 7], seed: 1), "target": try normal(shape.dims, seed: 2, scale: 0.3),
    ]
    let first = try trainer.step(batch).loss
    for _ in 0..<60 { try trainer.step(batch) }
    return (
      first,
      try trainer.evaluate(CallbackSource { index, _ in index == 0 ? batch : nil }).first?.value
        ?? .nan
    )
  }

  /// Drops by the seed, and still learns a batch by heart.
  @Test(arguments: models) func dropsAndLearns(_ model: Case) throws {
    let (one, again, other) = (
      try loss(model, seed: 1), try loss(model, seed: 1), try loss(model, seed: 2)
    )
    #expect(one == again)
    #expect(one.first != other.first)
    #expect(one.last < one.first * 0.9 && other.last < other.first * 0.9)
  }
}
