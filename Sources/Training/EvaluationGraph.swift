import Base
import Graphs
import Operators
import Tensors

/// The model as it answers, with weights as inputs: its outputs, behind the loss where targets are
/// there to compare with.
struct EvaluationGraph {
  let graph: Graph
  let batch: [ValueInfo]

  /// - Parameters:
  ///   - weights: names of the initialisers that are inputs.
  ///   - targets: element types of the targets; nil: no loss is wanted.
  init(
    _ model: Model, weights: [String], loss: LossPlan, targets: [String: ElementType]?
  ) throws(StackLensError) {
    let source = try model.graph.withoutCompositions().inInferenceMode()
    var graph = source
    if let targets {
      try loss.add(to: &graph, targets: targets)
      graph.outputs += source.outputs
    }
    let free = Set(weights)
    let given = Set(graph.initializers.map(\.name))
    batch = graph.inputs.filter { !given.contains($0.name) }
    var kinds: [String: ValueInfo] = [:]
    for constant in graph.initializers where free.contains(constant.name) {
      kinds[constant.name] = ValueInfo(constant)
    }
    graph.inputs = batch + weights.compactMap { kinds[$0] }
    graph.initializers.removeAll { free.contains($0.name) }
    self.graph = graph
  }
}
