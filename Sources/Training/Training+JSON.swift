import Base

// What the doors give and take as JSON.

extension FitOptions {
  /// - Parameter json: an object with any of "epochs", "monitor", "patience", "minimum_delta",
  ///   "restore_best", "checkpoint", "checkpoint_interval" and "gradient_report_interval".
  package init(_ json: JSON) throws(StackLensError) {
    var options = try OptionReader(json, of: "fit")
    epochs = try options.integer("epochs", default: epochs, in: 1...1_000_000_000)
    monitor = try options.string("monitor")
    patience = try options.integer("patience")
    minimumDelta = try options.number(
      "minimum_delta", default: minimumDelta, in: 0...(.greatestFiniteMagnitude))
    restoresBest = try options.bool("restore_best", default: restoresBest)
    checkpointPath = try options.string("checkpoint")
    checkpointInterval = try options.integer("checkpoint_interval", default: checkpointInterval)
    gradientReportInterval = try options.integer(
      "gradient_report_interval", default: gradientReportInterval)
    try options.finish()
  }
}

extension ArraySource.Options {
  /// - Parameter json: an object with any of "batch_size", "shuffle", "seed", "drop_last" and
  ///   "length_mask".
  package init(_ json: JSON) throws(StackLensError) {
    var options = try OptionReader(json, of: "the data set")
    batchSize = try options.integer("batch_size", default: batchSize, in: 1...Int(Int32.max))
    isShuffled = try options.bool("shuffle", default: isShuffled)
    seed = UInt64(try options.integer("seed", default: Int(seed), in: 0...Int.max))
    dropsLast = try options.bool("drop_last", default: dropsLast)
    lengthMask = try options.string("length_mask")
    try options.finish()
  }
}

extension History {
  /// How it ended, and the figures of each epoch.
  package var json: JSON {
    .object(
      JSONObject([
        .init(key: "end", value: .string(end.rawValue)),
        .init(key: "epochs", value: .array(epochs.map(\.json))),
      ]))
  }
}

extension EpochReport {
  fileprivate var json: JSON {
    var members: [JSONObject.Member] = [
      .init(key: "epoch", value: .integer(Int64(epoch))), .init(key: "loss", value: .number(loss)),
    ]
    for (name, value) in validation { members.append(.init(key: name, value: .number(value))) }
    members += [
      .init(key: "learning_rate", value: .number(learningRate)),
      .init(key: "gradient_norm", value: .number(gradientNorm)),
      .init(key: "seconds", value: .number(seconds)), .init(key: "is_best", value: .bool(isBest)),
    ]
    return .object(JSONObject(members))
  }
}

extension GradientReport {
  /// The warnings, and the figures of each parameter.
  package var json: JSON {
    .object(
      JSONObject([
        .init(key: "warnings", value: .array(warnings.map { .string($0) })),
        .init(key: "parameters", value: .array(entries.map(\.json))),
      ]))
  }
}

extension GradientReport.Entry {
  fileprivate var json: JSON {
    .object(
      JSONObject([
        .init(key: "name", value: .string(name)),
        .init(key: "gradient_norm", value: .number(gradientNorm)),
        .init(key: "value_norm", value: .number(valueNorm)),
        .init(key: "largest", value: .number(largest)),
        .init(key: "zero_share", value: .number(zeroShare)),
        .init(key: "non_finite", value: .integer(Int64(nonFiniteCount))),
      ]))
  }
}

extension Trainer {
  /// Where training stands, what is trained, and what a batch must hold beside the model's inputs.
  package func described() throws(StackLensError) -> JSON {
    try exclusively { () throws(StackLensError) in
      .object(
        JSONObject([
          .init(key: "step", value: .integer(Int64(stepCount))),
          .init(key: "epoch", value: .integer(Int64(progress.epoch))),
          .init(key: "batch", value: .integer(Int64(progress.batch))),
          .init(key: "learning_rate", value: .number(learningRate)),
          .init(key: "targets", value: .array(options.loss.targets.map { .string($0) })),
          .init(key: "parameters", value: .array(parameterNames.map { .string($0) })),
        ]))
    }
  }
}
