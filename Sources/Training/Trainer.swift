import Base
import CPlatform
import Exchange
import Execution
import Graphs
import Operators
import Tensors

/// Trains a model: computes gradients of a loss batch by batch and lets an optimiser move the
/// parameters.
///
/// The same model, data, options and seed give the same weights to the last bit, with any number of
/// threads, also where training was interrupted and went on from a checkpoint. For one thread at a
/// time; a second one is refused. `stop` may be called from anywhere.
public final class Trainer: @unchecked Sendable {  // every entry goes through `exclusively`
  public let options: TrainerOptions
  /// The model; its parameters are those that training moves.
  private(set) var source: Model
  private let frozen: [Glob]
  private let owner = Mutex<(thread: Int64, depth: Int)>((0, 0))
  private let stopping = Mutex(false)
  let parallel: Parallel

  var progress = Progress()
  private(set) var weights: Weights
  private(set) var gradients: FlatBuffer
  /// Where a step writes its outputs: gradients into their buffer, the rest where it likes.
  private var destinations: [Tensor?] = []
  private(set) var accumulated: FlatBuffer?
  private(set) var states: [FlatBuffer] = []
  private(set) var average: FlatBuffer?
  var schedule: Schedule
  private var groups: Optimizer.GroupedParameters
  /// All parameters in the order in which an optimiser walks over them.
  private var chunks: FlatChunks
  /// The weights of the best epoch so far.
  var best: Weights.Snapshot?
  private var programs: [ProgramKey: StepProgram] = [:]
  /// Names of the initialisers that are weights of the trainer's.
  private var adopted: Set<String> = []
  private static let smallByteCount = 1 << 16

  private struct ProgramKey: Hashable {
    enum Kind { case training, evaluation, prediction }
    let kind: Kind
    let targets: [String: ElementType]
  }

  /// - Throws: `.invalidArgument` where nothing can be trained; `.unsupported` naming an operator
  ///   without a gradient between the parameters and the loss, at the first step.
  public init(_ model: Model, _ options: TrainerOptions) throws(StackLensError) {
    source = model
    self.options = options
    let frozen = try model.frozenPatterns() + options.frozen
    self.frozen = frozen
    schedule = options.schedule
    parallel = Parallel(
      options.threadCount == 1 ? nil : ThreadPool.withThreads(options.threadCount))
    let parameters = model.parameters.filter { !frozen.match($0.name) }
    guard !parameters.isEmpty else {
      throw .invalidArgument(
        model.parameters.isEmpty
          ? "the model has no parameters to train"
          : "nothing to train: all \(model.parameters.count) parameters of the model are frozen")
    }
    let names = model.graph.runningStatistics.filter { !frozen.match($0) }
    weights = try Weights(
      parameters, statistics: model.graph.initializers.filter { names.contains($0.name) })
    gradients = try FlatBuffer(count: 0)
    groups = options.optimizer.grouped([])
    chunks = FlatChunks([], throughGaps: true)
    try adoptWeights()
    try makeRoom()
  }

  /// Lets the model hold the weights that training moves in place of those that it came with, and copies
  /// of what is small: the file that it was read from need not stay in memory for them.
  private func adoptWeights() throws(StackLensError) {
    var own: [String: Tensor] = [:]
    for span in weights.space.spans { own[span.name] = weights.values.tensor(span) }
    for (name, tensor) in weights.statistics { own[name] = tensor }
    for index in source.graph.initializers.indices {
      let constant = source.graph.initializers[index]
      if let tensor = own[constant.name] {
        source.graph.initializers[index].tensor = tensor
      } else if adopted.contains(constant.name) || constant.tensor.byteCount <= Self.smallByteCount
      {
        source.graph.initializers[index].tensor = try constant.tensor.copied()
      }
    }
    adopted = Set(own.keys)
  }

  /// Memory beside the weights, in their layout.
  private func makeRoom() throws(StackLensError) {
    let space = weights.space
    gradients = try FlatBuffer(space)
    destinations = [nil] + space.spans.map(gradients.tensor) + weights.statistics.map { _ in nil }
    groups = options.optimizer.grouped(space.spans)
    chunks = FlatChunks(space.spans, throughGaps: true)
    states = try options.optimizer.makeStates(space)
    if options.accumulation > 1 { accumulated = try FlatBuffer(space) }
    if options.average != nil {
      let copy = try FlatBuffer(space)
      copy.all.copyElements(from: weights.values.all)
      average = copy
    }
  }

  /// Names of what is trained.
  public var parameterNames: [String] { weights.space.spans.map(\.name) }

  /// Updates of the parameters so far.
  public var stepCount: Int { progress.step }

  /// Asks a running `fit` to end after its current batch.
  public func stop() { stopping.withLock { $0 = true } }

  var isStopping: Bool {
    get { stopping.withLock { $0 } }
    set { stopping.withLock { $0 = newValue } }
  }

  /// Calls `body` unless another thread is inside; callbacks may come back in.
  func exclusively<Result>(
    _ body: () throws(StackLensError) -> Result
  ) throws(StackLensError) -> Result {
    let thread = slp_thread_id()
    let isOurs = owner.withLock { owner in
      guard owner.depth == 0 || owner.thread == thread else { return false }
      owner = (thread, owner.depth + 1)
      return true
    }
    guard isOurs else {
      throw .invalidArgument("the trainer is in use by another thread; call stop and wait for it")
    }
    defer { owner.withLock { $0.depth -= 1 } }
    return try body()
  }

  // MARK: Programs

  /// The types of a batch's targets.
  private func targets(_ batch: Batch) -> [String: ElementType] {
    var types: [String: ElementType] = [:]
    for name in options.loss.targets { types[name] = batch[name]?.elementType }
    return types
  }

  private func trainingProgram(_ batch: Batch) throws(StackLensError) -> StepProgram {
    let key = ProgramKey(kind: .training, targets: targets(batch))
    if let program = programs[key] { return program }
    let training = try TrainingGraph(
      source, loss: options.loss, targets: key.targets, isFrozen: frozen.match,
      segments: options.segments, recurrentSteps: options.recurrentSteps)
    try keep(training.parameters, statistics: training.statistics)
    let program = try StepProgram(
      training.graph, batch: training.batch, isRandom: training.isRandom,
      roundsProducts: options.precision == .bfloat16, options)
    programs[key] = program
    return program
  }

  /// Leaves out parameters that the loss does not depend on.
  func keep(
    _ parameters: [Initializer], statistics: [Initializer]
  ) throws(StackLensError) {
    guard parameters.map(\.name) != parameterNames else { return }
    guard progress.step == 0 else {
      throw .invalidArgument("the loss depends on other parameters than at the first step")
    }
    weights = try Weights(parameters, statistics: statistics)
    try adoptWeights()
    try makeRoom()
    programs = [:]
  }

  private func evaluationProgram(_ batch: Batch?) throws(StackLensError) -> StepProgram {
    let key = ProgramKey(
      kind: batch == nil ? .prediction : .evaluation, targets: batch.map(targets) ?? [:])
    if let program = programs[key] { return program }
    let graph = try EvaluationGraph(
      source, weights: parameterNames + weights.statistics.map(\.name), loss: options.loss,
      targets: batch == nil ? nil : key.targets)
    let program = try StepProgram(graph.graph, batch: graph.batch, isRandom: false, options)
    programs[key] = program
    return program
  }

  // MARK: Steps

  /// One batch: gradients, and an update once enough batches have given theirs.
  /// - Throws: `.nonFinite` where data, loss or gradients hold NaN or infinity: the parameters are
  ///   as before then.
  @discardableResult
  public func step(_ batch: Batch) throws(StackLensError) -> StepReport {
    try exclusively { () throws(StackLensError) in
      guard !schedule.needsTotalSteps else {
        throw .invalidArgument(
          "schedule '\(schedule.name)' needs total_steps where steps are taken one by one")
      }
      switch try step(batch, at: (progress.epoch, progress.batch, nil)) {
      case .done(let report): return report
      case .diverged(let error): throw error
      }
    }
  }

  /// What came of a batch.
  enum StepOutcome {
    case done(StepReport)
    /// The data is finite, the loss or a gradient is not; the parameters are as before.
    case diverged(StackLensError)
  }

  /// - Throws: `.nonFinite` where the batch holds NaN or infinity.
  func step(
    _ batch: Batch, at place: (epoch: Int, batch: Int, count: Int?)
  ) throws(StackLensError) -> StepOutcome {
    let program = try trainingProgram(batch)
    let seed = Int64(truncatingIfNeeded: options.seed &* 0x9e37_79b9 &+ UInt64(progress.batches))
    let outputs: [Value]
    do throws(StackLensError) {
      outputs = try program.run(batch, seed: seed, weights.tensors, into: destinations)
    } catch { throw error.within("training step \(progress.step + 1)") }
    let loss = Double(try outputs[0].tensor().elements(as: Float.self).first ?? .nan)
    let norm = loss.isFinite ? GlobalNorm.of(gradients, chunks, parallel: parallel) : .nan
    guard norm.isFinite else {
      try requireFinite(batch)
      return .diverged(divergence(loss: loss))
    }
    progress.batches += 1
    let rate = learningRate
    var statistics: [Tensor] = []
    for output in outputs.dropFirst(1 + weights.space.spans.count) {
      statistics.append(try output.tensor())
    }
    weights.update(statistics: statistics)
    if let accumulated {
      accumulated.add(gradients, parallel: parallel)
      progress.pending += 1
      if progress.pending == options.accumulation {
        let total = GlobalNorm.of(accumulated, chunks, parallel: parallel)
        update(from: accumulated, norm: total / Double(options.accumulation), rate: rate)
        accumulated.clear()
        progress.pending = 0
      }
    } else {
      update(from: gradients, norm: norm, rate: rate)
    }
    return .done(
      StepReport(
        step: progress.step, epoch: place.epoch, batch: place.batch, batchCount: place.count,
        loss: loss, gradientNorm: norm, learningRate: rate))
  }

  /// The rate of the next update.
  public var learningRate: Double {
    options.optimizer.learningRate * progress.rateFactor
      * schedule.factor(step: progress.step, epoch: progress.epoch)
  }

  private func update(from gradients: FlatBuffer, norm: Double, rate: Double) {
    var scale = 1 / Float(options.accumulation)
    if let limit = options.clipNorm { scale *= GlobalNorm.scale(norm: norm, limit: limit) }
    progress.step += 1
    options.optimizer.update(
      weights.values, gradients: gradients, states: states, parameters: groups, rate: rate,
      gradientScale: scale, gradientLimit: options.clipValue.map { Float($0) } ?? .infinity,
      step: progress.step, parallel: parallel)
    if let average {
      options.average?.update(
        average, with: weights.values, step: progress.step, parallel: parallel)
    }
  }

  /// - Throws: `.nonFinite` naming the first tensor and row with NaN or infinity.
  private func requireFinite(_ batch: Batch) throws(StackLensError) {
    for (name, tensor) in batch.sorted(by: { $0.key < $1.key }) {
      guard let place = tensor.firstNonFinite else { continue }
      let row = tensor.rank == 0 ? 0 : place / max(1, tensor.count / max(1, tensor.shape.dims[0]))
      throw .nonFinite(
        "'\(name)' holds NaN or infinity, first in row \(row) of the batch (element \(place)); "
          + "the parameters are as before step \(progress.step + 1)")
    }
  }

  /// What is wrong where a step gave no number for data that is all right.
  private func divergence(loss: Double) -> StackLensError {
    let what = loss.isFinite ? "a gradient is" : "the loss is"
    return .nonFinite(
      "\(what) not finite at step \(progress.step + 1), learning rate \(learningRate); the "
        + "parameters are as before: lower the learning rate, or clip gradients with clip_norm")
  }

  /// Norms and oddities of the last step's gradients, parameter by parameter.
  public func gradientReport() throws(StackLensError) -> GradientReport {
    try exclusively { () throws(StackLensError) in
      GradientReport(weights.space, gradients, weights.values)
    }
  }

  // MARK: Results

  /// The model with the current weights; their moving average where one is kept and wanted.
  public func model(averaged: Bool = false) throws(StackLensError) -> Model {
    try exclusively { () throws(StackLensError) in
      if averaged, average == nil {
        throw .invalidArgument("no moving average is kept: set ema")
      }
      return try weights.model(source, values: averaged ? average : nil)
    }
  }

  /// Moves the weights towards those of another trainer of the same model: share 1 copies them.
  package func moveWeights(towards other: Trainer, share: Float) throws(StackLensError) {
    try exclusively { () throws(StackLensError) in
      guard parameterNames == other.parameterNames,
        weights.values.count == other.weights.values.count
      else { throw .invalidArgument("the trainers are of different models") }
      let (own, goal) = (weights.values.values, other.weights.values.values)
      for index in 0..<weights.values.count { own[index] += share * (goal[index] - own[index]) }
    }
  }

  /// The model's outputs for a batch, with the current weights.
  public func predict(_ batch: Batch) throws(StackLensError) -> [Value] {
    try exclusively { () throws(StackLensError) in
      let program = try evaluationProgram(nil)
      let outputs = try program.run(batch, seed: 0, weights.tensors)
      var own: [Value] = []
      for output in outputs { own.append(try output.detached { _ in true }) }
      return own
    }
  }

  /// Loss and metrics over a data set, with the current weights, averaged over its examples.
  public func evaluate(
    _ data: any BatchSource
  ) throws(StackLensError) -> [(name: String, value: Double)] {
    try exclusively { () throws(StackLensError) in try evaluation(of: data).figures }
  }

  /// - Returns: the figures, and the share of the most frequent class where classes are counted.
  func evaluation(
    of data: any BatchSource
  ) throws(StackLensError) -> (figures: [(name: String, value: Double)], majority: Double?) {
    var sums = MetricSums(options.metrics)
    var (loss, count) = (0.0, 0)
    var index = 0
    while let batch = try data.batch(index, ofEpoch: 0) {
      let program = try evaluationProgram(batch)
      let outputs = try program.run(batch, seed: 0, weights.tensors)
      let rows = data.exampleCount(of: batch)
      loss += Double(try outputs[0].tensor().elements(as: Float.self)[0]) * Double(rows)
      count += rows
      if !options.metrics.isEmpty, outputs.count > 1,
        let target = options.loss.targets.first.flatMap({ batch[$0] })
      {
        try sums.add(try outputs[1].tensor(), target)
      }
      index += 1
    }
    guard count > 0 else { throw .invalidArgument("the data set is empty: 0 rows") }
    return ([("loss", loss / Double(count))] + sums.values, sums.majority)
  }
}

extension Tensor {
  /// The place of the first float32 or float64 that is NaN or infinite.
  fileprivate var firstNonFinite: Int? {
    switch elementType {
    case .float32:
      return UnsafeBufferPointer(start: base.assumingMemoryBound(to: Float.self), count: count)
        .firstIndex { !$0.isFinite }
    case .float64:
      return UnsafeBufferPointer(start: base.assumingMemoryBound(to: Double.self), count: count)
        .firstIndex { !$0.isFinite }
    default: return nil
    }
  }
}
