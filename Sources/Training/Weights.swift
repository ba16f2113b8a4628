import Base
import Graphs
import Tensors

/// The numbers that training changes: parameters in flat memory and running statistics.
final class Weights {
  let space: ParameterSpace
  let values: FlatBuffer
  /// Running statistics by name.
  let statistics: [(name: String, tensor: Tensor)]
  /// Parameters, then statistics, as the graphs take them.
  let tensors: [Tensor]

  /// Copies of what the model has.
  init(_ parameters: [Initializer], statistics: [Initializer]) throws(StackLensError) {
    space = try ParameterSpace(parameters.map { ($0.name, $0.tensor.shape) })
    values = try FlatBuffer(space)
    for (span, parameter) in zip(space.spans, parameters) {
      values.tensor(span).base.copyMemory(
        from: parameter.tensor.base, byteCount: parameter.tensor.byteCount)
    }
    var copies: [(name: String, tensor: Tensor)] = []
    for statistic in statistics { copies.append((statistic.name, try statistic.tensor.copied())) }
    self.statistics = copies
    tensors = space.spans.map(values.tensor) + copies.map(\.tensor)
  }

  /// Takes the statistics that a step computed.
  func update(statistics next: [Tensor]) {
    for (statistic, value) in zip(statistics, next) {
      statistic.tensor.base.copyMemory(from: value.base, byteCount: value.byteCount)
    }
  }

  /// The numbers of one moment.
  struct Snapshot: Sendable {
    let values: Tensor
    let statistics: [Tensor]
  }

  func snapshot() throws(StackLensError) -> Snapshot {
    var copies: [Tensor] = []
    for (_, tensor) in statistics { copies.append(try tensor.copied()) }
    return Snapshot(values: try values.all.copied(), statistics: copies)
  }

  func restore(_ snapshot: Snapshot) {
    values.all.base.copyMemory(from: snapshot.values.base, byteCount: values.all.byteCount)
    update(statistics: snapshot.statistics)
  }

  /// The model as it is used, with copies of these numbers in the place of its own.
  /// - Parameter values: other values of the parameters than the current ones.
  func model(
    _ model: Model, values other: FlatBuffer? = nil
  ) throws(StackLensError) -> Model {
    var found: [String: Tensor] = [:]
    for span in space.spans { found[span.name] = (other ?? values).tensor(span) }
    for (name, tensor) in statistics { found[name] = tensor }
    var model = model
    model.graph = try model.graph.inInferenceMode()
    for index in model.graph.initializers.indices {
      guard let tensor = found[model.graph.initializers[index].name] else { continue }
      model.graph.initializers[index].tensor = try tensor.copied()
    }
    return model
  }
}
