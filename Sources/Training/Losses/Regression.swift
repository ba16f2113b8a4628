import Base
import Graphs

/// (x - t)². Option: `reduction`.
struct MeanSquaredError: LossMethod {
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    let distance = scope.distance()
    return try scope.total(distance * distance, reduction)
  }
}

/// |x - t|. Option: `reduction`.
struct MeanAbsoluteError: LossMethod {
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    try scope.total(scope.apply("Abs", scope.distance()), reduction)
  }
}

/// d² / 2 for a distance |d| below δ, δ (|d| - δ / 2) beyond (Huber, 1964). Options: `delta` (1),
/// `reduction`.
struct Huber: LossMethod {
  private let delta: Double
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    delta = try options.number("delta", default: 1, in: .positive)
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    try scope.total(scope.huber(delta), reduction)
  }
}

/// Huber's loss by β: d² / (2 β) for |d| below β, |d| - β / 2 beyond; |d| for β = 0 (Girshick, "Fast R-CNN",
/// 2015). Options: `beta` (1), `reduction`.
struct SmoothL1: LossMethod {
  private let beta: Double
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    beta = try options.number("beta", default: 1, in: .notNegative)
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    let loss =
      beta > 0
      ? try scope.huber(beta) * scope.number(1 / beta) : scope.apply("Abs", scope.distance())
    return try scope.total(loss, reduction)
  }
}

extension LossScope {
  /// Output 0 less target 0.
  func distance() -> Edge {
    let x = output(0)
    return x - target(0, like: x)
  }

  /// d² / 2 below δ, δ (|d| - δ / 2) beyond.
  fileprivate func huber(_ delta: Double) throws(StackLensError) -> Edge {
    let distance = distance()
    let size = apply("Abs", distance)
    let isNear = graph.add("Less", [size, try number(delta)])
    return try choose(
      isNear, distance * distance * number(0.5), (size - number(delta / 2)) * number(delta))
  }
}
