import Base

/// Times `factor` whenever the observed figure has not become better for more than `patience` epochs.
/// Better is less than best · (1 - threshold) (`mode` min), more than best · (1 + threshold) (max), or by
/// `threshold` itself (`threshold_mode` abs); without a mode the figure says which of both. Bad epochs do not count for `cooldown` epochs after that.
struct ReduceOnPlateau: ScheduleCurve {
  private let factor: Double
  private let patience: Int
  private let threshold: Double
  private let isRelative: Bool
  /// Nil: as the figure has it.
  private let isMaximum: Bool?
  private let cooldown: Int
  private let least: Double

  private var current = 1.0
  /// Nil before the first observation.
  private var best: Double?
  private var badEpochs = 0
  private var cooldownLeft = 0

  init(_ options: inout OptionReader, _ setting: inout ScheduleSetting) throws(StackLensError) {
    factor = try options.number("factor", default: 0.1, in: .belowOne)
    patience = try options.integer("patience", default: 10)
    threshold = try options.number("threshold", default: 1e-4, in: .notNegative)
    isRelative = try options.choice("threshold_mode", ["rel", "abs"]) == "rel"
    let mode = try options.choice("mode", ["auto", "min", "max"])
    isMaximum = mode == "auto" ? nil : mode == "max"
    cooldown = try options.integer("cooldown", default: 0)
    least = try options.number("min_factor", default: 0, in: .share)
  }

  func factor(step: Int, epoch: Int) -> Double { current }

  mutating func observe(_ figure: Double, isBetterUp: Bool) {
    if isBetter(figure, isMaximum ?? isBetterUp) {
      best = figure
      badEpochs = 0
    } else {
      badEpochs += 1
    }
    if cooldownLeft > 0 {
      cooldownLeft -= 1
      badEpochs = 0
    }
    if badEpochs > patience {
      current = max(current * factor, least)
      cooldownLeft = cooldown
      badEpochs = 0
    }
  }

  /// What is no number is never better.
  private func isBetter(_ figure: Double, _ isMaximum: Bool) -> Bool {
    guard let best else { return figure.isFinite }
    switch (isMaximum, isRelative) {
    case (false, true): return figure < best * (1 - threshold)
    case (false, false): return figure < best - threshold
    case (true, true): return figure > best * (1 + threshold)
    case (true, false): return figure > best + threshold
    }
  }

  var state: JSON {
    .object(
      JSONObject([
        .init(key: "factor", value: .number(current)),
        .init(key: "best", value: best.map { .number($0) } ?? .null),
        .init(key: "bad_epochs", value: .integer(Int64(badEpochs))),
        .init(key: "cooldown", value: .integer(Int64(cooldownLeft))),
      ]))
  }

  mutating func restore(_ state: JSON) throws(StackLensError) {
    guard let factor = state["factor"]?.numberValue, (0...1).contains(factor),
      let bad = state["bad_epochs"]?.integerValue.flatMap({ Int32(exactly: $0) }), bad >= 0,
      let left = state["cooldown"]?.integerValue.flatMap({ Int32(exactly: $0) }), left >= 0,
      let kept = state["best"], kept.isNull || kept.numberValue != nil
    else { throw .formatError("the state needs factor, best, bad_epochs and cooldown") }
    current = factor
    best = kept.numberValue
    (badEpochs, cooldownLeft) = (Int(bad), Int(left))
  }
}
