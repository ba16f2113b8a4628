import Base
import Graphs
import Layers
import Tensors

/// Vectors of words, near to each other for words that stand in the same surroundings (Mikolov et al.,
/// 2013), or for words that are also written alike (Bojanowski et al., 2017).
struct WordVectors: Architecture {
  private let settings: WordTraining.Settings
  private let width, minCount, most: Int
  private let subwords: Subwords?

  static let definition = ArchitectureDefinition(
    "word_vectors", of: WordVectors.self,
    "Vectors of words by the company they keep, and by how they are written.",
    options: [
      .choice(
        "architecture", ["skip_gram", "cbow"], default: "skip_gram",
        "Whether a word tells each of its neighbours, or all of them together tell the word."),
      .integer("width", 1...1 << 12, default: 100, "Of a vector."),
      .integer(
        "window", 1...100, default: 5,
        "Neighbours on each side at most: how many is drawn for each word, from 1 on."),
      .integer("negative", 1...64, default: 5, "Words that each word is held against."),
      .integer("min_count", 1...1 << 31, default: 5, "Rarer words are left out."),
      .integer("vocabulary", 1...1 << 24, default: 1_000_000, "Words at most."),
      .number(
        "subsample", 0...1, default: 1e-3,
        "A word of the share f of the text is kept with the chance √(t / f) + t / f; 0 keeps all."),
      .flag(
        "subwords", default: false,
        "Whether a word is the mean of a vector of its own and those of its n-grams of characters."),
      .integer("min_n", 1...32, default: 3, "Characters of an n-gram, < and > around the word."),
      .integer("max_n", 1...32, default: 6, "Characters of an n-gram at most."),
      .integer("buckets", 1...1 << 24, default: 200_000, "Vectors that n-grams share."),
    ],
    fit: .init(
      "fit", "Learns the words of texts and their vectors.",
      inputs: [.init("text", "string [rows]: neighbours are of one row.")], outputs: [],
      options: [
        .choice(
          "split", default: WordCorpus.Splitting.words,
          "Lower-case runs of letters and digits, or what stands between white space as it is."),
        .integer("epochs", 1...1_000_000, default: 5, "Passes over the texts."),
        .number("learning_rate", 0...1e6, default: 0.025, "At the first word."),
        .number("least_learning_rate", 0...1e6, default: 1e-4, "At the last one."),
      ]),
    methods: [
      .init(
        "vector", "The vector of each word.", inputs: [.init("words", "string [rows].")],
        outputs: [.init("vectors", "float32 [rows, width].")]),
      .init(
        "most_similar", "The words nearest to the mean of some words, less that of others.",
        inputs: [
          .init("positive", isOptional: true, "string [words]."),
          .init("negative", isOptional: true, "string [words]."),
          .init("vector", isOptional: true, "float32 [width]: one more that counts as positive."),
        ],
        outputs: [
          .init("words", "string [top_k], the nearest first; none of those asked about."),
          .init("similarities", "float32 [top_k]: cosines."),
        ], options: [.integer("top_k", 1...1 << 24, default: 10, "Words.")]),
      .init(
        "vocabulary", "The words, the most frequent first.", inputs: [],
        outputs: [
          .init("words", "string [words]."), .init("counts", "int64 [words]: how often each came."),
        ]),
    ])

  init(_ options: OptionValues) throws(StackLensError) {
    var settings = WordTraining.Settings()
    width = try options.integer("width")
    minCount = try options.integer("min_count")
    most = try options.integer("vocabulary")
    settings.width = width
    settings.isBagOfWords = try options.text("architecture") == "cbow"
    settings.window = try options.integer("window")
    settings.negative = try options.integer("negative")
    settings.subsample = try options.number("subsample")
    self.settings = settings
    guard try options.flag("subwords") else {
      subwords = nil
      return
    }
    let (least, longest) = (try options.integer("min_n"), try options.integer("max_n"))
    guard least <= longest else {
      throw .invalidArgument("min_n is \(least), which is above max_n, \(longest)")
    }
    subwords = Subwords(lengths: least...longest, bucketCount: try options.integer("buckets"))
  }

  func networks(seed: UInt64) throws(StackLensError) -> [NamedNetwork] {
    let network = Network("word_vectors", seed: seed)
    let ids = network.input("ids", .int64, [.named("batch")])
    let table = try network.parameter("words", [0, width], .zeros)
    network.output(network.graph.add("Gather", [table, ids]), "vectors")
    guard subwords != nil else { return [NamedNetwork(try network.model())] }
    let parts = Network("word_vectors_subwords", seed: seed)
    let pieces = parts.input("pieces", .int64, [.named("batch"), .named("pieces")])
    let zero = parts.constant(try Tensor(scalar: Int64(0)))
    let rows = parts.graph.add(
      "Gather",
      [
        try parts.parameter("subwords", [0, width], .zeros),
        parts.graph.add("Max", [pieces, zero]),
      ])
    let mask = parts.graph.add("GreaterOrEqual", [pieces, zero])
    parts.output(try parts.maskedMean("mean", rows, mask: mask), "vectors")
    return [NamedNetwork(try network.model()), NamedNetwork("subwords", try parts.model())]
  }

  func fit(_ fitting: Fitting) throws(StackLensError) {
    let options = fitting.options
    let splitting = WordCorpus.Splitting(rawValue: try options.text("split")) ?? .words
    let corpus = WordCorpus(
      try fitting.arguments.texts("text"), splitting, minCount: minCount, most: most)
    guard !corpus.vocabulary.isEmpty else {
      throw .invalidArgument("the data set is empty: no word comes \(minCount) times (min_count)")
    }
    var settings = settings
    settings.epochs = try options.integer("epochs")
    settings.learningRate = try options.number("learning_rate")
    settings.leastLearningRate = min(
      settings.learningRate, try options.number("least_learning_rate"))
    settings.seed = fitting.seed
    settings.threadCount = fitting.threadCount
    let bags = try subwords.map { (subwords) throws(StackLensError) in
      try WordBags(corpus.vocabulary, subwords)
    }
    let training = try WordTraining(corpus, bags, settings)
    try training.run(fitting)
    let learned = try training.learned()
    try fitting.knowledge.set("words", learned.vectors)
    if subwords != nil { try fitting.knowledge.set("subwords", learned.subwords) }
    fitting.knowledge.facts["vocabulary"] = .array(corpus.vocabulary.map { .string($0) })
    fitting.knowledge.facts["counts"] = .array(corpus.counts.map { .integer(Int64($0)) })
  }

  func answer(_ call: Call) throws(StackLensError) -> [Value] {
    try call.requireFit()
    let known = try WordKnowledge(call.knowledge, subwords)
    switch call.method {
    case "vocabulary":
      return [.tensor(try Tensor(known.words)), .tensor(try Tensor(known.counts))]
    case "most_similar": return try known.nearest(call)
    default:
      let words = try call.arguments.texts("words")
      return [.tensor(try known.vectors(of: words))]
    }
  }
}
