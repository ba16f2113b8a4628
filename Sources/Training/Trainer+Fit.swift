import Base
import Tensors

extension Trainer {
  /// Called with everything that happens; false ends training after the current batch.
  public typealias Observer = (TrainingEvent) -> Bool

  /// Goes over the data until the epochs are done, no better figure comes, or somebody stops it.
  /// Where a checkpoint was loaded it goes on from there.
  /// - Throws: `.invalidArgument` for an empty data set; `.nonFinite` where the data holds NaN, or
  ///   where the loss does after the learning rate was halved three times; what `observe`, the data
  ///   or a checkpoint's file give. The weights are those of the last whole step then.
  @discardableResult
  public func fit(
    _ data: any BatchSource, _ options: FitOptions = FitOptions(),
    observe: Observer = { _ in true }
  ) throws(StackLensError) -> History {
    try exclusively { () throws(StackLensError) in
      var run = Fit(trainer: self, data: data, options: options)
      return try run.run(observe)
    }
  }
}

/// One call of `fit`.
private struct Fit {
  let trainer: Trainer
  let data: any BatchSource
  let options: FitOptions
  var history = History()
  /// The batch that comes next, while it is made on another thread.
  private var next: BackgroundTask<Batch?>?
  /// Nanoseconds that the last batch took to make.
  private var preparation: Int64 = 0
  private var seconds = 0.0
  /// Warnings about gradients that were given; nobody needs them twice.
  private var said: Set<String> = []
  /// A batch that is made faster is not worth a thread.
  private static let backgroundNanoseconds: Int64 = 100_000
  private static let failureLimit = 3
  /// After so many epochs a classifier should beat the most frequent class by this much.
  private static let patientEpochs = 3
  private static let noProgress = 0.05

  init(trainer: Trainer, data: any BatchSource, options: FitOptions) {
    (self.trainer, self.data, self.options) = (trainer, data, options)
  }

  mutating func run(_ observe: Trainer.Observer) throws(StackLensError) -> History {
    trainer.isStopping = false
    try plan()
    while trainer.progress.epoch < options.epochs {
      let start = monotonicNanoseconds()
      let isWhole = try epoch(observe)
      seconds = Double(monotonicNanoseconds() - start) * 1e-9
      guard isWhole else {
        history.end = .stopped
        return history
      }
      let mayGoOn = try close(observe)
      guard mayGoOn else { break }
    }
    if options.validation != nil, options.restoresBest, let best = trainer.best {
      trainer.restore(best)
    }
    return history
  }

  /// Tells a schedule that goes over all steps how many there are.
  private func plan() throws(StackLensError) {
    guard trainer.schedule.needsTotalSteps else { return }
    guard let batches = data.batchCount else {
      throw .invalidArgument(
        "schedule '\(trainer.schedule.name)' needs total_steps: the data does not say how many "
          + "batches it has")
    }
    let (count, overflow) = batches.multipliedReportingOverflow(by: options.epochs)
    guard !overflow else { throw .limitExceeded("\(options.epochs) epochs have too many batches") }
    try trainer.schedule.plan(totalSteps: max(1, count / trainer.options.accumulation))
  }

  /// The batches of an epoch from where training stands; false where somebody stopped it.
  private mutating func epoch(_ observe: Trainer.Observer) throws(StackLensError) -> Bool {
    while let batch = try take() {
      prepare()
      let place = (trainer.progress.epoch, trainer.progress.batch, data.batchCount)
      guard let report = try step(batch, place, observe) else {
        trainer.progress.batch += 1
        continue
      }
      let rows = data.exampleCount(of: batch)
      trainer.progress.batch += 1
      trainer.progress.lossSum += report.loss * Double(rows)
      trainer.progress.normSum += report.gradientNorm * Double(rows)
      trainer.progress.examples += rows
      var mayGoOn = observe(.step(report))
      if options.gradientReportInterval > 0,
        (report.step - 1) % options.gradientReportInterval == 0
      {
        for text in try trainer.gradientReport().warnings where said.insert(text).inserted {
          mayGoOn = observe(.warning("step \(report.step): \(text)")) && mayGoOn
        }
      }
      if options.checkpointInterval > 0, report.step % options.checkpointInterval == 0 {
        mayGoOn = try checkpoint(observe) && mayGoOn
      }
      guard mayGoOn, !trainer.isStopping else { return false }
    }
    return true
  }

  /// The batch at the place where training stands.
  private mutating func take() throws(StackLensError) -> Batch? {
    if let task = next {
      next = nil
      return try task.wait()
    }
    let start = monotonicNanoseconds()
    defer { preparation = monotonicNanoseconds() - start }
    return try data.batch(trainer.progress.batch, ofEpoch: trainer.progress.epoch)
  }

  /// Has the batch behind the current one made while that is computed with.
  private mutating func prepare() {
    guard preparation > Self.backgroundNanoseconds else { return }
    let (index, epoch) = (trainer.progress.batch + 1, trainer.progress.epoch)
    next = BackgroundTask { [data] () throws(StackLensError) in
      try data.batch(index, ofEpoch: epoch)
    }
  }

  /// One step; nil where its numbers were not finite and it was left out.
  private mutating func step(
    _ batch: Batch, _ place: (epoch: Int, batch: Int, count: Int?), _ observe: Trainer.Observer
  ) throws(StackLensError) -> StepReport? {
    switch try trainer.step(batch, at: place) {
    case .done(let report): return report
    case .diverged(let error):
      guard trainer.progress.failures < Self.failureLimit else { throw error }
      trainer.progress.failures += 1
      trainer.progress.rateFactor /= 2
      _ = observe(
        .warning("\(error.message). The batch is left out and the learning rate halved."))
      return nil
    }
  }

  /// The end of an epoch: validation, schedule, best weights, checkpoint.
  private mutating func close(_ observe: Trainer.Observer) throws(StackLensError) -> Bool {
    let progress = trainer.progress
    guard progress.examples > 0 else {
      throw .invalidArgument("the data set is empty: epoch \(progress.epoch) had no batch")
    }
    let loss = progress.lossSum / Double(progress.examples)
    var validation: [(name: String, value: Double)] = []
    if let data = options.validation {
      let (figures, majority) = try trainer.evaluation(of: data)
      validation = figures.map { ($0.name == "loss" ? "val_loss" : $0.name, $0.value) }
      warnOfNoProgress(figures, majority, observe)
    }
    if let judge = options.judge { validation.append((judge.name, try judge.figure(trainer))) }
    let (figure, isBetterUp) = try monitored(loss, validation)
    let isBest = isBetter(figure, than: progress.bestFigure, up: isBetterUp)
    let rate = trainer.learningRate
    trainer.schedule.observe(figure, isBetterUp: isBetterUp)
    trainer.progress.epoch += 1
    trainer.progress.batch = 0
    (trainer.progress.lossSum, trainer.progress.normSum, trainer.progress.examples) = (0, 0, 0)
    if isBest {
      trainer.progress.bestFigure = figure
      trainer.progress.epochsSinceBest = 0
      if options.validation != nil, options.restoresBest {
        trainer.best = try trainer.weights.snapshot()
      }
    } else {
      trainer.progress.epochsSinceBest += 1
    }
    let report = EpochReport(
      epoch: progress.epoch, loss: loss, validation: validation, learningRate: rate,
      gradientNorm: progress.normSum / Double(progress.examples), seconds: seconds, isBest: isBest)
    history.epochs.append(report)
    var mayGoOn = observe(.epoch(report))
    if options.checkpointPath != nil { mayGoOn = try checkpoint(observe) && mayGoOn }
    if let patience = options.patience, trainer.progress.epochsSinceBest > patience {
      history.end = .early
      return false
    }
    if !mayGoOn || trainer.isStopping {
      history.end = .stopped
      return false
    }
    return true
  }

  /// Says so where some epochs taught no more than to name the most frequent class.
  private func warnOfNoProgress(
    _ figures: [(name: String, value: Double)], _ majority: Double?, _ observe: Trainer.Observer
  ) {
    guard trainer.progress.epoch + 1 == Self.patientEpochs, let majority,
      let accuracy = figures.first(where: { $0.name == Metric.accuracy.rawValue })?.value,
      accuracy < majority + Self.noProgress
    else { return }
    _ = observe(
      .warning(
        "after \(Self.patientEpochs) epochs the accuracy is \(accuracy), while always naming the most "
          + "frequent class gives \(majority): look at the labels, the learning rate, or weigh classes"
      ))
  }

  private func checkpoint(_ observe: Trainer.Observer) throws(StackLensError) -> Bool {
    guard let path = options.checkpointPath else { return true }
    try trainer.save(to: path)
    return observe(.checkpoint(path: path))
  }

  /// The figure that says which epoch is best, and whether more of it is better.
  private func monitored(
    _ loss: Double, _ validation: [(name: String, value: Double)]
  ) throws(StackLensError) -> (Double, Bool) {
    let figures = [("loss", loss)] + validation
    let name =
      options.monitor ?? options.judge?.name ?? (validation.isEmpty ? "loss" : "val_loss")
    guard let figure = figures.first(where: { $0.0 == name })?.1 else {
      throw .invalidArgument(
        "there is no figure '\(name)' to monitor; there are "
          + figures.map(\.0).joined(separator: ", "))
    }
    let isBetterUp = name == options.judge?.name || Metric(rawValue: name)?.isBetterUp ?? false
    return (figure, isBetterUp)
  }

  private func isBetter(_ figure: Double, than best: Double?, up: Bool) -> Bool {
    guard let best else { return figure.isFinite }
    return up ? figure > best + options.minimumDelta : figure < best - options.minimumDelta
  }
}
