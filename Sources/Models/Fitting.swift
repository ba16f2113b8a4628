import Base
import Execution
import Graphs
import Layers
import Tensors
import Training

/// One fit of a model: the data, the options, and what is learned on the way.
public final class Fitting {
  let arguments: Arguments
  let options: OptionValues
  var knowledge: Knowledge
  let seed: UInt64
  let threadCount: Int
  private let estimator: Estimator
  private let observe: Trainer.Observer
  private let networks: [NamedNetwork]
  private(set) var history = History()

  init(
    estimator: Estimator, _ knowledge: Knowledge, _ networks: [NamedNetwork],
    _ arguments: Arguments, _ options: OptionValues, _ observe: @escaping Trainer.Observer
  ) {
    (self.arguments, self.options, self.observe) = (arguments, options, observe)
    (self.knowledge, self.networks, self.estimator) = (knowledge, networks, estimator)
    (seed, threadCount) = (estimator.seed, estimator.threadCount)
  }

  /// Tells of a step of learning that no trainer's `fit` makes; false: it shall end.
  func report(step: Int, of count: Int, loss: Double) -> Bool {
    observe(
      .step(
        StepReport(
          step: step + 1, epoch: 0, batch: step, batchCount: count, loss: loss, gradientNorm: 0,
          learningRate: 0)))
  }

  /// Tells of a step of an epoch that no trainer's `fit` makes; false: learning shall end.
  func report(_ step: StepReport) -> Bool { observe(.step(step)) }

  /// Writes down an epoch that no trainer's `fit` makes, and tells of it; false: learning shall end.
  func report(_ epoch: EpochReport) -> Bool {
    history.epochs.append(epoch)
    return observe(.epoch(epoch))
  }

  /// Writes down that learning was ended from outside.
  func stopped() { history.end = .stopped }

  /// Trains a network and takes its parameters over.
  /// - Parameters:
  ///   - recipe: options of the trainer as JSON members: optimizer, schedule, clip_norm, metrics, and
  ///     the loss where it is not the network's output "loss".
  ///   - judge: says which epoch is best, in place of the loss on the validation rows.
  ///   - epochs: in place of the option, where that has no default.
  ///   - untouched: patterns of names of parameters that stay as they are.
  func train(
    _ network: Model, _ recipe: [String: JSON], on source: any BatchSource,
    validation: (any BatchSource)? = nil, judge: Judge? = nil, epochs: Int? = nil,
    untouched: [String] = []
  ) throws(StackLensError) {
    var members = recipe
    members["loss"] =
      recipe["loss"] ?? .object(JSONObject([.init(key: "output", value: .string("loss"))]))
    members["seed"] = .integer(Int64(seed))
    members["threads"] = .integer(Int64(threadCount))
    members["freeze"] = .array(
      ([Knowledge.statistics + "*"] + untouched).map { .string($0) })
    if recipe["learning_rate"] == nil, options.has("learning_rate") {
      members["learning_rate"] = .number(try options.number("learning_rate"))
    }
    if options.has("precision") { members["precision"] = .string(try options.text("precision")) }
    let settings = JSON.object(JSONObject(sorting: members))
    let trainer = try Trainer(knowledge.filled(network), TrainerOptions(settings))
    var plan = FitOptions()
    plan.epochs = if let epochs { epochs } else { try options.integer("epochs") }
    (plan.validation, plan.judge) = (validation, judge)
    if validation != nil, options.has("patience") {
      plan.patience = try options.integer("patience")
    }
    history = try trainer.fit(source, plan, observe: observe)
    try knowledge.take(from: trainer.model())
  }

  /// Runs a network with what was learned so far.
  func run(
    _ name: String = "", _ inputs: [String: Tensor]
  ) throws(StackLensError) -> [String: Tensor] {
    guard let network = networks.named(name) else {
      throw .internalError("there is no network '\(name)'")
    }
    return try compiled(knowledge.filled(network)).outputs(inputs)
  }

  /// - Parameter level: of optimisation; 0 for graphs in the form that runs.
  func compiled(_ model: Model, level: Int? = nil) throws(StackLensError) -> Session {
    try estimator.compiled(model, level: level)
  }

  /// Rows in an order that follows from the seed, those of similar length together.
  func order(
    _ count: Int, _ lengths: [Int], isShuffled: Bool
  ) throws(StackLensError) -> BatchOrder {
    BatchOrder(rowCount: count, lengths: lengths, try settings(isShuffled: isShuffled))
  }

  private func settings(isShuffled: Bool) throws(StackLensError) -> ArraySource.Options {
    var settings = ArraySource.Options()
    settings.batchSize = try options.integer("batch_size")
    settings.isShuffled = isShuffled
    settings.seed = seed
    return settings
  }

  /// Batches of rows in an order that follows from the seed.
  func batches(
    _ arrays: [String: Tensor], isShuffled: Bool = true
  ) throws(StackLensError) -> ArraySource {
    try ArraySource(arrays, settings(isShuffled: isShuffled))
  }

  /// What to learn from and what to judge by: what is given for that, else a share of all.
  func divided<Data: Divisible>(
    _ all: Data, given: Data?
  ) throws(StackLensError) -> (training: Data, validation: Data?) {
    guard all.count > 0 else {
      throw .invalidArgument("the data set is empty: 0 \(Data.unit)")
    }
    if let given { return (all, given) }
    let (training, validation) = try divided(rows: all.count)
    return (try all.taking(training), validation.isEmpty ? nil : try all.taking(validation))
  }

  /// Rows to learn from and rows to judge by: a share of all that the option "validation_share" names,
  /// drawn by the seed.
  func divided(rows count: Int) throws(StackLensError) -> (training: [Int], validation: [Int]) {
    guard count > 0 else { throw .invalidArgument("the data set is empty: 0 rows") }
    let share = try options.number("validation_share")
    let held = min(count - 1, Int((Double(count) * share).rounded()))
    var rows = Array(0..<count)
    var random = RandomGenerator(seed: seed ^ 0x5eed_0f_da7a)
    random.shuffle(&rows)
    return (rows[held...].sorted(), rows[..<held].sorted())
  }
}

/// Data of which some rows can be taken.
protocol Divisible {
  /// What rows are called in messages.
  static var unit: String { get }
  var count: Int { get }
  func taking(_ rows: [Int]) throws(StackLensError) -> Self
}

extension Divisible {
  static var unit: String { "rows" }
}

extension ArchitectureDefinition.Method {
  /// `fit` with the options that all trainings have.
  static func fit(
    _ documentation: String, inputs: [ArchitectureDefinition.Port], epochs: Int?,
    batchSize: Int = 32, learningRate: Double?, patience: Int, validationShare: Double = 0.1,
    options: [OptionSpec] = []
  ) -> Self {
    Self(
      "fit", documentation, inputs: inputs, outputs: [],
      options: [
        .integer("epochs", 1...1_000_000, default: epochs, "Passes over the data."),
        .integer("batch_size", 1...1 << 24, default: batchSize, "Rows of a step."),
        OptionSpec(
          "learning_rate", .number(0...1e6), default: learningRate.map { .number($0) } ?? .null,
          "Of the optimiser."),
        .integer(
          "patience", 1...1_000_000, default: patience,
          "Epochs without a better figure on the validation rows after which training ends."),
        .number(
          "validation_share", 0...0.9, default: validationShare,
          "Rows that are kept aside to judge by, where no validation data is given."),
        .choice("precision", ["fp32", "bf16"], default: "fp32", "Of matrix products."),
      ] + options)
  }
}
