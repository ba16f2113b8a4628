import Base
import Tensors
import TestSupport
import Testing

@testable import Training

struct OptimizerTests {
  /// Parameters around the length of a chunk.
  private static let shapes = [[40_003], [16_384], [3, 5], [0], [7]]

  private struct Run {
    let space: ParameterSpace
    let weights: FlatBuffer
    let gradients: FlatBuffer
    let optimizer: Optimizer
    let states: [FlatBuffer]

    init(_ name: String, _ options: JSON = .null) throws {
      space = try ParameterSpace(
        try OptimizerTests.shapes.enumerated().map { ("p\($0)", try Shape($1)) })
      (weights, gradients) = (try FlatBuffer(space), try FlatBuffer(space))
      optimizer = try Optimizer(named: name, options: options)
      states = try optimizer.makeStates(space)
      var numbers = SeededNumbers(5)
      for span in space.spans {
        for place in span.range {
          weights.values[place] = .random(in: -1..<1, using: &numbers)
          gradients.values[place] = .random(in: -1..<1, using: &numbers)
        }
      }
    }

    func step(_ number: Int, threads: Int = 1, scale: Float = 1) {
      optimizer.update(
        weights, gradients: gradients, states: states,
        parameters: optimizer.grouped(space.spans), rate: optimizer.learningRate,
        gradientScale: scale, step: number,
        parallel: threads == 1 ? .serial : Parallel(ThreadPool.withThreads(threads)))
    }
  }

  @Test(arguments: Optimizer.names) func bitsDoNotDependOnThreads(_ name: String) throws {
    let options = try json(
      #"""
      {"l1": 0.01, "weight_decay": 0.1, "max_norm": 1.5,
       "groups": [{"parameters": "p1", "learning_rate": 0.03}]}
      """#)
    let runs = try (1...3).map { _ in try Run(name, options) }
    for (index, run) in runs.enumerated() {
      for number in 1...3 { run.step(number, threads: index + 1) }
    }
    for run in runs.dropFirst() {
      #expect(run.weights.all.isIdentical(to: runs[0].weights.all))
      for (state, other) in zip(run.states, runs[0].states) {
        #expect(state.all.isIdentical(to: other.all))
      }
    }
    #expect(
      GlobalNorm.of(runs[0].weights, parallel: .serial)
        == GlobalNorm.of(runs[0].weights, parallel: Parallel(ThreadPool.withThreads(2))))
  }

  @Test(arguments: Optimizer.names) func goesDownhill(_ name: String) throws {
    let run = try Run(name)
    let before = (0..<run.weights.count).map { run.weights.values[$0] }
    for number in 1...3 { run.step(number) }
    for span in run.space.spans {
      for place in span.range where abs(run.gradients.values[place]) > 1e-3 {
        #expect((run.weights.values[place] < before[place]) == (run.gradients.values[place] > 0))
      }
    }
  }

  @Test(arguments: Optimizer.names) func zeroGradientsMoveNothing(_ name: String) throws {
    let run = try Run(name, json(#"{"weight_decay": 0}"#))
    let before = (0..<run.weights.count).map { run.weights.values[$0] }
    for number in 1...2 { run.step(number, scale: 0) }
    #expect((0..<run.weights.count).allSatisfy { run.weights.values[$0] == before[$0] })
  }

  @Test func theFirstGroupThatFitsCounts() throws {
    let optimizer = try Optimizer(
      named: "adamw",
      options: json(
        #"""
        {"groups": [{"parameters": ["*.bias", "norm.*"], "weight_decay": 0},
                    {"parameters": "encoder.*", "learning_rate": 1e-5}]}
        """#))
    let space = try ParameterSpace(
      ["encoder.weight", "encoder.bias", "head.weight", "norm.weight"].map { ($0, try Shape([2])) })
    let members = optimizer.grouped(space.spans).members.map { $0.spans.map(\.name) }
    #expect(members == [["head.weight"], ["encoder.bias", "norm.weight"], ["encoder.weight"]])
  }

  @Test func statesAreTheUnionOfTheGroups() throws {
    #expect(try Optimizer(named: "sgd").stateCount == 0)
    let options = try json(#"{"groups": [{"parameters": "a", "momentum": 0.9}]}"#)
    #expect(try Optimizer(named: "sgd", options: options).stateNames == ["momentum_buffer"])
    #expect(
      try Optimizer(named: "adam", options: json(#"{"amsgrad": true}"#)).stateNames
        == ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"])
  }

  @Test func infiniteGradientsShowInTheNorm() throws {
    let run = try Run("sgd")
    run.gradients.values[30_000] = .nan
    #expect(!GlobalNorm.of(run.gradients, parallel: .serial).isFinite)
    #expect(GlobalNorm.of(run.gradients, run.space.spans[2], parallel: .serial).isFinite)
  }

  @Test(arguments: [
    ("adm", "{}", "no optimizer 'adm'"), ("adam", #"{"lr": 1}"#, "no option 'lr'"),
    ("adam", #"{"learning_rate": "x"}"#, "must be a number"),
    ("adam", #"{"learning_rate": 0}"#, "learning_rate"),
    ("adam", #"{"betas": [0.9]}"#, "betas"), ("adam", #"{"betas": [0.9, 1]}"#, "betas"),
    ("adam", #"{"eps": 0}"#, "eps"), ("sgd", #"{"nesterov": true}"#, "nesterov"),
    ("sgd", #"{"momentum": -1}"#, "momentum"), ("sgd", "[]", "must be an object"),
    ("sgd", #"{"groups": [1]}"#, "list of objects"),
    ("sgd", #"{"groups": [{"momentum": 1}]}"#, "names no pattern"),
    ("sgd", #"{"groups": [{"parameters": "a[", "momentum": 1}]}"#, "has no ']'"),
    ("sgd", #"{"groups": [{"parameters": "a", "beta": 1}]}"#, "no option 'beta'"),
    ("lion", #"{"amsgrad": true}"#, "its options are"),
  ])
  func refusesOptions(_ name: String, _ options: String, _ message: String) throws {
    let json = try json(options)
    let error = failure { _ = try Optimizer(named: name, options: json) }
    #expect(error?.status == .invalidArgument)
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
  }
}
