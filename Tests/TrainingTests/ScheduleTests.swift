import Base
import Tensors
import TestSupport
import Testing

@testable import Training

struct ScheduleTests {
  static let cases = TrainingGolden.cases("schedules")

  @Test func everyScheduleHasACase() {
    #expect(Set(Self.cases.map { $0.text("name") }) == Set(Schedule.names))
  }

  @Test(arguments: cases) func ratesAgreeWithPyTorch(_ test: TrainingGolden.Case) throws {
    let rates = try TrainingGolden.tensor("schedule/\(test.text("case"))").elements(as: Double.self)
    var schedule = try Schedule(named: test.text("name"), options: test.options)
    let metrics =
      test.json["observes"]?.boolValue == true
      ? try TrainingGolden.tensor("schedule/\(test.text("case"))/metrics").elements(as: Double.self)
      : nil
    #expect(rates.count == 50)
    for (time, rate) in rates.enumerated() {
      let found = schedule.factor(step: time, epoch: time)
      #expect(abs(found - rate) <= 1e-12 * max(1, rate), "time \(time): \(found), not \(rate)")
      guard let metrics else { continue }
      schedule.observe(metrics[time])
      // What a checkpoint keeps is enough to go on.
      let state = try JSON.parse(schedule.state.encoded())
      schedule = try Schedule(named: test.text("name"), options: test.options)
      try schedule.restore(state)
    }
  }

  @Test(arguments: Schedule.names) func staysFiniteForEver(_ name: String) throws {
    let needed = [
      "step": #"{"step_size": 3}"#, "multi_step": #"{"milestones": [2]}"#,
      "exponential": #"{"gamma": 0.5}"#, "cosine_restarts": #"{"period": 2, "period_factor": 3}"#,
    ]
    let schedule = try Schedule(
      named: name, options: json(needed[name] ?? "{}"), totalSteps: 10)
    for time in [0, 1, 9, 10, 11, 1_000_000, Int(Int32.max)] {
      let factor = schedule.factor(step: time, epoch: time)
      #expect(factor >= 0 && factor <= 1, "\(time): \(factor)")
    }
  }

  @Test func totalStepsOfTheTrainerAreTheDefault() throws {
    let given = try Schedule(named: "linear", options: json(#"{"total_steps": 7}"#), totalSteps: 9)
    #expect(given.factor(step: 7, epoch: 0) == 0)
    var counted = try Schedule(named: "linear", options: json(#"{"warmup_steps": 2}"#))
    #expect(counted.needsTotalSteps && counted.factor(step: 1, epoch: 0) == 0.5)
    #expect(counted.factor(step: 6, epoch: 0) == 1)
    try counted.plan(totalSteps: 10)
    #expect(!counted.needsTotalSteps && counted.factor(step: 6, epoch: 0) == 0.5)
    try counted.plan(totalSteps: 99)
    #expect(counted.factor(step: 10, epoch: 0) == 0)
    #expect(failure { _ = try Schedule(named: "linear", totalSteps: 0) } != nil)
  }

  @Test func figuresSayWhichWayIsBetter() throws {
    let options = try json(#"{"patience": 0, "factor": 0.5}"#)
    var schedule = try Schedule(named: "reduce_on_plateau", options: options)
    for accuracy in [0.5, 0.6, 0.7] { schedule.observe(accuracy, isBetterUp: true) }
    #expect(schedule.factor(step: 0, epoch: 0) == 1)
    schedule.observe(0.69999, isBetterUp: true)
    #expect(schedule.factor(step: 0, epoch: 0) == 0.5)
  }

  @Test func whatIsNoNumberIsNeverBetter() throws {
    var schedule = try Schedule(named: "reduce_on_plateau", options: json(#"{"patience": 1}"#))
    for metric in [Double.nan, .nan] { schedule.observe(metric) }
    #expect(schedule.factor(step: 0, epoch: 0) == 0.1)
  }

  @Test(arguments: [
    ("cosinus", "{}", "no schedule 'cosinus'"), ("cosine", #"{"total_steps": 0}"#, "total_steps"),
    ("cosine", #"{"total_steps": 5, "warmup_steps": 5}"#, "more than the 5"),
    ("step", "{}", "step_size"), ("step", #"{"step_size": 0}"#, "step_size"),
    ("multi_step", #"{"milestones": "x"}"#, "milestones"),
    ("exponential", #"{"gamma": -1}"#, "gamma"), ("constant", #"{"gamma": 1}"#, "no option"),
    ("step", #"{"step_size": 2, "unit": "day"}"#, "one of epoch, step"),
    ("one_cycle", #"{"total_steps": 5, "pct_start": 1}"#, "pct_start"),
    ("cosine_restarts", #"{"period": 2, "period_factor": 0}"#, "period_factor"),
  ])
  func refusesOptions(_ name: String, _ options: String, _ message: String) throws {
    let json = try json(options)
    let error = failure { _ = try Schedule(named: name, options: json) }
    #expect(error?.status == .invalidArgument)
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
  }

  @Test(arguments: ["null", "{}", #"{"factor": 2, "best": 1, "bad_epochs": 0, "cooldown": 0}"#])
  func refusesForeignStates(_ text: String) throws {
    var schedule = try Schedule(named: "reduce_on_plateau")
    let state = try json(text)
    #expect(failure { try schedule.restore(state) }?.status == .formatError)
  }
}
