import Base
import Graphs
import Layers
import Tensors
import Training

/// Whether a short text is of a kind: the state of a recurrent layer after its last word.
///
///     text → embedding → LSTM → state at the last word → Linear → probability
struct SentimentClassifier: Architecture {
  private let vocabulary, length, width, hidden: Int
  private let cell: RecurrentCell
  private let hasRecurrentBias: Bool

  static let definition = ArchitectureDefinition(
    "sentiment_classifier", of: SentimentClassifier.self,
    "Whether a short text is of a kind: a recurrent layer and what it holds after the last word.",
    options: [
      .integer(
        "vocabulary", 3...1 << 20, default: 10_000,
        "Ids of words, those of padding and of unknown words among them."),
      .integer("length", 1...1 << 14, default: 50, "Words of a text; what is longer is cut."),
      .integer("width", 1...1 << 12, default: 32, "Of word vectors."),
      .integer("hidden", 1...1 << 12, default: 64, "Of states."),
      .choice("cell", ["lstm", "gru", "rnn"], default: "lstm", "The recurrent cell."),
      .integer(
        "biases", 1...2, default: 2, "For each gate: of the input, and of the state beside it."),
    ],
    fit: .fit(
      "Learns from texts, or from the ids of their words.",
      inputs: columns("") + [.init("labels", "int64 [rows]: 1, 0 or -100 where it is not known.")]
        + columns("validation_") + [
          .init("validation_labels", isOptional: true, "As labels.")
        ], epochs: 20, learningRate: 1e-3, patience: 5),
    methods: [
      .init(
        "classify", "What texts are.", inputs: columns(""),
        outputs: [
          .init("probabilities", "float32 [rows]."), .init("labels", "bool [rows]: from 0.5 on."),
        ])
    ])

  private static func columns(_ prefix: String) -> [ArchitectureDefinition.Port] {
    [
      .init(prefix + "text", isOptional: true, "string [rows]."),
      .init(prefix + "text_ids", isOptional: true, "int64 [rows, steps], in their place."),
    ]
  }

  init(_ options: OptionValues) throws(StackLensError) {
    vocabulary = try options.integer("vocabulary")
    length = try options.integer("length")
    width = try options.integer("width")
    hidden = try options.integer("hidden")
    switch try options.text("cell") {
    case "gru": cell = .gru(resetAfter: true)
    case "rnn": cell = .rnn(relu: false)
    default: cell = .lstm
    }
    hasRecurrentBias = try options.integer("biases") == 2
  }

  private func logits(_ network: Network) throws(StackLensError) -> Edge {
    let ids = network.input("text_ids", .int64, [.named("batch"), .named("steps")])
    let x = try network.embedding(
      "embedding", ids, count: vocabulary, width: width, padding: WordVectorizer.padding,
      weight: .normal(mean: 0, std: 0.1))
    var settings = RecurrentSettings(cell, hiddenSize: hidden)
    settings.initialization = .orthogonal
    settings.hasRecurrentBias = hasRecurrentBias
    let h = try network.recurrent(
      "rnn", x, lengths: network.tokenCounts(ids), inputSize: width, settings
    ).h
    let state = network.graph.add("Squeeze", [h, try network.ints([0])])
    let column = try network.linear("head", state, from: hidden, to: 1)
    return network.graph.add("Squeeze", [column, try network.ints([1])])
  }

  func networks(seed: UInt64) throws(StackLensError) -> [NamedNetwork] {
    let network = Network("sentiment_classifier", seed: seed)
    let logits = try logits(network)
    network.output(logits, "logits")
    network.output(network.graph.add("Sigmoid", [logits]), "probabilities")
    return [NamedNetwork(try network.model())]
  }

  private func training(seed: UInt64) throws(StackLensError) -> Model {
    let network = Network("sentiment_classifier_training", seed: seed)
    let logits = try logits(network)
    let labels = network.input("labels", .float32, [.named("batch")])
    network.output(try network.maskedBinaryCrossEntropy(logits, labels), "loss")
    return try network.model()
  }

  /// Texts with their labels.
  private struct Data: Divisible {
    let texts: TextColumn
    let labels: Tensor
    var count: Int { texts.count }

    func taking(_ rows: [Int]) throws(StackLensError) -> Data {
      Data(texts: try texts.taking(rows), labels: try labels.rows(rows))
    }
  }

  private func texts(
    _ arguments: Arguments, _ prefix: String
  ) throws(StackLensError) -> TextColumn {
    guard
      let column = try TextColumn(
        arguments, prefix + "text", vocabulary: vocabulary, length: length)
    else { throw .invalidArgument("neither '\(prefix)text' nor '\(prefix)text_ids' is given") }
    return column
  }

  private func data(_ arguments: Arguments, _ prefix: String) throws(StackLensError) -> Data {
    let texts = try texts(arguments, prefix)
    return Data(
      texts: texts,
      labels: try arguments.integers(prefix + "labels", [texts.count], in: 0..<2, missing: -100))
  }

  /// - Throws: `.invalidArgument` naming the first text without a word.
  private func ids(
    _ texts: TextColumn, _ vectorizer: () throws(StackLensError) -> WordVectorizer
  ) throws(StackLensError) -> Tensor {
    let ids = try texts.ids(vectorizer, length: length)
    if let empty = ids.tokenCounts().firstIndex(of: 0) {
      throw .invalidArgument("the text in row \(empty) is empty")
    }
    return ids
  }

  func fit(_ fitting: Fitting) throws(StackLensError) {
    let arguments = fitting.arguments
    let isGiven = ["text", "text_ids", "labels"].contains { arguments.has("validation_" + $0) }
    let (all, held) = try fitting.divided(
      data(arguments, ""), given: isGiven ? data(arguments, "validation_") : nil)
    var learned: WordVectorizer?
    if case .texts = all.texts {
      learned = WordVectorizer(learning: all.texts.words, size: vocabulary)
      learned?.remember(in: &fitting.knowledge)
    }
    let (found, knowledge) = (learned, fitting.knowledge)
    func words() throws(StackLensError) -> WordVectorizer {
      if let found { return found }
      return try WordVectorizer(knowledge, size: vocabulary)
    }
    func batches(_ data: Data, isShuffled: Bool) throws(StackLensError) -> ArraySource {
      let labels = try Tensor(data.labels.integers().map { Float($0) })
      return try fitting.batches(
        ["text_ids": ids(data.texts, words), "labels": labels], isShuffled: isShuffled)
    }
    try fitting.train(
      training(seed: fitting.seed),
      ["optimizer": .string("adam"), "clip_norm": .number(1)],
      on: batches(all, isShuffled: true),
      validation: held.map { (held) throws(StackLensError) in
        try batches(held, isShuffled: false)
      })
  }

  func answer(_ call: Call) throws(StackLensError) -> [Value] {
    try call.requireFit()
    let ids = try ids(texts(call.arguments, "")) { () throws(StackLensError) in
      try WordVectorizer(call.knowledge, size: vocabulary)
    }
    let probabilities = try call.run("", ["text_ids": ids]).tensor("probabilities")
    let flags = try probabilities.elements(as: Float.self).map { $0 >= 0.5 }
    return [.tensor(probabilities), .tensor(try Tensor(flags))]
  }
}
