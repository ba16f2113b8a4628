import Base
import Graphs
import Layers
import Tensors

/// Learns in which order event keys of a log follow each other in normal sessions; a key that is not
/// among the likely ones is an anomaly (DeepLog: Du et al., 2017). With `counts` it also sees how often
/// each key came so far in the session (as LogAnomaly does: Meng et al., 2019). With `quantities` it
/// also knows how often keys occur in whole sessions.
///
///     last h keys → embedding → LSTM → last state ┐
///     counts → log(1 + n) → Linear, ReLU ─────────┴→ Linear → the next key, or the end
struct LogKeyLSTM: Architecture {
  private let layout: KeyLayout
  private let embedding: Int
  private let hidden: Int
  private let layerCount: Int
  private let dropout: Double
  /// Whether it is judged how often keys occur in a session.
  private let hasQuantities: Bool
  /// Likely keys, one of which the next must be; nil: its probability decides.
  private let top: Int?

  static let definition = ArchitectureDefinition(
    "log_key_lstm", of: LogKeyLSTM.self,
    "An LSTM over event keys of log sessions: what comes next, and which sessions are anomalies.",
    options: [
      .integer("keys", 1...1 << 20, default: 28, "Event keys are 1 to this."),
      .integer("window", 1...1 << 12, default: 10, "Keys before the one that is judged."),
      .integer("embedding", 1...1 << 14, default: 64, "Width of a key's vector."),
      .integer("hidden", 1...1 << 14, default: 64, "Units of a layer."),
      .integer("layers", 1...64, default: 2, "Recurrent layers."),
      .number("dropout", OptionSpec.probability, default: 0, "Between the layers and after them."),
      .flag("padded", default: false, "Whether the first keys of a session are judged too."),
      .flag("end", default: false, "Whether it is judged where a session ends."),
      .flag("counts", default: false, "Whether counts of the keys so far are seen."),
      .flag(
        "quantities", default: false,
        "Whether it is judged how often keys occur in a whole session."),
      .choice(
        "rule", ["top", "probability"], default: "top",
        "What an anomaly is: a key that is not among the likely ones, or one of low probability."),
      .integer("top", 1...1 << 20, default: 9, "Keys that are likely, for the rule \"top\"."),
    ],
    fit: .fit(
      "Learns from normal sessions.",
      inputs: sessions("") + [
        .init("vectors", isOptional: true, "float32 [keys, embedding]: what keys start with.")
      ] + sessions("validation_", isOptional: true), epochs: 100, batchSize: 256,
      learningRate: 1e-3, patience: 10,
      options: [
        .number(
          "false_alarms", 0...1, default: 0.001,
          "The share of normal sessions that may be anomalies, parted among keys, the end and "
            + "quantities as far as they are judged.")
      ]),
    methods: [
      .init(
        "predict", "What follows each window.",
        inputs: [
          .init("keys", "int64 [rows, window]: oldest first, 0 before the start of a session."),
          .init("counts", isOptional: true, "float32 [rows, keys]: where the model sees counts."),
        ], outputs: [.init("logits", "float32 [rows, keys (+ 1)]: of keys 1 …, then of the end.")]),
      .init(
        "detect", "Which sessions are anomalies.", inputs: sessions(""),
        outputs: [
          .init("is_anomaly", "bool [sessions]."),
          .init("first_anomaly", "int64 [sessions]: the first unlikely step; -1 where none is."),
          .init(
            "worst_rank", "int64 [sessions]: 1 where every key was the likeliest; 0: none judged."),
          .init("surprise", "float32 [sessions]: the largest -log p of a key."),
          .init("end_surprise", "float32 [sessions]: -log p of the end; 0 where it is not judged."),
          .init(
            "has_known_counts",
            "bool [sessions]: whether keys occur as often as in normal sessions; true where that is "
              + "not judged."),
        ],
        options: [
          .integer("top", 1...1 << 20, default: nil, "In place of the model's rule."),
          OptionSpec(
            "threshold", .number(0...1e30), "In place of the model's rule: a key's largest -log p."),
          OptionSpec("end_threshold", .number(0...1e30), "The end's; found by fit unless given."),
        ]),
    ])

  private static func sessions(
    _ prefix: String, isOptional: Bool = false
  ) -> [ArchitectureDefinition.Port] {
    [
      .init(prefix + "keys", isOptional: isOptional, "int64 [sessions, longest]."),
      .init(prefix + "lengths", isOptional: isOptional, "int64 [sessions]: keys of each."),
    ]
  }

  init(_ options: OptionValues) throws(StackLensError) {
    layout = KeyLayout(
      keyCount: try options.integer("keys"), window: try options.integer("window"),
      isPadded: try options.flag("padded"), hasEnd: try options.flag("end"),
      hasCounts: try options.flag("counts"))
    embedding = try options.integer("embedding")
    hidden = try options.integer("hidden")
    layerCount = try options.integer("layers")
    dropout = try options.number("dropout")
    hasQuantities = try options.flag("quantities")
    top = try options.text("rule") == "top" ? options.integer("top") : nil
  }

  private func logits(_ network: Network) throws(StackLensError) -> Edge {
    let (batch, graph) = (Dimension.named("batch"), network.graph)
    let keys = network.input("keys", .int64, [batch, .fixed(layout.window)])
    let vectors = try network.embedding(
      "embedding", keys, count: layout.keyCount + 1, width: embedding, padding: 0)
    var settings = RecurrentSettings(.lstm, hiddenSize: hidden)
    settings.layerCount = layerCount
    settings.dropout = dropout
    let (_, h, _) = try network.recurrent("lstm", vectors, inputSize: embedding, settings)
    let top = try network.sliced(h, axis: 0, layerCount - 1..<layerCount)
    var state = graph.add("Squeeze", [top, try network.ints([0])])
    var width = hidden
    if layout.hasCounts {
      let counts = network.input("counts", .float32, [batch, .fixed(layout.keyCount)])
      let logs = graph.add("Log", [counts + (try graph.scalar("one", 1))])
      let seen = try network.activation("relu", network.linear("counts", logs, to: hidden))
      state = graph.add("Concat", [state, seen], ["axis": .int(1)])
      width += hidden
    }
    state = try network.dropout(state, dropout)
    return try network.linear("head", state, from: width, to: layout.classCount)
  }

  func networks(seed: UInt64) throws(StackLensError) -> [NamedNetwork] {
    let network = Network("log_key_lstm", seed: seed)
    network.output(try logits(network), "logits")
    return [NamedNetwork(try network.model())]
  }

  /// The network with its loss: the cross-entropy of what followed each window.
  private func training(seed: UInt64) throws(StackLensError) -> Model {
    let network = Network("log_key_lstm_training", seed: seed)
    let logits = try logits(network)
    let graph = network.graph
    let followers = network.input(
      "followers", .float32, [.named("batch"), .fixed(layout.classCount)])
    let logs = graph.add("LogSoftmax", [logits], ["axis": .int(-1)])
    func sum(_ values: Edge) -> Edge { graph.add("ReduceSum", [values], ["keepdims": .int(0)]) }
    network.output(graph.add("Neg", [sum(followers * logs)]) / sum(followers), "loss")
    return try network.model()
  }
}

extension LogKeyLSTM {
  func fit(_ fitting: Fitting) throws(StackLensError) {
    let arguments = fitting.arguments
    let known = 1...Int64(layout.keyCount)
    let isGiven = arguments.has("validation_keys")
    let (sessions, held) = try fitting.divided(
      KeySessions(arguments, "", known: known),
      given: isGiven ? KeySessions(arguments, "validation_", known: known) : nil)
    if arguments.has("vectors") { try take(arguments, &fitting.knowledge) }
    try fitting.train(
      training(seed: fitting.seed),
      ["optimizer": .string("adam")], on: KeyBatches(sessions, layout, fitting),
      validation: held.map { (held) throws(StackLensError) in
        try KeyBatches(held, layout, fitting, isShuffled: false)
      })
    try judge(sessions, held, fitting)
  }

  /// Notes what is normal: what was seen, how often, and the thresholds of surprise.
  private func judge(
    _ sessions: KeySessions, _ held: KeySessions?, _ fitting: Fitting
  ) throws(StackLensError) {
    let parts = 1 + (layout.hasEnd ? 1 : 0) + (hasQuantities ? 1 : 0)
    let share = try fitting.options.number("false_alarms") / Double(parts)
    if hasQuantities {
      let normal = held.map { [sessions, $0] } ?? [sessions]
      KeyQuantities(of: normal, newShare: share).remember(in: &fitting.knowledge)
    }
    let held = held ?? sessions
    let shortest = sessions.distinct.map(\.count).min() ?? 0
    let seen = sessions.keys.union(held.keys)
    fitting.knowledge.facts["shortest"] = .integer(Int64(shortest))
    fitting.knowledge.facts["seen"] = .array(seen.sorted().map { .integer($0) })
    // What these sessions hold is normal, however short they are.
    let verdicts = try KeyJudge(layout, seen: seen, shortest: 0).verdicts(held.distinct) {
      (inputs) throws(StackLensError) in try fitting.run("", inputs)
    }
    func note(_ name: String, _ surprise: (KeyJudge.Verdict) -> Float) {
      let all = held.places.map { Double(surprise(verdicts[$0])) }
      fitting.knowledge.facts[name] = .number(quantile(all, 1 - share))
    }
    note("threshold") { $0.surprise }
    if layout.hasEnd { note("end_threshold") { $0.endSurprise } }
  }

  /// Takes the vectors that keys start with; padding stays zero.
  private func take(
    _ arguments: Arguments, _ knowledge: inout Knowledge
  ) throws(StackLensError) {
    let vectors = try arguments.reals("vectors", [layout.keyCount, embedding])
    let zeros = [Float](repeating: 0, count: embedding)
    try knowledge.set(
      "embedding.weight",
      Tensor(
        zeros + vectors.elements(as: Float.self),
        shape: Shape([layout.keyCount + 1, embedding])))
  }

  func answer(_ call: Call) throws(StackLensError) -> [Value] {
    call.method == "predict" ? try predict(call) : try detect(call)
  }

  private func predict(_ call: Call) throws(StackLensError) -> [Value] {
    let keys = try call.arguments.integers(
      "keys", [nil, layout.window], in: 0..<layout.keyCount + 1)
    var inputs = ["keys": keys]
    if layout.hasCounts {
      let counts = try call.arguments.reals("counts", [keys.shape[0], layout.keyCount])
      for (index, count) in try counts.elements(as: Float.self).enumerated() where count < 0 {
        throw .invalidArgument("'counts' holds \(count) at \(index)")
      }
      inputs["counts"] = counts
    } else if call.arguments.has("counts") {
      throw .invalidArgument("the model sees no counts")
    }
    return try call.run("", inputs).answers("logits")
  }

  private func detect(_ call: Call) throws(StackLensError) -> [Value] {
    // Keys that are not known are what a detector is there for.
    let sessions = try KeySessions(call.arguments, "", known: 1...Int64.max)
    try call.requireFit()
    let seen = (call.knowledge.facts["seen"]?.arrayValue ?? []).compactMap(\.integerValue)
    let judge = KeyJudge(
      layout, seen: Set(seen.filter { 1...Int64(layout.keyCount) ~= $0 }),
      shortest: Int(clamping: call.knowledge.facts["shortest"]?.integerValue ?? 0),
      quantities: try KeyQuantities(call.knowledge))
    let verdicts = try judge.verdicts(sessions.distinct, limit: try limit(call)) {
      (inputs) throws(StackLensError) in try call.run("", inputs)
    }
    let each = sessions.places.map { verdicts[$0] }
    return [
      .tensor(try Tensor(each.map { $0.firstAnomaly != nil })),
      .tensor(try Tensor(each.map { Int64($0.firstAnomaly ?? -1) })),
      .tensor(try Tensor(each.map { Int64($0.worstRank) })),
      .tensor(try Tensor(each.map(\.surprise))),
      .tensor(try Tensor(each.map(\.endSurprise))),
      .tensor(try Tensor(each.map(\.hasKnownCounts))),
    ]
  }

  /// The rule of a call: the options', else the model's.
  private func limit(_ call: Call) throws(StackLensError) -> KeyJudge.Limit {
    let options = call.options
    let hasThreshold = options.has("threshold") || options.has("end_threshold")
    if options.has("top") {
      guard !hasThreshold else { throw .invalidArgument("give 'top' or thresholds, not both") }
      return .rank(try options.integer("top"))
    }
    if let top, !hasThreshold { return .rank(top) }
    func number(_ name: String) throws(StackLensError) -> Float {
      Float(options.has(name) ? try options.number(name) : try call.fact(name))
    }
    return .surprise(
      key: try number("threshold"), end: layout.hasEnd ? try number("end_threshold") : 0)
  }
}
