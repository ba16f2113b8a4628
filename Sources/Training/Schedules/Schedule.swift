import Base

/// What becomes of the learning rate over the steps: a factor of the optimiser's.
///
/// Options that all schedules know: `warmup_steps` and `warmup_start`: the factor rises from
/// `warmup_start` (0) to 1 over that many steps in a straight line, and the schedule begins behind them
/// (Goyal et al., "Accurate, large minibatch SGD", 2017). Schedules over a length take `total_steps`,
/// the warm-up included.
public struct Schedule: Sendable {
  /// The name that it was made by.
  public let name: String
  /// Whether `total_steps` is not said yet: until `plan` does, the factor is 1 behind the warm-up.
  public private(set) var needsTotalSteps: Bool
  private var curve: any ScheduleCurve
  private let warmUp: (steps: Int, start: Double)
  private let options: JSON

  private static let curves: [(name: String, type: any ScheduleCurve.Type)] = [
    ("constant", ConstantSchedule.self), ("step", StepSchedule.self),
    ("multi_step", MultiStepSchedule.self), ("exponential", ExponentialSchedule.self),
    ("polynomial", PolynomialSchedule.self), ("linear", LinearSchedule.self),
    ("cosine", CosineSchedule.self), ("cosine_restarts", CosineRestartsSchedule.self),
    ("one_cycle", OneCycleSchedule.self), ("reduce_on_plateau", ReduceOnPlateau.self),
  ]

  /// The schedules there are.
  public static var names: [String] { curves.map(\.name) }

  /// - Parameter totalSteps: `total_steps` where the options do not say it.
  /// - Throws: `.invalidArgument` for a name or an option that is not known, or a value that is not
  ///   taken.
  package init(
    named name: String, options json: JSON = .null, totalSteps: Int? = nil
  ) throws(StackLensError) {
    guard let type = Self.curves.first(where: { $0.name == name })?.type else {
      throw .invalidArgument(
        "there is no schedule '\(name)'; known are \(Self.names.joined(separator: ", "))")
    }
    let owner = "schedule '\(name)'"
    var options = try OptionReader(json, of: owner)
    let steps = try options.integer("warmup_steps", default: 0)
    let start = try options.number("warmup_start", default: 0, in: .share)
    var setting = ScheduleSetting(warmUpSteps: steps, totalSteps: totalSteps, owner: owner)
    curve = try type.init(&options, &setting)
    try options.finish()
    self.name = name
    self.options = json
    needsTotalSteps = setting.isMissingTotal
    warmUp = (steps, start)
  }

  /// Says how many steps there are, where the options do not.
  /// - Throws: `.invalidArgument` where the warm-up alone takes as many.
  public mutating func plan(totalSteps: Int) throws(StackLensError) {
    guard needsTotalSteps else { return }
    self = try Schedule(named: name, options: options, totalSteps: totalSteps)
  }

  /// The factor of step `step` of epoch `epoch`, both from 0 on.
  public func factor(step: Int, epoch: Int) -> Double {
    func later(_ step: Int) -> Double {
      needsTotalSteps ? 1 : curve.factor(step: step, epoch: epoch)
    }
    if step < warmUp.steps {
      let share = Double(step) / Double(warmUp.steps)
      return (warmUp.start + (1 - warmUp.start) * share) * later(0)
    }
    return later(step - warmUp.steps)
  }

  /// Tells the schedule what a figure was at the end of an epoch.
  /// - Parameter isBetterUp: whether more of it is better.
  public mutating func observe(_ figure: Double, isBetterUp: Bool = false) {
    curve.observe(figure, isBetterUp: isBetterUp)
  }

  /// What the schedule remembers of the past, null for those that go by steps and epochs alone.
  package var state: JSON { curve.state }

  /// Goes on where another schedule of the same options was.
  /// - Throws: `.formatError` for what is no state of this schedule.
  package mutating func restore(_ state: JSON) throws(StackLensError) {
    do throws(StackLensError) { try curve.restore(state) } catch {
      throw error.within("schedule '\(name)'")
    }
  }
}

/// How a factor goes down, and up.
protocol ScheduleCurve: Sendable {
  init(
    _ options: inout OptionReader, _ setting: inout ScheduleSetting
  ) throws(StackLensError)

  func factor(step: Int, epoch: Int) -> Double

  mutating func observe(_ figure: Double, isBetterUp: Bool)
  var state: JSON { get }
  mutating func restore(_ state: JSON) throws(StackLensError)
}

extension ScheduleCurve {
  mutating func observe(_ figure: Double, isBetterUp: Bool) {}
  var state: JSON { .null }
  mutating func restore(_ state: JSON) throws(StackLensError) {
    guard state.isNull else { throw .formatError("a state of \(state.kind), expected none") }
  }
}

/// What a curve is made for.
struct ScheduleSetting {
  let warmUpSteps: Int
  let totalSteps: Int?
  let owner: String
  /// Whether a curve asked for a length that nobody has said.
  private(set) var isMissingTotal = false

  init(warmUpSteps: Int, totalSteps: Int?, owner: String) {
    (self.warmUpSteps, self.totalSteps, self.owner) = (warmUpSteps, totalSteps, owner)
  }

  /// How many steps there are behind the warm-up; 1 where that is not known yet.
  mutating func length(_ options: inout OptionReader) throws(StackLensError) -> Int {
    guard let total = try options.integer("total_steps", in: 1...Int(Int32.max)) ?? totalSteps
    else {
      isMissingTotal = true
      return 1
    }
    guard total > warmUpSteps else {
      throw .invalidArgument(
        "option 'total_steps' of \(owner) is \(total), expected more than the \(warmUpSteps) of "
          + "the warm-up")
    }
    return total - warmUpSteps
  }
}

/// What a schedule counts: steps or epochs.
enum ScheduleUnit: String, CaseIterable, Sendable {
  case epoch, step

  /// Option `unit`, epochs unless it is said otherwise.
  init(
    _ options: inout OptionReader, default fallback: Self = .epoch
  ) throws(StackLensError) {
    let others = Self.allCases.filter { $0 != fallback }
    let word = try options.choice("unit", ([fallback] + others).map(\.rawValue))
    self = Self(rawValue: word) ?? fallback
  }

  func time(step: Int, epoch: Int) -> Int { self == .step ? step : epoch }
}
