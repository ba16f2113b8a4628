import Base
import Tensors
import TestSupport
import Testing

@testable import Training

/// Steps against PyTorch's and, for methods that it lacks, against the papers' formulas.
struct OptimizerGoldenTests {
  static let cases = TrainingGolden.cases("optimizers")
  static let steps = 6
  /// float32 against float64, relative to the largest weight.
  static let tolerance = (single: 1e-6, several: 1e-5)

  @Test func everyMethodHasACase() {
    #expect(Set(Self.cases.map { $0.text("name") }) == Set(Optimizer.names))
  }

  @Test(arguments: cases) func stepsAgree(_ test: TrainingGolden.Case) throws {
    let model = try Parameters()
    let optimizer = try Optimizer(named: test.text("name"), options: test.options)
    let states = try optimizer.makeStates(model.space)
    let parameters = optimizer.grouped(model.space.spans)
    for step in 0..<Self.steps {
      let gradients = try model.buffer("optimizer/gradient\(step)")
      var scale = test.json["scale"]?.numberValue.map { Float($0) } ?? 1
      if let limit = test.json["clip_norm"]?.numberValue {
        scale = GlobalNorm.scale(norm: GlobalNorm.of(gradients, parallel: .serial), limit: limit)
      }
      optimizer.update(
        model.weights, gradients: gradients, states: states, parameters: parameters,
        rate: optimizer.learningRate, gradientScale: scale,
        gradientLimit: test.json["limit"]?.numberValue.map { Float($0) } ?? .infinity,
        step: step + 1, parallel: .serial)
      guard step == 0 || step == Self.steps - 1 else { continue }
      let tolerance = step == 0 ? Self.tolerance.single : Self.tolerance.several
      try model.check(model.weights, "optimizer/\(test.text("case"))/\(step)", tolerance)
    }
    let names = test.json["states"]?.arrayValue?.compactMap(\.stringValue) ?? []
    #expect(Set(optimizer.stateNames) == Set(names))
    for (name, state) in zip(optimizer.stateNames, states) {
      try model.check(state, "optimizer/\(test.text("case"))/\(name)", Self.tolerance.several)
    }
  }

  @Test func globalNormAgrees() throws {
    let model = try Parameters()
    let found = GlobalNorm.of(try model.buffer("optimizer/gradient0"), parallel: .serial)
    let expected = try #require(try TrainingGolden.tensor("optimizer/norm").numbers?.first)
    #expect(abs(found / expected - 1) < 1e-6)
  }

  @Test func penaltyAgrees() throws {
    let model = try Parameters()
    let optimizer = try Optimizer(named: "sgd", options: json(#"{"l1": 0.03, "l2": 0.4}"#))
    let found = optimizer.penalty(
      model.weights, parameters: optimizer.grouped(model.space.spans), parallel: .serial)
    let expected = try #require(try TrainingGolden.tensor("optimizer/penalty").numbers?.first)
    #expect(abs(found / expected - 1) < 1e-6)
  }

  @Test func averageAgrees() throws {
    let model = try Parameters()
    let average = try WeightAverage(options: json(#"{"decay": 0.9}"#))
    for step in 0..<Self.steps {
      average.update(
        model.weights, with: try model.buffer("optimizer/gradient\(step)"), step: step + 1,
        parallel: .serial)
    }
    try model.check(model.weights, "optimizer/average", Self.tolerance.single)
  }
}

/// The parameters of the file, side by side.
private struct Parameters {
  let space: ParameterSpace
  let weights: FlatBuffer
  static let names = ["layer.weight", "layer.bias", "scale", "conv.weight"]

  init() throws {
    space = try ParameterSpace(
      try Self.names.map { ($0, try TrainingGolden.tensor("optimizer/start/\($0)").shape) })
    weights = try FlatBuffer(space)
    try fill(weights, "optimizer/start")
  }

  func buffer(_ prefix: String) throws -> FlatBuffer {
    let buffer = try FlatBuffer(space)
    try fill(buffer, prefix)
    return buffer
  }

  private func fill(_ buffer: FlatBuffer, _ prefix: String) throws {
    for span in space.spans {
      let values = try TrainingGolden.tensor("\(prefix)/\(span.name)").elements(as: Float.self)
      for (index, value) in values.enumerated() { buffer.values[span.offset + index] = value }
    }
  }

  /// Holds a buffer against tensors of the file, and the gaps against 0.
  func check(_ buffer: FlatBuffer, _ prefix: String, _ tolerance: Double) throws {
    var isGap = [Bool](repeating: true, count: buffer.count)
    for span in space.spans {
      let expected = try TrainingGolden.tensor("\(prefix)/\(span.name)")
      let text = buffer.tensor(span).difference(from: expected, tolerance: tolerance)
      #expect(text == nil, "\(prefix)/\(span.name)")
      for place in span.range { isGap[place] = false }
    }
    #expect((0..<buffer.count).allSatisfy { !isGap[$0] || buffer.values[$0] == 0 })
  }
}
