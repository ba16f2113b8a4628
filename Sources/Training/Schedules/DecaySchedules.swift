import Base
import Glibc

/// f + (1 - f)(1 - t / T)^power over T steps, f being `min_factor`, which stays from then on.
struct PolynomialSchedule: ScheduleCurve {
  private let length: Int
  private let power: Double
  private let least: Double

  init(_ options: inout OptionReader, _ setting: inout ScheduleSetting) throws(StackLensError) {
    let power = try options.number("power", default: 1, in: .positive)
    try self.init(&options, &setting, power: power)
  }

  fileprivate init(
    _ options: inout OptionReader, _ setting: inout ScheduleSetting, power: Double
  ) throws(StackLensError) {
    self.power = power
    length = try setting.length(&options)
    least = try options.number("min_factor", default: 0, in: .share)
  }

  func factor(step: Int, epoch: Int) -> Double {
    let left = 1 - Double(min(step, length)) / Double(length)
    return least + (1 - least) * pow(left, power)
  }
}

/// The polynomial of power 1: a straight line.
struct LinearSchedule: ScheduleCurve {
  private let line: PolynomialSchedule

  init(_ options: inout OptionReader, _ setting: inout ScheduleSetting) throws(StackLensError) {
    line = try PolynomialSchedule(&options, &setting, power: 1)
  }

  func factor(step: Int, epoch: Int) -> Double { line.factor(step: step, epoch: epoch) }
}

/// f + (1 - f)(1 + cos(π t / T)) / 2 over T steps, f being `min_factor`, which stays from then on
/// (Loshchilov and Hutter, "SGDR", 2017).
struct CosineSchedule: ScheduleCurve {
  private let length: Int
  private let least: Double

  init(_ options: inout OptionReader, _ setting: inout ScheduleSetting) throws(StackLensError) {
    length = try setting.length(&options)
    least = try options.number("min_factor", default: 0, in: .share)
  }

  func factor(step: Int, epoch: Int) -> Double {
    cosine(from: 1, to: least, Double(min(step, length)) / Double(length))
  }
}

/// The cosine from the start again after `period` steps, or epochs with `unit` epoch, each period
/// `period_factor` times as long as the one before (Loshchilov and Hutter, "SGDR", 2017).
struct CosineRestartsSchedule: ScheduleCurve {
  private let period: Int
  private let growth: Int
  private let least: Double
  private let unit: ScheduleUnit

  init(_ options: inout OptionReader, _ setting: inout ScheduleSetting) throws(StackLensError) {
    guard let period = try options.integer("period", in: 1...Int(Int32.max)) else {
      throw .invalidArgument("option 'period' of \(setting.owner) is missing")
    }
    self.period = period
    growth = try options.integer("period_factor", default: 1, in: 1...1000)
    least = try options.number("min_factor", default: 0, in: .share)
    unit = try ScheduleUnit(&options, default: .step)
  }

  func factor(step: Int, epoch: Int) -> Double {
    var time = unit.time(step: step, epoch: epoch)
    var length = period
    if growth == 1 {
      time %= period
    } else {
      while time >= length {
        time -= length
        let (longer, overflow) = length.multipliedReportingOverflow(by: growth)
        length = overflow ? .max : longer
      }
    }
    return cosine(from: 1, to: least, Double(time) / Double(length))
  }
}

/// Up from 1 / div_factor to 1 over the first `pct_start` of the steps, then down to
/// 1 / (div_factor · final_div_factor), along cosines or lines; with `three_phase` down to the start first,
/// as long as it went up, and then further (Smith and Topin, "Super-convergence", 2018).
struct OneCycleSchedule: ScheduleCurve {
  /// Where each phase ends, and the factor there.
  private let phases: [(end: Double, factor: Double)]
  private let start: Double
  private let isLinear: Bool

  init(_ options: inout OptionReader, _ setting: inout ScheduleSetting) throws(StackLensError) {
    let length = Double(try setting.length(&options))
    let share = try options.number("pct_start", default: 0.3, in: 1e-6...1 - 1e-6)
    start = 1 / (try options.number("div_factor", default: 25, in: .positive))
    let last = start / (try options.number("final_div_factor", default: 1e4, in: .positive))
    isLinear = try options.choice("anneal_strategy", ["cos", "linear"]) == "linear"
    let peak = share * length - 1
    phases =
      try options.bool("three_phase", default: false)
      ? [(peak, 1), (2 * share * length - 2, start), (length - 1, last)]
      : [(peak, 1), (length - 1, last)]
  }

  func factor(step: Int, epoch: Int) -> Double {
    let time = Double(step)
    var (begin, from) = (0.0, start)
    for (index, phase) in phases.enumerated() {
      if time <= phase.end || index == phases.count - 1 {
        let length = phase.end - begin
        let share = length > 0 ? min(1, (time - begin) / length) : 1
        return isLinear
          ? from + (phase.factor - from) * share : cosine(from: from, to: phase.factor, share)
      }
      (begin, from) = phase
    }
    return from
  }
}

/// Half a cosine wave between two numbers.
private func cosine(from start: Double, to end: Double, _ share: Double) -> Double {
  end + (start - end) * (1 + cos(.pi * share)) / 2
}
