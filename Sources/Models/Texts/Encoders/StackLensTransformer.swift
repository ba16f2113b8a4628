import Base
import Insight
import Layers
import Operators
import Tensors
import Training

/// Severity and category of an error from its text, and how far to trust the answer.
///
///     ids → BERT encoder → H; H + a vector for the technical term that covers a piece
///       → attention of all pieces to all → mean g
///       → severity, category, and σ(confidence / T)
///
/// The terms come in behind the encoder, so that what it was trained on stays as it is, and its states
/// can be kept while the rest learns.
struct StackLensTransformer: Architecture {
  static let severities = ["critical", "high", "medium", "low"]
  static let categories = [
    "database", "network", "timeout", "memory", "storage", "authentication", "configuration",
    "dependency", "application logic", "other",
  ]
  /// Rows of the table of terms.
  static let termCapacity = 5000
  static let temperature = Knowledge.statistics + "confidence_temperature"

  let encoder: EncoderPart
  let severities, categories, terms: [String]
  let attentionHeads: Int
  let maxLength: Int
  let startsFromEncoder: Bool
  /// Rows of the tables of n-grams; 0: spelling is not looked at.
  let spellingBuckets: Int

  var width: Int { encoder.settings.width }

  init(_ options: OptionValues) throws(StackLensError) {
    encoder = try EncoderPart(options)
    severities = try options.texts("severities")
    categories = try options.texts("categories")
    terms = try options.texts("terms")
    attentionHeads = try options.integer("attention_heads")
    startsFromEncoder = try options.text("term_start") == "encoder"
    spellingBuckets = try options.integer("spelling_buckets")
    guard spellingBuckets != 1 else {
      throw .invalidArgument(
        "'spelling_buckets' is 1: row 0 stands for no n-gram, n-grams need others")
    }
    let positions = encoder.settings.positions
    maxLength = try options.integerIfAny("max_length") ?? positions
    guard maxLength <= positions else {
      throw .invalidArgument(
        "'max_length' is \(maxLength), the encoder takes 3 to \(positions) pieces")
    }
    guard encoder.settings.width % attentionHeads == 0 else {
      throw .invalidArgument(
        "'attention_heads' is \(attentionHeads), which cannot share a width of "
          + "\(encoder.settings.width)")
    }
  }

  func beginning() throws(StackLensError) -> Beginning? { try encoder.beginning() }

  func fit(_ fitting: Fitting) throws(StackLensError) {
    let reading = Reading(self, fitting.knowledge)
    let isGiven = LabelledErrors.areGiven(fitting.arguments, "validation_")
    let (data, held) = try fitting.divided(
      LabelledErrors(fitting.arguments, "", reading),
      given: isGiven ? LabelledErrors(fitting.arguments, "validation_", reading) : nil)
    if startsFromEncoder, !fitting.knowledge.isFitted { try startTerms(fitting, reading) }
    try learnSpelling(fitting, data.texts)
    let isFrozen = try fitting.options.flag("freeze_encoder")
    let weights = try ClassWeights(data, self, fitting.options)
    let network = try training(seed: fitting.seed, isFrozen: isFrozen, weights, fitting.options)
    func source(_ rows: LabelledErrors, isShuffled: Bool) throws(StackLensError) -> ErrorBatches {
      try ErrorBatches(
        rows, states: isFrozen ? states(of: rows.texts, fitting) : nil,
        order: fitting.order(rows.count, rows.texts.lengths, isShuffled: isShuffled))
    }
    let batches = try source(data, isShuffled: true)
    let judged = try held.map { (held) throws(StackLensError) in
      try source(held, isShuffled: false)
    }
    let epochs = try fitting.options.integerIfAny("epochs") ?? (isFrozen ? 20 : 3)
    try fitting.train(
      network, try recipe(fitting.options, isFrozen, steps: epochs * (batches.batchCount ?? 1)),
      on: batches, validation: judged,
      judge: judged.map { judged in
        Judge("val_macro_f1") { (trainer) throws(StackLensError) in
          try ErrorFigures(trainer, judged).macroF1
        }
      }, epochs: epochs, untouched: data.unlabelledHeads)
    if let held { try calibrate(fitting, held) }
  }

  private func states(
    of texts: EncodedTexts, _ fitting: Fitting
  ) throws(StackLensError) -> EncoderStates {
    let session = try fitting.compiled(
      encoder.running(fitting.knowledge, .fp32), level: 0)
    return try EncoderStates(of: texts, session, width: width)
  }

  /// Warm-up, then a cosine.
  private func recipe(
    _ options: OptionValues, _ isFrozen: Bool, steps: Int
  ) throws(StackLensError) -> [String: JSON] {
    let schedule: [String: JSON] = [
      "name": .string("cosine"), "warmup_steps": .integer(Int64(min(500, steps / 10))),
    ]
    return [
      "optimizer": try EncoderPart.optimizer(
        options, isFrozen: isFrozen, plain: ["*bias"],
        heads: ["severity", "category", "confidence"]),
      "schedule": .object(JSONObject(sorting: schedule)), "clip_norm": .number(1),
      "learning_rate": .number(
        try options.has("learning_rate")
          ? options.number("learning_rate") : (isFrozen ? 1e-3 : 1e-4)),
    ]
  }

  /// What divides the confidence's logit, so that it fits how often answers of the held rows are right
  /// (Guo et al., 2017).
  private func calibrate(_ fitting: Fitting, _ held: LabelledErrors) throws(StackLensError) {
    let figures = try ErrorFigures(
      running(fitting.knowledge, .fp32), held, fitting, self)
    let temperature = figures.temperature
    try fitting.knowledge.set(
      Self.temperature, Tensor([Float(temperature)], shape: Shape([1])))
    fitting.knowledge.facts["confidence_temperature"] = .number(temperature)
  }

  /// Each term's vector: its pieces' mean state, centred over all terms, at a tenth of the size.
  private func startTerms(_ fitting: Fitting, _ reading: Reading) throws(StackLensError) {
    let texts = try reading.reader().read(terms)
    let found = try states(of: texts, fitting)
    var rows = [Float](repeating: 0, count: Self.termCapacity * width)
    var mean = [Float](repeating: 0, count: width)
    for term in terms.indices {
      // Without [CLS] and [SEP].
      let inner = found.rows(of: term).dropFirst().dropLast()
      for row in inner {
        for i in 0..<width { rows[term * width + i] += found[row, i] / Float(inner.count) }
      }
      for i in 0..<width { mean[i] += rows[term * width + i] / Float(terms.count) }
    }
    for term in terms.indices {
      for i in 0..<width { rows[term * width + i] = (rows[term * width + i] - mean[i]) * 0.1 }
    }
    try fitting.knowledge.set(
      "terms.weight", Tensor(rows, shape: Shape([Self.termCapacity, width])))
  }

  func answer(_ call: Call) throws(StackLensError) -> [Value] {
    let reading = Reading(self, call)
    if call.method == "tokenize" {
      let texts = try reading.reader().read(call.arguments.texts("text"))
      var arrays = try texts.padded(Array(0..<texts.count))
      if spellingBuckets == 0 { arrays.merge(try SpelledText.padded([])) { _, new in new } }
      return try arrays.answers(
        "input_ids", "attention_mask", "tech_ids", "spelling_ids", "spelling_weights")
    }
    try call.requireFit()
    if call.method == "forward" {
      return try call.run("", try PieceArrays(call.arguments, "", self).tensors)
        .answers(
          "severity_logits", "category_logits", "confidence", "embeddings", "attention_weights")
    }
    call.alert()
    let texts = try reading.reader().read(call.arguments.texts("text"))
    let precision: Precision = try call.options.choice("precision")
    let session = try call.derived("running " + precision.rawValue) {
      (knowledge) throws(StackLensError) in
      try call.compiled(running(knowledge, precision), level: 0)
    }
    return try ErrorAnswers(session, texts, self).values()
  }
}
