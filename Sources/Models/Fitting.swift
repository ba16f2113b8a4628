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
  private let observe: Trainer.Observer
  /// Of all trainings one after another.
  private(set) var history = History()

  init(
    estimator: Estimator, _ knowledge: Knowledge, _ arguments: Arguments, _ options: OptionValues,
    _ observe: @escaping Trainer.Observer
  ) {
    (self.arguments, self.options, self.observe) = (arguments, options, observe)
    (self.knowledge, seed, threadCount) = (knowledge, estimator.seed, estimator.threadCount)
  }

  /// Tells of a step of learning that no trainer's `fit` makes; false: it shall end.
  func report(step: Int, of count: Int, loss: Double) -> Bool {
    observe(
      .step(
        StepReport(
          step: step + 1, epoch: 0, batch: step, batchCount: count, loss: loss, gradientNorm: 0,
          learningRate: 0)))
  }

  /// Trains a network and takes its parameters over.
  /// - Parameters:
  ///   - recipe: options of the trainer as JSON members: loss, optimizer, schedule, clip_norm, metrics.
  ///   - monitor: the figure that says which epoch is best.
  func train(
    _ network: Model, _ recipe: [String: JSON], on source: any BatchSource,
    validation: (any BatchSource)? = nil, monitor: String? = nil
  ) throws(StackLensError) {
    var members = recipe
    members["seed"] = .integer(Int64(seed))
    members["threads"] = .integer(Int64(threadCount))
    members["freeze"] = .array([.string(Knowledge.statistics + "*")])
    if options.has("learning_rate") {
      members["learning_rate"] = .number(try options.number("learning_rate"))
    }
    if options.has("precision") { members["precision"] = .string(try options.text("precision")) }
    let settings = JSONObject(
      members.sorted { $0.key < $1.key }.map { JSONObject.Member(key: $0.key, value: $0.value) })
    let trainer = try Trainer(knowledge.filled(network), TrainerOptions(.object(settings)))
    var plan = FitOptions()
    plan.epochs = try options.integer("epochs")
    plan.validation = validation
    plan.monitor = monitor
    if validation != nil, options.has("patience") {
      plan.patience = try options.integer("patience")
    }
    history = try trainer.fit(source, plan, observe: observe)
    try knowledge.take(from: trainer.model())
  }

  /// Runs a network with what was learned so far.
  func run(
    _ network: NamedNetwork, _ inputs: [String: Tensor]
  ) throws(StackLensError) -> [String: Tensor] {
    var options = SessionOptions()
    options.threadCount = threadCount
    let session = try Session(knowledge.filled(network.model), options: options)
    return try session.outputs(inputs)
  }

  /// Batches of rows in an order that follows from the seed.
  func batches(
    _ arrays: [String: Tensor], isShuffled: Bool = true, lengthMask: String? = nil
  ) throws(StackLensError) -> ArraySource {
    var settings = ArraySource.Options()
    settings.batchSize = try options.integer("batch_size")
    settings.isShuffled = isShuffled
    settings.seed = seed
    settings.lengthMask = lengthMask
    return try ArraySource(arrays, settings)
  }

  /// The rows to learn from and those to judge by: given ones, or a share of all that the option
  /// "validation_share" names, drawn by the seed.
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

extension ArchitectureDefinition.Method {
  /// `fit` with the options that all trainings have.
  static func fit(
    _ documentation: String, inputs: [ArchitectureDefinition.Port], epochs: Int,
    batchSize: Int = 32,
    learningRate: Double, patience: Int, validationShare: Double = 0.1, options: [OptionSpec] = []
  ) -> Self {
    Self(
      "fit", documentation, inputs: inputs, outputs: [],
      options: [
        .integer("epochs", 1...1_000_000, default: epochs, "Passes over the data."),
        .integer("batch_size", 1...1 << 24, default: batchSize, "Rows of a step."),
        .number("learning_rate", 0...1e6, default: learningRate, "Of the optimiser."),
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
