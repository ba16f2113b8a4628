import Base
import Graphs
import Layers
import Tensors
import Training

/// Writes one sequence after reading another: an encoder, and a decoder that looks back at the
/// encoder's states while it writes (Sutskever et al., 2014; Bahdanau et al., 2015; Luong et al., 2015).
///
///     source → embedding → LSTM → states ──→ attention ← state of the decoder
///                             ↘ bridge          ↓ context
///     token  → embedding ──────────→ LSTM → [state; context] → logits of the next token
struct Seq2Seq: Architecture {
  let settings: Settings

  /// What a model is made of.
  struct Settings: Sendable {
    let sourceVocabulary, targetVocabulary, width, hidden, layers: Int
    let isLSTM, isBidirectional: Bool
    /// nil: the context is the encoder's last state at every step.
    let score: ScoreKind?
    let dropout: Double

    /// Of the encoder's states.
    var stateWidth: Int { isBidirectional ? 2 * hidden : hidden }
    /// Whether the encoder's states are projected before they are compared.
    var hasKeys: Bool { score == .additive || score == .bilinear }
  }

  /// Ids that mean something; the words of a language come behind them.
  enum Token {
    static let padding = 0
    static let begin = 2
    static let end = 3
    static let count = 4
  }

  static let definition = ArchitectureDefinition(
    "seq2seq", of: Seq2Seq.self,
    "Writes one sequence after reading another: encoder, attention, decoder.",
    options: [
      .size("source_vocabulary", "Ids that are read, 0 to 3 among them.", isRequired: true),
      .size("target_vocabulary", "Ids that are written, 0 to 3 among them.", isRequired: true),
      .integer("width", 1...1 << 14, default: 64, "Of the vectors of ids."),
      .integer("hidden", 1...1 << 14, default: 128, "Units of a direction."),
      .integer("layers", 1...64, default: 1, "Recurrent layers of either side."),
      .choice("cell", ["lstm", "gru"], default: "lstm", "The recurrent cell."),
      .flag("bidirectional", default: false, "Whether the encoder reads in both directions."),
      .choice(
        "attention", ScoreKind.allCases.map(\.rawValue) + ["none"], default: "additive",
        "How states give scores."),
      .number("dropout", OptionSpec.probability, default: 0, "On vectors of ids and features."),
    ],
    fit: .fit(
      "Learns from pairs of sequences.",
      inputs: [
        .init("source", "int64 [rows, steps]: ids, 0 behind the last."),
        .init("target", "int64 [rows, steps]: ids, 0 behind the last; without begin and end."),
        .init("validation_source", isOptional: true, "Sequences to judge by."),
        .init("validation_target", isOptional: true, "What follows from them."),
      ], epochs: 20, learningRate: 1e-3, patience: 10,
      options: [
        .number(
          "teacher_forcing", 0...1, default: 1,
          "How often the decoder sees the true token before, and not its own, at first."),
        OptionSpec("teacher_forcing_end", .number(0...1), "The same in the last epoch."),
      ]),
    methods: [
      .init(
        "translate", "What follows from sequences.",
        inputs: [.init("source", "int64 [rows, steps]: ids, 0 behind the last.")],
        outputs: [
          .init("tokens", "int64 [rows, steps]: up to the end token, 0 behind it."),
          .init("finished", "bool [rows]: whether there is an end token."),
          .init("log_probability", "float32 [rows]: of the tokens."),
          .init("attention", "float32 [rows, steps, source steps]: 0 without attention."),
        ],
        options: [
          .integer("beam", 1...1024, default: 1, "Hypotheses that are kept; 1 is greedy."),
          .integer("max_length", 1...1 << 16, default: 100, "Tokens at most, the end among them."),
        ])
    ])

  init(_ options: OptionValues) throws(StackLensError) {
    let score = try options.text("attention")
    settings = Settings(
      sourceVocabulary: try options.integer("source_vocabulary"),
      targetVocabulary: try options.integer("target_vocabulary"),
      width: try options.integer("width"), hidden: try options.integer("hidden"),
      layers: try options.integer("layers"), isLSTM: try options.text("cell") == "lstm",
      isBidirectional: try options.flag("bidirectional"), score: ScoreKind(rawValue: score),
      dropout: try options.number("dropout"))
    let least = min(settings.sourceVocabulary, settings.targetVocabulary)
    guard least > Token.count else {
      throw .invalidArgument(
        "a vocabulary has \(least) ids; the first \(Token.count) are no words, it needs more")
    }
    guard settings.score != .dot || !settings.isBidirectional else {
      throw .invalidArgument(
        "'dot' compares states of one width; those of a bidirectional encoder are twice as wide")
    }
  }

  func fit(_ fitting: Fitting) throws(StackLensError) {
    let arguments = fitting.arguments
    let isGiven = arguments.has("validation_source") || arguments.has("validation_target")
    let (data, held) = try fitting.divided(
      SequencePairs(arguments, "", settings),
      given: isGiven ? SequencePairs(arguments, "validation_", settings) : nil)
    let steps = max(data.targetLength, held?.targetLength ?? 0) + 1
    let ratio = try TeacherForcing(fitting.options)
    try fitting.train(
      training(seed: fitting.seed, steps: steps, isForced: ratio.isAlways),
      ["optimizer": .string("adam"), "clip_norm": .number(1)],
      on: ratio.source(
        fitting.batches(data.arrays(steps: steps)), steps: steps, seed: fitting.seed),
      validation: held.map { (held) throws(StackLensError) in
        // What validation judges is how the next token is told, whatever training saw.
        try TeacherForcing.always(ratio).source(
          fitting.batches(held.arrays(steps: steps), isShuffled: false), steps: steps,
          seed: fitting.seed)
      })
  }

  func answer(_ call: Call) throws(StackLensError) -> [Value] {
    let source = try SequencePairs.ids(call.arguments, "source", settings.sourceVocabulary)
    if let empty = source.tokenCounts().firstIndex(of: 0) {
      throw .invalidArgument("the source in row \(empty) is empty")
    }
    try call.requireFit()
    let memory = try call.run("encoder", ["source": source])
    var decoder = Decoder(
      settings, sourceLength: source.shape[1], beam: try call.options.integer("beam"),
      maxLength: try call.options.integer("max_length"))
    let written = try decoder.sequences(rows: source.shape[0], memory) {
      (inputs) throws(StackLensError) in
      try call.run("decoder", inputs)
    }
    return try Decoder.values(written, sourceLength: source.shape[1])
  }
}
