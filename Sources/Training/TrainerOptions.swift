import Base
import Tensors

/// How a model is trained.
public struct TrainerOptions: Sendable {
  public var loss: LossPlan
  public var optimizer: Optimizer
  public var schedule: Schedule
  /// Largest norm of all gradients together; larger ones are scaled down to it.
  public var clipNorm: Double?
  /// Largest absolute value of a gradient's element.
  public var clipValue: Double?
  /// Batches whose gradients are averaged before the parameters move.
  public var accumulation = 1
  /// A moving average of the parameters that is kept beside them; nil: there is none.
  public var average: WeightAverage?
  /// Patterns of parameters that stay as they are, beside those that the model names itself.
  package var frozen: [Glob] = []
  public var metrics: [Metric] = []
  /// What all random numbers follow from: the order of the data, dropout.
  public var seed: UInt64 = 42
  /// Threads of one step; 0 means all processors the process may use. Never changes a result.
  public var threadCount = 0
  public var precision = Precision.float32
  /// Parts of the model whose inner values are computed again on the way back; 1 keeps everything.
  public var segments = 1
  /// Last steps of each row that gradients flow back through in recurrent layers; 0: all of them.
  public var recurrentSteps = 0
  /// Bytes that the values of one step may take.
  public var memoryLimit = usableMemoryByteCount / 10 * 8

  /// What products are computed in; parameters and all other values are float32.
  public enum Precision: String, Sendable, CaseIterable {
    case float32 = "fp32"
    case bfloat16 = "bf16"
  }

  /// - Parameter json: an object: "loss" is needed; "optimizer" (name or object), "learning_rate",
  ///   "schedule", "clip_norm", "clip_value", "accumulation", "ema" (a decay, or an object with "decay" and "warm_up"), "freeze", "metrics",
  ///   "seed", "threads", "precision", "recompute", "truncated_bptt", "memory_limit".
  package init(_ json: JSON) throws(StackLensError) {
    var options = try OptionReader(json, of: "the trainer")
    guard let loss = options.json("loss") else {
      throw .invalidArgument(
        "the trainer needs a \"loss\"; losses are \(Loss.names.joined(separator: ", "))")
    }
    self.loss = try LossPlan(loss)
    let rate = try options.number("learning_rate", in: 0...1e6)
    optimizer = try Self.optimizer(options.json("optimizer") ?? .string("adamw"), rate: rate)
    schedule = try Self.schedule(options.json("schedule"))
    clipNorm = try options.number(
      "clip_norm", in: .leastNonzeroMagnitude ... .greatestFiniteMagnitude)
    clipValue = try options.number(
      "clip_value", in: .leastNonzeroMagnitude ... .greatestFiniteMagnitude)
    accumulation = try options.integer("accumulation", default: 1, in: 1...1_000_000)
    if let average = options.json("ema") {
      let decay: JSON =
        average.numberValue == nil
        ? average
        : .object(JSONObject([.init(key: "decay", value: average)]))
      self.average = try WeightAverage(options: decay)
    }
    for pattern in try options.strings("freeze") ?? [] { frozen.append(try Glob(pattern)) }
    for name in try options.strings("metrics") ?? [] { metrics.append(try Metric(named: name)) }
    seed = UInt64(try options.integer("seed", default: 42, in: 0...Int.max))
    threadCount = try options.integer("threads", default: 0, in: 0...1024)
    let precision = try options.choice("precision", Precision.allCases.map(\.rawValue))
    self.precision = Precision(rawValue: precision) ?? .float32
    segments = try options.integer("recompute", default: 1, in: 1...10_000)
    recurrentSteps = try options.integer("truncated_bptt", default: 0, in: 1...Int(Int32.max))
    memoryLimit = try options.integer("memory_limit", default: memoryLimit, in: 1...Int.max)
    try options.finish()
  }

  private static func optimizer(
    _ json: JSON, rate: Double?
  ) throws(StackLensError) -> Optimizer {
    var (name, members) = try named(json, "optimizer")
    if let rate {
      guard members["learning_rate"] == nil else {
        throw .invalidArgument("\"learning_rate\" is given twice: beside and in the optimizer")
      }
      members = JSONObject(members.members + [.init(key: "learning_rate", value: .number(rate))])
    }
    name = name.isEmpty ? "adamw" : name
    return try Optimizer(named: name, options: .object(members))
  }

  private static func schedule(_ json: JSON?) throws(StackLensError) -> Schedule {
    let (name, members) = try named(json ?? .string("constant"), "schedule")
    return try Schedule(named: name, options: .object(members))
  }

  /// A name, or an object with a "name" and options.
  private static func named(
    _ json: JSON, _ what: String
  ) throws(StackLensError) -> (String, JSONObject) {
    if let name = json.stringValue { return (name, JSONObject([])) }
    guard let object = json.objectValue, let name = object["name"]?.stringValue else {
      throw .invalidArgument(
        "\"\(what)\" is a name or an object with a \"name\", found \(json.kind)")
    }
    return (name, JSONObject(object.members.filter { $0.key != "name" }))
  }
}
