import Base
import Execution
import Graphs
import Layers
import Tensors

/// One call of a method: its arguments and options, and the networks that answer it.
public struct Call: Sendable {
  let method: String
  let arguments: Arguments
  let options: OptionValues
  let knowledge: Knowledge
  private let estimator: Estimator

  init(
    estimator: Estimator, _ method: String, _ arguments: Arguments, _ options: OptionValues,
    _ knowledge: Knowledge
  ) {
    (self.estimator, self.method, self.arguments) = (estimator, method, arguments)
    (self.options, self.knowledge) = (options, knowledge)
  }

  /// Runs a network.
  /// - Throws: `.notFitted` before the model learned anything.
  func run(
    _ network: String = "", _ inputs: [String: Tensor]
  ) throws(StackLensError) -> [String: Tensor] {
    try requireFit()
    return try estimator.session(network).outputs(inputs)
  }

  /// Wakes the threads that sleep, for a network that runs soon.
  func alert() {
    if estimator.threadCount != 1 { ThreadPool.withThreads(estimator.threadCount).alert() }
  }

  /// What follows from what the model knows now, made once until that changes.
  func derived<Value: Sendable>(
    _ name: String, _ make: (Knowledge) throws(StackLensError) -> Value
  ) throws(StackLensError) -> Value {
    try estimator.derived(name, make)
  }

  /// - Parameter level: of optimisation; 0 for graphs in the form that runs.
  func compiled(_ model: Model, level: Int? = nil) throws(StackLensError) -> Session {
    try estimator.compiled(model, level: level)
  }

  /// What learns between calls.
  func learner<Learner: LiveLearner>(
    as type: Learner.Type
  ) throws(StackLensError) -> Learner {
    guard let learner = try estimator.learner() as? Learner else {
      throw .internalError("another kind of learner")
    }
    return learner
  }

  func requireFit() throws(StackLensError) {
    guard knowledge.isFitted else {
      throw .notFitted("the model has learned nothing yet: fit or load it first")
    }
  }

  /// A number that `fit` found.
  /// - Throws: `.notFitted` where it did not.
  func fact(_ name: String) throws(StackLensError) -> Double {
    guard let number = knowledge.number(name) else {
      throw .notFitted("the model has no \(name) yet")
    }
    return number
  }
}

extension Session {
  /// All outputs by name.
  func outputs(_ inputs: [String: Tensor]) throws(StackLensError) -> [String: Tensor] {
    let results = try run(inputs.mapValues { .tensor($0) })
    var outputs: [String: Tensor] = [:]
    for (info, value) in zip(self.outputs, results) { outputs[info.name] = try value.tensor() }
    return outputs
  }
}

extension [String: Tensor] {
  /// An output of a network.
  func tensor(_ name: String) throws(StackLensError) -> Tensor {
    guard let tensor = self[name] else { throw .internalError("there is no output '\(name)'") }
    return tensor
  }

  /// Outputs of a network in the order of a method's.
  func answers(_ names: String...) throws(StackLensError) -> [Tensors.Value] {
    try answers(names)
  }

  func answers(_ names: [String]) throws(StackLensError) -> [Tensors.Value] {
    var values: [Tensors.Value] = []
    for name in names {
      values.append(.tensor(try tensor(name)))
    }
    return values
  }
}
