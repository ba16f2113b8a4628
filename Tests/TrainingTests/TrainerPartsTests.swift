import Base
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Training

/// Losses, optimisers and schedules as the trainer drives them.
struct TrainerPartsTests {
  private func rows(_ target: Tensor) throws -> ArraySource {
    let x = try normal([12, 8], seed: 5)
    var options = ArraySource.Options()
    options.batchSize = 4
    options.isShuffled = false
    return try ArraySource(["x": x, "target": target], options)
  }

  /// Probabilities as targets cost what labels do where one class has them all.
  @Test func targetsMayBeProbabilities() throws {
    let classes = (0..<12).map { $0 * 5 % 3 }
    let labels = try Tensor(classes.map { Int64($0) })
    let shares = try Tensor(
      classes.flatMap { own in (0..<3).map { Float($0 == own ? 1 : 0) } },
      shape: Shape([12, 3]))
    let options = #"{"loss": {"name": "cross_entropy", "label_smoothing": 0.1}, "threads": 1}"#
    var losses: [Double] = []
    for target in [labels, shares] {
      let trainer = try trainer(perceptron(), options)
      losses.append(try trainer.fit(rows(target)).epochs[0].loss)
    }
    #expect(abs(losses[0] - losses[1]) < 1e-5)
  }

  /// A loss takes as many outputs as it needs and no target where it knows none.
  @Test func lossesOverSeveralOutputsNeedNoNames() throws {
    let graph = GraphBuilder("towers")
    let weight = graph.constant("weight", try normal([8, 4], seed: 1))
    for name in ["a", "b"] {
      let x = graph.input(name, .float32, [.named("batch"), .fixed(8)])
      graph.output(graph.matMul(x, weight), "\(name)_out", .float32, nil)
    }
    let trainer = try trainer(
      Model(graph: graph.graph),
      #"{"loss": {"name": "multiple_negatives_ranking", "temperature": 0.5}, "threads": 1}"#)
    let rows = try ArraySource(["a": normal([6, 8], seed: 2), "b": normal([6, 8], seed: 3)])
    var fit = FitOptions()
    fit.epochs = 5
    let losses = try trainer.fit(rows, fit).epochs.map(\.loss)
    #expect(losses[4] < losses[0])
  }

  @Test func fitSaysHowManyStepsThereAre() throws {
    let labels = try Tensor((0..<12).map { Int64($0 % 3) })
    let trainer = try trainer(
      perceptron(),
      #"""
      {"loss": "cross_entropy", "learning_rate": 0.01,
       "schedule": {"name": "linear", "warmup_steps": 1}, "threads": 1}
      """#)
    var fit = FitOptions()
    fit.epochs = 3
    var rates: [Double] = []
    _ = try trainer.fit(rows(labels), fit) { event in
      if case .step(let report) = event { rates.append(report.learningRate) }
      return true
    }
    let expected = [0, 8, 7, 6, 5, 4, 3, 2, 1].map { 0.01 * Double($0) / 8 }
    #expect(rates.count == 9 && zip(rates, expected).allSatisfy { abs($0 - $1) < 1e-12 })
  }

  @Test func batchesWithoutANumberNeedTotalSteps() throws {
    let trainer = try trainer(perceptron(), #"{"loss": "cross_entropy", "schedule": "cosine"}"#)
    let source = CallbackSource { _, _ in nil }
    #expect(failure { _ = try trainer.fit(source) }?.message.contains("total_steps") == true)
    let step = failure { _ = try trainer.step([:]) }
    #expect(step?.message.contains("'cosine' needs total_steps") == true)
  }
}
