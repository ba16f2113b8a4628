import Base
import Glibc

/// 1 throughout: the rate itself, behind a warm-up if there is one.
struct ConstantSchedule: ScheduleCurve {
  init(_ options: inout OptionReader, _ setting: inout ScheduleSetting) throws(StackLensError) {}

  func factor(step: Int, epoch: Int) -> Double { 1 }
}

/// γ^⌊t / step_size⌋, t counting epochs or, with `unit` step, steps.
struct StepSchedule: ScheduleCurve {
  private let size: Int
  private let gamma: Double
  private let unit: ScheduleUnit

  init(_ options: inout OptionReader, _ setting: inout ScheduleSetting) throws(StackLensError) {
    guard let size = try options.integer("step_size", in: 1...Int(Int32.max)) else {
      throw .invalidArgument("option 'step_size' of \(setting.owner) is missing")
    }
    self.size = size
    gamma = try options.number("gamma", default: 0.1, in: .notNegative)
    unit = try ScheduleUnit(&options)
  }

  func factor(step: Int, epoch: Int) -> Double {
    pow(gamma, Double(unit.time(step: step, epoch: epoch) / size))
  }
}

/// γ^n behind the first n of the milestones.
struct MultiStepSchedule: ScheduleCurve {
  private let milestones: [Double]
  private let gamma: Double
  private let unit: ScheduleUnit

  init(_ options: inout OptionReader, _ setting: inout ScheduleSetting) throws(StackLensError) {
    guard let milestones = try options.numbers("milestones") else {
      throw .invalidArgument("option 'milestones' of \(setting.owner) is missing")
    }
    self.milestones = milestones
    gamma = try options.number("gamma", default: 0.1, in: .notNegative)
    unit = try ScheduleUnit(&options)
  }

  func factor(step: Int, epoch: Int) -> Double {
    let time = Double(unit.time(step: step, epoch: epoch))
    return pow(gamma, Double(milestones.count { $0 <= time }))
  }
}

/// γ^t.
struct ExponentialSchedule: ScheduleCurve {
  private let gamma: Double
  private let unit: ScheduleUnit

  init(_ options: inout OptionReader, _ setting: inout ScheduleSetting) throws(StackLensError) {
    guard let gamma = try options.number("gamma", in: .notNegative) else {
      throw .invalidArgument("option 'gamma' of \(setting.owner) is missing")
    }
    self.gamma = gamma
    unit = try ScheduleUnit(&options)
  }

  func factor(step: Int, epoch: Int) -> Double {
    pow(gamma, Double(unit.time(step: step, epoch: epoch)))
  }
}
