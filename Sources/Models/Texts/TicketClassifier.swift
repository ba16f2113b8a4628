import Base
import Graphs
import Layers
import Tensors

/// Labels of a ticket from its description and, where there is one, its resolution: a branch reads
/// each, and an attention weighs the two.
///
///     description → embedding → LSTM → 64 → f_d ↘
///                                               α_d f_d + α_r f_r → a logit for each label
///     resolution  → embedding → LSTM → 64 → f_r ↗
struct TicketClassifier: Architecture {
  let settings: Settings

  /// What a classifier is made of.
  struct Settings: Sendable {
    let vocabulary, length, labels, width, hidden: Int
    let isMultiLabel, isTransformer, isBidirectional, isShared: Bool
  }

  static let definition = ArchitectureDefinition(
    "ticket_classifier", of: TicketClassifier.self,
    "Labels of tickets from descriptions and resolutions: two branches and attention over them.",
    options: [
      .integer(
        "vocabulary", 3...1 << 20, default: 10_000,
        "Ids of words, those of padding and of unknown words among them."),
      .integer("length", 1...1 << 14, default: 100, "Words of a text; what is longer is cut."),
      .integer("labels", 1...1 << 16, default: 10, "Labels there are."),
      .flag("multi_label", default: true, "Whether a ticket may have several labels, or none."),
      .choice("branch", ["lstm", "transformer"], default: "lstm", "What reads a text."),
      .flag("bidirectional", default: false, "Whether an LSTM reads in both directions."),
      .flag("shared", default: false, "Whether one branch reads both texts."),
      .integer("width", 4...1 << 12, default: 128, "Of word vectors."),
      .integer("hidden", 1...1 << 12, default: 64, "Of an LSTM's states and of features."),
    ],
    fit: .fit(
      "Learns from tickets, given as texts or as ids.",
      inputs: columns("") + [
        .init(
          "labels",
          "int64 [rows, labels]: 1 or 0, -100 where it is not known; or, where a ticket has one "
            + "label, [rows].")
      ]
        + columns("validation_").map {
          ArchitectureDefinition.Port($0.name, isOptional: true, $0.documentation)
        } + [.init("validation_labels", isOptional: true, "As labels.")],
      epochs: 50, learningRate: 1e-3, patience: 10,
      options: [
        .flag(
          "tune_thresholds", default: false,
          "Whether each label gets the threshold with the best F1 on the validation rows, not 0.5.")
      ]),
    methods: [
      .init(
        "classify", "What labels tickets have.", inputs: columns(""),
        outputs: [
          .init("logits", "float32 [rows, labels]."),
          .init("probabilities", "float32 [rows, labels]."),
          .init("branch_attention", "float32 [rows, 2]: of description and resolution."),
          .init("labels", "bool [rows, labels]: what reaches its threshold, or the likeliest."),
        ]),
      .init(
        "ids", "The ids of the words of texts.", inputs: [.init("texts", "string [rows].")],
        outputs: [.init("ids", "int64 [rows, length]: 0 behind the last word.")]),
    ])

  private static func columns(_ prefix: String) -> [ArchitectureDefinition.Port] {
    [
      .init(prefix + "description", isOptional: true, "string [rows]; empty where there is none."),
      .init(prefix + "resolution", isOptional: true, "string [rows]; empty where there is none."),
      .init(prefix + "description_ids", isOptional: true, "int64 [rows, steps], in their place."),
      .init(prefix + "resolution_ids", isOptional: true, "int64 [rows, steps], in their place."),
    ]
  }

  init(_ options: OptionValues) throws(StackLensError) {
    let isTransformer = try options.text("branch") == "transformer"
    settings = Settings(
      vocabulary: try options.integer("vocabulary"), length: try options.integer("length"),
      labels: try options.integer("labels"), width: try options.integer("width"),
      hidden: try options.integer("hidden"), isMultiLabel: try options.flag("multi_label"),
      isTransformer: isTransformer, isBidirectional: try options.flag("bidirectional"),
      isShared: try options.flag("shared"))
    guard !(isTransformer && settings.isBidirectional) else {
      throw .invalidArgument("'bidirectional' is for branches that are LSTMs")
    }
    guard !isTransformer || settings.width % Self.heads == 0 else {
      throw .invalidArgument(
        "'width' is \(settings.width), which \(Self.heads) heads cannot share")
    }
  }

  func fit(_ fitting: Fitting) throws(StackLensError) {
    let isGiven = Tickets.areGiven(fitting.arguments, "validation_")
    let (data, held) = try fitting.divided(
      Tickets(fitting.arguments, "", settings),
      given: isGiven ? Tickets(fitting.arguments, "validation_", settings) : nil)
    let vectorizer = data.hasTexts ? data.vectorizer(size: settings.vocabulary) : nil
    vectorizer?.remember(in: &fitting.knowledge)
    let knowledge = fitting.knowledge
    let size = settings.vocabulary
    func words() throws(StackLensError) -> WordVectorizer {
      if let vectorizer { return vectorizer }
      return try WordVectorizer(knowledge, size: size)
    }
    let rows = try data.arrays(words, settings)
    let judged = try held.map { (held) throws(StackLensError) in
      try held.arrays(words, settings)
    }
    try fitting.train(
      training(seed: fitting.seed),
      ["optimizer": .string("adam"), "clip_norm": .number(1)],
      on: fitting.batches(rows),
      validation: judged.map { (rows) throws(StackLensError) in
        try fitting.batches(rows, isShuffled: false)
      })
    guard settings.isMultiLabel else { return }
    var thresholds = Thresholds(count: settings.labels)
    if try fitting.options.flag("tune_thresholds") {
      guard let judged, let held else {
        throw .invalidArgument("thresholds need validation rows to be tuned on: there are none")
      }
      var inputs = judged
      inputs["labels"] = nil
      let outputs = try fitting.run("", inputs)
      thresholds = try Thresholds(best: outputs.tensor("probabilities"), for: held.labels)
    }
    thresholds.remember(in: &fitting.knowledge)
  }

  func answer(_ call: Call) throws(StackLensError) -> [Value] {
    try call.requireFit()
    func words() throws(StackLensError) -> WordVectorizer {
      try WordVectorizer(call.knowledge, size: settings.vocabulary)
    }
    if call.method == "ids" {
      let texts = try call.arguments.texts("texts")
      return [.tensor(try words().tensor(texts, length: settings.length, isTrimmed: false))]
    }
    let texts = try TicketTexts(call.arguments, "", settings)
    let outputs = try call.run("", texts.arrays(words, settings))
    let probabilities = try outputs.tensor("probabilities")
    let labels =
      settings.isMultiLabel
      ? try Thresholds(call.knowledge, count: settings.labels).reached(by: probabilities)
      : try probabilities.likeliest()
    return try outputs.answers("logits", "probabilities", "branch_attention") + [.tensor(labels)]
  }
}

extension Tensor {
  /// Whether each number of float32 [rows, width] is the first of the largest ones of its row.
  fileprivate func likeliest() throws(StackLensError) -> Tensor {
    let numbers = base.assumingMemoryBound(to: Float.self)
    let width = shape[1]
    var flags = [Bool](repeating: false, count: count)
    for row in 0..<shape[0] {
      var best = row * width
      for place in row * width..<(row + 1) * width where numbers[place] > numbers[best] {
        best = place
      }
      flags[best] = true
    }
    return try Tensor(flags, shape: shape)
  }
}
