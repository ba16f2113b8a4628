import Base

/// Where training stands: what a checkpoint needs beside the numbers of weights and optimiser.
struct Progress: Equatable {
  /// Updates of the parameters.
  var step = 0
  /// Batches that gave gradients.
  var batches = 0
  /// Batches whose gradients wait for an update.
  var pending = 0
  var epoch = 0
  /// The next batch of the epoch.
  var batch = 0
  /// Of the epoch so far: losses and norms times examples, and examples.
  var lossSum = 0.0
  var normSum = 0.0
  var examples = 0
  /// What failed steps have taken off the learning rate.
  var rateFactor = 1.0
  var failures = 0
  /// The monitored figure of the best epoch.
  var bestFigure: Double?
  var epochsSinceBest = 0

  var json: JSON {
    func member(_ key: String, _ value: Int) -> JSONObject.Member {
      .init(key: key, value: .integer(Int64(value)))
    }
    // Bit patterns: a number that is read back must be the same one.
    func exact(_ key: String, _ value: Double) -> JSONObject.Member {
      .init(key: key, value: .string(String(value.bitPattern, radix: 16)))
    }
    var members = [
      member("step", step), member("batches", batches), member("pending", pending),
      member("epoch", epoch), member("batch", batch), exact("loss_sum", lossSum),
      exact("norm_sum", normSum), member("examples", examples), exact("rate_factor", rateFactor),
      member("failures", failures), member("epochs_since_best", epochsSinceBest),
    ]
    if let bestFigure { members.append(exact("best_figure", bestFigure)) }
    return .object(JSONObject(members))
  }

  init() {}

  init(_ json: JSON) throws(StackLensError) {
    func integer(_ key: String) throws(StackLensError) -> Int {
      guard let wide = json[key]?.integerValue, let value = Int(exactly: wide), value >= 0,
        value <= 1 << 52
      else { throw .formatError("the checkpoint's state has no count '\(key)'") }
      return value
    }
    func number(_ key: String) throws(StackLensError) -> Double {
      guard let text = json[key]?.stringValue, let bits = UInt64(text, radix: 16) else {
        throw .formatError("the checkpoint's state has no number '\(key)'")
      }
      return Double(bitPattern: bits)
    }
    step = try integer("step")
    batches = try integer("batches")
    pending = try integer("pending")
    epoch = try integer("epoch")
    batch = try integer("batch")
    lossSum = try number("loss_sum")
    normSum = try number("norm_sum")
    examples = try integer("examples")
    rateFactor = try number("rate_factor")
    failures = try integer("failures")
    epochsSinceBest = try integer("epochs_since_best")
    if json["best_figure"] != nil { bestFigure = try number("best_figure") }
  }
}
