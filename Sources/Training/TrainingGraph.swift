import Base
import Execution
import Graphs
import Operators
import Tensors

/// The graph of one training step: the model in training mode, the loss, and the gradients of all
/// parameters. The optimiser's update is not part of it.
struct TrainingGraph {
  /// Inputs: the batch in the order of `batch`, the seed where it is random, parameters, statistics.
  /// Outputs: the loss, one gradient for each parameter, the next statistics.
  let graph: Graph
  /// What a batch holds: inputs of the model that the loss depends on, then targets.
  let batch: [ValueInfo]
  let isRandom: Bool
  /// The initialisers that are trained, in the order of the gradients.
  let parameters: [Initializer]
  /// The running statistics that a step updates.
  let statistics: [Initializer]

  /// - Parameters:
  ///   - targets: element types of what the loss compares outputs with, by name.
  ///   - segments: parts whose inner values are computed again on the way back; 1 keeps all.
  ///   - recurrentSteps: last steps that gradients flow back through in recurrent layers; 0: all.
  init(
    _ model: Model, loss: LossPlan, targets: [String: ElementType],
    isFrozen: (String) -> Bool, segments: Int = 1, recurrentSteps: Int = 0
  ) throws(StackLensError) {
    let source = try model.graph.withoutCompositions().unrolled()
    var mode = try TrainingMode(source, reach: recurrentSteps, isFrozen: isFrozen)
    try loss.add(to: &mode.graph, targets: targets)
    let trainable = model.parameters.filter { !isFrozen($0.name) }
    guard !trainable.isEmpty else {
      throw .invalidArgument(
        "nothing to train: the model has \(model.parameters.count) parameters and all are frozen")
    }
    let changing = Set(trainable.map(\.name) + mode.statistics.map(\.name))
    mode.graph = try mode.graph.fusedForTraining(
      keeping: [LossPlan.lossName] + mode.statistics.map(\.next),
      weights: { changing.contains($0) })
    if mode.isRandom {
      mode.graph.inputs.append(ValueInfo(TrainingMode.seedName, .tensor(.int64, [])))
    }
    let types = GraphTypes(of: mode.graph).values
    let back = GraphBuilder("gradients", prefix: "gradients")
    let found = try Differentiation(mode.graph.nodes, into: back, types: { types[$0] })
      .gradients(of: LossPlan.lossName, with: trainable.map(\.name))
    var parameters: [Initializer] = []
    var gradients: [Edge] = []
    for (parameter, gradient) in zip(trainable, found) {
      guard let gradient else { continue }
      parameters.append(parameter)
      gradients.append(gradient)
    }
    guard !parameters.isEmpty else {
      throw .invalidArgument(
        "the loss depends on none of the \(trainable.count) parameters that are not frozen")
    }
    let names = Set(mode.statistics.map(\.name))
    let statistics = source.initializers.filter { names.contains($0.name) }
    var nodes = mode.graph.nodes
    nodes += back.graph.nodes
    if segments > 1 {
      nodes = Recomputation(forward: mode.graph.nodes, back: back.graph.nodes, segments).nodes
    }
    let free = Set((parameters + statistics).map(\.name))
    let read = Set(nodes.flatMap(\.reads))
    let inputs = mode.graph.inputs.filter { read.contains($0.name) }
    let batch = inputs.filter { $0.name != TrainingMode.seedName }
    isRandom = batch.count < inputs.count
    var graph = Graph(name: model.graph.name + " training")
    graph.inputs = inputs
    graph.inputs += (parameters + statistics).map { ValueInfo($0) }
    graph.initializers =
      mode.graph.initializers.filter { !free.contains($0.name) } + back.graph.initializers
    graph.nodes = nodes
    graph.valueInfo = mode.graph.valueInfo
    let next = Dictionary(mode.statistics.map { ($0.name, $0.next) }) { first, _ in first }
    graph.outputs =
      [ValueInfo(LossPlan.lossName, .tensor(.float32, []))]
      + gradients.map { ValueInfo($0.name, .unknown) }
      + statistics.compactMap { next[$0.name].map { ValueInfo($0, .unknown) } }
    self.graph = graph
    self.batch = batch
    self.parameters = parameters
    self.statistics = statistics
  }
}
