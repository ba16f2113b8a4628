import Base
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Training

struct TrainerTests {
  private static let rows = 96

  private func data(_ change: (inout ArraySource.Options) -> Void = { _ in }) throws -> ArraySource
  {
    let x = try normal([Self.rows, 8], seed: 10)
    var options = ArraySource.Options()
    options.batchSize = 20
    change(&options)
    return try ArraySource(["x": x, "target": labels(of: x, classes: 3)], options)
  }

  private func fit(_ epochs: Int, _ change: (inout FitOptions) -> Void = { _ in }) -> FitOptions {
    var options = FitOptions()
    options.epochs = epochs
    change(&options)
    return options
  }

  @Test func oneStepOfDescentIsTheFormula() throws {
    // y = w x with squared loss: dL/dw = mean of 2 (w x - t) x.
    let graph = GraphBuilder("line")
    let x = graph.input("x", .float32, [.named("batch"), .fixed(1)])
    let w = graph.constant("w", try Tensor([Float(2)], shape: Shape([1, 1])))
    graph.output(graph.matMul(x, w), "y", .float32, [.named("batch"), .fixed(1)])
    let trainer = try trainer(
      Model(graph: graph.graph),
      #"{"loss": "mse", "optimizer": "sgd", "learning_rate": 0.1}"#)
    let report = try trainer.step([
      "x": Tensor([Float(1), 3], shape: Shape([2, 1])),
      "target": Tensor([Float(1), 2], shape: Shape([2, 1])),
    ])
    #expect(abs(report.loss - 8.5) < 1e-6)
    #expect(abs(report.gradientNorm - 13) < 1e-5)
    let value = try trainer.model().graph.initializers[0].tensor.elements(as: Float.self)[0]
    #expect(abs(value - 0.7) < 1e-6)
  }

  @Test func learnsToClassify() throws {
    let trainer = try trainer(
      perceptron(normalizes: true, drops: true),
      #"{"loss": "cross_entropy", "learning_rate": 0.01, "metrics": ["accuracy", "f1"]}"#)
    let history = try trainer.fit(
      data(), fit(60) { $0.validation = try? data { $0.isShuffled = false } })
    let first = try #require(history.epochs.first)
    let last = try #require(history.epochs.last)
    #expect(history.epochs.count == 60)
    #expect(last.loss < first.loss / 3)
    let figures = try trainer.evaluate(data())
    #expect(figures.map(\.name) == ["loss", "accuracy", "f1"])
    #expect(figures[1].value > 0.95)
  }

  @Test func theSameBitsOnOneAndTwoThreads() throws {
    var found: [[UInt32]] = []
    for threads in 1...2 {
      let trainer = try trainer(
        perceptron(width: 8, hidden: 300, normalizes: true, drops: true),
        """
        {"loss": "cross_entropy", "learning_rate": 0.01, "clip_norm": 1, "threads": \(threads)}
        """)
      try trainer.fit(data(), fit(10))
      #expect(trainer.stepCount == 50)
      found.append(trainer.bits)
    }
    #expect(found[0] == found[1])
  }

  @Test func goesOnFromACheckpointToTheSameBits() throws {
    let folder = try ScratchFolder()
    let path = folder.path + "/state.safetensors"
    let options = """
      {"loss": "cross_entropy", "learning_rate": 0.01, "accumulation": 2, "ema": 0.9,
       "schedule": {"name": "cosine", "total_steps": 20}}
      """
    func make() throws -> Trainer {
      try trainer(perceptron(normalizes: true, drops: true), options)
    }
    let whole = try make()
    try whole.fit(data(), fit(6))
    for stop in [1, 5, 8, 17, 29] {
      let first = try make()
      var count = 0
      let history = try first.fit(data(), fit(6)) { event in
        if case .step = event { count += 1 }
        return count < stop
      }
      #expect(history.end == .stopped)
      try first.save(to: path)
      let second = try make()
      try second.load(from: path)
      try second.fit(data(), fit(6))
      #expect(second.bits == whole.bits, "stopped after \(stop) batches")
      #expect(try second.model(averaged: true).bits == whole.model(averaged: true).bits)
    }
  }

  @Test func refusesACheckpointOfAnotherTraining() throws {
    let folder = try ScratchFolder()
    let path = folder.path + "/state.safetensors"
    let first = try trainer(perceptron(), #"{"loss": "cross_entropy"}"#)
    try first.fit(data(), fit(1))
    try first.save(to: path)
    let before = try trainer(perceptron(hidden: 17), #"{"loss": "cross_entropy"}"#)
    let bits = before.bits
    #expect(throws: StackLensError.self) { try before.load(from: path) }
    #expect(before.bits == bits)
    for options in [
      #"{"loss": "cross_entropy", "optimizer": "sgd"}"#, #"{"loss": "cross_entropy", "seed": 3}"#,
    ] {
      let other = try trainer(perceptron(), options)
      #expect(throws: StackLensError.self) { try other.load(from: path) }
    }
    #expect(throws: StackLensError.self) { try first.load(from: folder.path + "/none") }
    #expect(throws: StackLensError.self) { try first.save(to: folder.path + "/no/such/folder/a") }
  }

  @Test func recomputationChangesNothing() throws {
    func run(_ segments: Int) throws -> [UInt32] {
      let trainer = try trainer(
        perceptron(drops: true),
        #"{"loss": "cross_entropy", "recompute": \#(segments), "learning_rate": 0.01}"#)
      try trainer.fit(data(), fit(2))
      return trainer.bits
    }
    let plain = try run(1)
    for segments in 2...5 { #expect(try run(segments) == plain) }
  }

  @Test func accumulatedBatchesAreOneLargeOne() throws {
    let x = try normal([40, 8], seed: 3)
    let target = try labels(of: x, classes: 3)
    func run(_ size: Int, _ options: String) throws -> [Float] {
      var source = ArraySource.Options()
      source.batchSize = size
      source.isShuffled = false
      let trainer = try trainer(perceptron(), options)
      try trainer.fit(ArraySource(["x": x, "target": target], source), fit(1))
      #expect(trainer.stepCount == 1)
      return try trainer.weights.values.all.elements(as: Float.self)
    }
    let one = try run(40, #"{"loss": "cross_entropy", "optimizer": "sgd", "learning_rate": 0.5}"#)
    let four = try run(
      10,
      #"{"loss": "cross_entropy", "optimizer": "sgd", "learning_rate": 0.5, "accumulation": 4}"#)
    for (a, b) in zip(one, four) { #expect(abs(a - b) < 1e-6) }
  }

  @Test func frozenPartsStay() throws {
    let model = try perceptron(normalizes: true)
    let trainer = try trainer(
      model.frozen([Glob("norm.*")]),
      #"{"loss": "cross_entropy", "freeze": "first.*", "learning_rate": 0.1}"#)
    #expect(trainer.parameterNames == ["second.weight", "second.bias"])
    try trainer.fit(data(), fit(2))
    let after = try trainer.model()
    for (old, new) in zip(model.graph.initializers, after.graph.initializers) {
      let same = try old.tensor.elements(as: Float.self) == new.tensor.elements(as: Float.self)
      #expect(same == !old.name.hasPrefix("second"), "\(old.name)")
    }
    #expect(throws: StackLensError.self) {
      try TrainingTests.trainer(model, #"{"loss": "cross_entropy", "freeze": "*"}"#)
    }
  }

  @Test func runningStatisticsFollowTheBatches() throws {
    let model = try perceptron(normalizes: true)
    let trainer = try trainer(model, #"{"loss": "cross_entropy"}"#)
    try trainer.fit(data(), fit(1))
    let trained = try trainer.model().graph.initializers
    let mean = try #require(trained.first { $0.name == "norm.running_mean" }).tensor
    #expect(try mean.elements(as: Float.self).contains { $0 != 0 })
    // One batch: what is added is the unbiased variance of what comes in, as in PyTorch.
    let single = try TrainingTests.trainer(model, #"{"loss": "cross_entropy"}"#)
    let batch = try #require(try data().batch(0, ofEpoch: 0))
    try single.step(batch)
    let variance = try #require(
      single.model().graph.initializers.first { $0.name == "norm.running_var" })
    let x = try #require(batch["x"]).elements(as: Float.self).map(Double.init)
    let w = try normal([16, 8], seed: 1, scale: 0.4).elements(as: Float.self).map(Double.init)
    let first = (0..<20).map { row in (0..<8).reduce(0) { $0 + x[row * 8 + $1] * w[$1] } }
    let center = first.reduce(0, +) / 20
    let unbiased = first.reduce(0) { $0 + ($1 - center) * ($1 - center) } / 19
    let found = Double(try variance.tensor.elements(as: Float.self)[0])
    #expect(abs(found - (0.9 + 0.1 * unbiased)) < 1e-5)
    // The model that answers uses them.
    let y = try trainer.predict(["x": normal([3, 8], seed: 1)])[0].tensor()
    #expect(y.shape.dims == [3, 3])
  }

  @Test func aFileInTrainingModeIsUsedInInferenceMode() throws {
    var model = try perceptron(normalizes: true)
    let norm = try #require(model.graph.nodes.firstIndex { $0.opType == "BatchNormalization" })
    model.graph.nodes[norm].attributes["training_mode"] = .int(1)
    model.graph.nodes[norm].outputs += ["mean now", "variance now"]
    let trainer = try TrainingTests.trainer(model, #"{"loss": "cross_entropy"}"#)
    try trainer.fit(data(), fit(2))
    let other = try TrainingTests.trainer(
      perceptron(normalizes: true), #"{"loss": "cross_entropy"}"#)
    try other.fit(data(), fit(2))
    #expect(trainer.bits == other.bits)
    let node = try trainer.model().graph.nodes[norm]
    #expect(node.outputs.count == 1)
    let x = try normal([1, 8], seed: 5)
    let y = try trainer.predict(["x": x])[0].tensor().elements(as: Float.self)
    #expect(try other.predict(["x": x])[0].tensor().elements(as: Float.self) == y)
  }

  @Test func badDataIsNamedAndNothingIsLost() throws {
    let trainer = try trainer(perceptron(), #"{"loss": "cross_entropy"}"#)
    try trainer.fit(data(), fit(1))
    let bits = trainer.bits
    var numbers = try normal([4, 8], seed: 2).elements(as: Float.self)
    numbers[19] = .nan
    let target = try Tensor([Int64(0), 1, 2, 0])
    let spoilt = try Tensor(numbers, shape: Shape([4, 8]))
    let error = #expect(throws: StackLensError.self) {
      try trainer.step(["x": spoilt, "target": target])
    }
    #expect(error?.status == .nonFinite)
    #expect(error?.message.contains("'x'") ?? false)
    #expect(error?.message.contains("row 2") ?? false)
    let good = try normal([4, 8], seed: 2)
    for batch in [
      ["x": good], ["target": target], ["x": good, "target": try Tensor([Int64(0), 1, 7, 0])],
      ["x": good, "target": try Tensor([Int64(0), 1])],
      ["x": try normal([4, 9], seed: 1), "target": target],
      ["x": good, "target": try Tensor([Float(0), 1, 2, 0])],
    ] {
      #expect(throws: StackLensError.self) { try trainer.step(batch) }
    }
    #expect(trainer.bits == bits)
    #expect(throws: StackLensError.self) {
      try ArraySource(["x": Tensor(zeros: .float32, Shape([0, 8]))])
    }
    #expect(throws: StackLensError.self) {
      try ArraySource(["x": good, "target": Tensor([Int64(1)])])
    }
  }

  @Test func stopsEarlyAndTakesTheBestWeights() throws {
    let trainer = try trainer(
      perceptron(), #"{"loss": "cross_entropy", "learning_rate": 1.5, "optimizer": "sgd"}"#)
    let validation = try data { $0.isShuffled = false }
    let history = try trainer.fit(
      data(),
      fit(200) {
        $0.validation = validation
        $0.patience = 2
      })
    let best = history.epochs.compactMap { $0.validation.first?.value }.min()
    let after = try trainer.evaluate(validation)[0].value
    #expect(abs(after - (best ?? 0)) < 1e-9)
    #expect(history.end == .early || history.epochs.count == 200)
  }

  @Test func gradientReportSaysWhatIsWrong() throws {
    let graph = GraphBuilder("dead")
    let x = graph.input("x", .float32, [.named("batch"), .fixed(4)])
    let w = graph.constant("alive", try normal([4, 2], seed: 1))
    let dead = graph.constant("dead", try Tensor([Float](repeating: -50, count: 2)))
    let sum = graph.matMul(x, w) + graph.add("Relu", [dead])
    graph.output(sum, "y", .float32, [.named("batch"), .fixed(2)])
    let trainer = try trainer(Model(graph: graph.graph), #"{"loss": "mse", "optimizer": "sgd"}"#)
    try trainer.step([
      "x": normal([3, 4], seed: 2), "target": Tensor(zeros: .float32, Shape([3, 2])),
    ])
    let report = try trainer.gradientReport()
    #expect(report.entries.map(\.name) == ["alive", "dead"])
    #expect(report.warnings.count == 1)
    #expect(report.warnings.first?.contains("'dead'") ?? false)
  }
}

extension Model {
  fileprivate var bits: [UInt32] {
    graph.initializers.flatMap { constant -> [UInt32] in
      ((try? constant.tensor.elements(as: Float.self)) ?? []).map(\.bitPattern)
    }
  }
}
