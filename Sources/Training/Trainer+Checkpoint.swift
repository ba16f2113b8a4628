import Base
import Exchange
import Graphs
import Tensors

/// Checkpoints: one safetensors file with everything that training needs to go on as if it had
/// never stopped.
extension Trainer {
  private static let format = "stacklens-checkpoint-1"
  private static let bestKey = "best/"

  /// Writes a checkpoint, whole or not at all.
  /// - Throws: `.ioError`: what was there before is still there then.
  public func save(to path: String) throws(StackLensError) {
    try exclusively { () throws(StackLensError) in
      var tensors = listed("parameters/", weights.values)
      for (index, state) in states.enumerated() { tensors += listed("optimizer.\(index)/", state) }
      if let average { tensors += listed("average/", average) }
      if let accumulated, progress.pending > 0 { tensors += listed("accumulated/", accumulated) }
      for (name, tensor) in weights.statistics { tensors.append(("statistics/" + name, tensor)) }
      if let best {
        tensors.append((Self.bestKey + "parameters", best.values))
        for (index, tensor) in best.statistics.enumerated() {
          tensors.append((Self.bestKey + "statistics.\(index)", tensor))
        }
      }
      let state = JSONObject([
        .init(key: "progress", value: progress.json),
        .init(key: "schedule", value: schedule.state),
        .init(key: "optimizer", value: .string(options.optimizer.name)),
        .init(key: "seed", value: .string(String(options.seed))),
      ])
      try SafetensorsFile.write(
        tensors,
        metadata: [
          KeyValue("format", Self.format),
          KeyValue("state", String(decoding: JSON.object(state).encoded(), as: UTF8.self)),
        ], to: path)
    }
  }

  /// Goes on where a checkpoint was written: the trainer must have been made from the same model with
  /// the same optimiser and seed.
  /// - Throws: `.ioError`, `.formatError` for a file that is no checkpoint, `.invalidArgument` and
  ///   `.shapeMismatch` for one of another training; the trainer is as before then.
  public func load(from path: String) throws(StackLensError) {
    try exclusively { () throws(StackLensError) in
      let file = try SafetensorsFile.load(path: path)
      do throws(StackLensError) { try take(file) } catch { throw error.within("'\(path)'") }
    }
  }

  private func take(_ file: SafetensorsFile) throws(StackLensError) {
    func metadata(_ key: String) -> String? { file.metadata.last { $0.key == key }?.value }
    guard metadata("format") == Self.format, let text = metadata("state") else {
      throw .formatError("it is no checkpoint of a trainer")
    }
    let state = try JSON.parse(Array(text.utf8))
    let progress = try Progress(state["progress"] ?? .null)
    let optimizer = state["optimizer"]?.stringValue ?? ""
    guard optimizer == options.optimizer.name else {
      throw .invalidArgument(
        "it was written with the optimizer '\(optimizer)', the trainer has "
          + "'\(options.optimizer.name)'")
    }
    let seed = state["seed"]?.stringValue ?? ""
    guard seed == String(options.seed) else {
      throw .invalidArgument(
        "it was written with the seed \(seed), the trainer has \(options.seed)")
    }
    var resumed = options.schedule
    try resumed.restore(state["schedule"] ?? .null)
    try fit(toParametersOf: file)
    // Everything is looked at before anything is written.
    var copies: [(from: Tensor, to: Tensor)] = []
    func plan(_ prefix: String, _ buffer: FlatBuffer) throws(StackLensError) {
      for (name, tensor) in listed(prefix, buffer) {
        copies.append((try file.tensor(name, like: tensor), tensor))
      }
    }
    try plan("parameters/", weights.values)
    for (index, state) in states.enumerated() { try plan("optimizer.\(index)/", state) }
    if let average { try plan("average/", average) }
    if let accumulated, progress.pending > 0 { try plan("accumulated/", accumulated) }
    for (name, tensor) in weights.statistics {
      copies.append((try file.tensor("statistics/" + name, like: tensor), tensor))
    }
    var best: Weights.Snapshot?
    if file[Self.bestKey + "parameters"] != nil {
      let values = try file.tensor(Self.bestKey + "parameters", like: weights.values.all).copied()
      var statistics: [Tensor] = []
      for (index, statistic) in weights.statistics.enumerated() {
        statistics.append(
          try file.tensor(Self.bestKey + "statistics.\(index)", like: statistic.tensor).copied())
      }
      best = Weights.Snapshot(values: values, statistics: statistics)
    }
    for (source, target) in copies { target.copyElements(from: source) }
    self.progress = progress
    self.best = best
    schedule = resumed
  }

  /// Before the first step a checkpoint says which parameters the loss depends on.
  private func fit(toParametersOf file: SafetensorsFile) throws(StackLensError) {
    let prefix = "parameters/"
    let names = Set(
      file.names.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) })
    guard progress.step == 0, names != Set(parameterNames) else { return }
    let kept = source.parameters.filter { names.contains($0.name) }
    guard kept.count == names.count else {
      throw .invalidArgument(
        "it has \(names.count) parameters, the model \(kept.count) of them: it belongs to another "
          + "model")
    }
    let statistics = Set(weights.statistics.map(\.name))
    try keep(kept, statistics: source.graph.initializers.filter { statistics.contains($0.name) })
  }

  private func listed(_ prefix: String, _ buffer: FlatBuffer) -> [(name: String, tensor: Tensor)] {
    weights.space.spans.map { (prefix + $0.name, buffer.tensor($0)) }
  }

  func restore(_ snapshot: Weights.Snapshot) { weights.restore(snapshot) }
}

extension SafetensorsFile {
  /// A tensor of the type and shape of another.
  fileprivate func tensor(_ name: String, like other: Tensor) throws(StackLensError) -> Tensor {
    guard let found = self[name] else {
      throw .invalidArgument("it has no '\(name)': it belongs to another model or other options")
    }
    guard found.elementType == other.elementType, found.shape == other.shape else {
      throw .shapeMismatch(
        "'\(name)' is \(found.elementType.name)\(found.shape), expected "
          + "\(other.elementType.name)\(other.shape)")
    }
    return found
  }
}
