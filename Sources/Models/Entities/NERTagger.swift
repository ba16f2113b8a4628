import Base
import Graphs
import Insight
import Layers
import Operators
import Tensors

/// Finds names of functions, files, variables and the like in texts.
///
///     pieces → BERT encoder → states ┐
///     shapes of words ───────────────┼→ BiLSTM → Linear → scores of BIO tags → linear-chain CRF
///     vectors of words (option) ─────┘
///
/// Only the first piece of a word has a tag: the chain goes from one word to the next.
struct NERTagger: Architecture {
  let encoder: EncoderPart
  let tags: TagSet
  let words: PieceReader.Words
  /// Pieces of a window, special ones included, and how many two neighbours share.
  let length, overlap: Int
  /// Rows of the table of words, 0 for none, and their width.
  let buckets, bucketWidth: Int
  /// Whether the mean of all layers' states is seen, and not the last layer's.
  let averages: Bool
  private let hidden: Int
  private let dropout, outputDropout: Double

  init(_ options: OptionValues) throws(StackLensError) {
    encoder = try EncoderPart(options)
    tags = TagSet(types: try options.texts("entities"))
    words = try options.choice("words")
    let positions = encoder.settings.positions
    length = try options.integerIfAny("max_length") ?? min(256, positions)
    overlap = try options.integerIfAny("overlap") ?? length / 4
    buckets = try options.integer("word_buckets")
    bucketWidth = try options.integer("word_width")
    averages = try options.text("states") == "mean"
    hidden = try options.integer("hidden")
    dropout = try options.number("dropout")
    outputDropout = try options.number("output_dropout")
    guard length <= positions else {
      throw .invalidArgument(
        "'max_length' is \(length), the encoder takes 3 to \(positions) pieces")
    }
    guard overlap < length - 2 else {
      throw .invalidArgument("windows of \(length) pieces cannot overlap by \(overlap)")
    }
    guard buckets != 1 else {
      throw .invalidArgument("'word_buckets' is 1: row 0 stands for no word, words need others")
    }
  }

  func beginning() throws(StackLensError) -> Beginning? { try encoder.beginning() }

  // Networks -----------------------------------------------------------------------------------

  private static let batch = Dimension.named("batch")
  private static let steps = Dimension.named("sequence")
  /// The network that tells tags from their scores.
  static let decoder = "decoder"

  func networks(seed: UInt64) throws(StackLensError) -> [NamedNetwork] {
    let network = Network("ner_tagger", seed: seed)
    let (ids, mask) = (pieces("input_ids", network), pieces("attention_mask", network))
    let states = try encoder.states(
      network, ids, mask: mask, types: pieces("token_type_ids", network), averaging: averages)
    network.output(try scores(network, states, mask), "tag_scores")
    return [NamedNetwork(try network.model()), NamedNetwork(Self.decoder, try decoding(seed))]
  }

  /// The network behind the encoder: from its states to scores.
  func tagging(seed: UInt64) throws(StackLensError) -> Model {
    let network = Network("ner_tagger_head", seed: seed)
    let mask = pieces("attention_mask", network)
    network.output(try scores(network, self.states(network), mask), "tag_scores")
    return try network.model()
  }

  /// The network with its loss, the chain's negative log-likelihood, and the best tags; from the
  /// encoder's states where that stays as it is.
  func training(seed: UInt64, isFrozen: Bool) throws(StackLensError) -> Model {
    let network = Network("ner_tagger_training", seed: seed)
    let mask = pieces("attention_mask", network)
    let states =
      isFrozen
      ? self.states(network)
      : try encoder.states(
        network, pieces("input_ids", network), mask: mask, types: pieces("token_type_ids", network),
        averaging: averages)
    let scores = try scores(network, states, mask)
    let (chain, tags) = (try chain(network), pieces("tags", network))
    let none = network.constant(try Tensor(scalar: Int64(0)))
    let isWord = network.graph.add("GreaterOrEqual", [tags, none])
    network.output(
      network.graph.add("CRFDecode", [scores] + chain + [isWord], domain: "ai.stacklens"), "best")
    let losses = network.graph.add("CRFLoss", [scores] + chain + [tags], domain: "ai.stacklens")
    network.output(network.graph.add("ReduceMean", [losses], ["keepdims": .int(0)]), "loss")
    return try network.model()
  }

  private func pieces(_ name: String, _ network: Network) -> Edge {
    network.input(name, .int64, [Self.batch, Self.steps])
  }

  private func states(_ network: Network) -> Edge {
    network.input(
      "states", .float32, [Self.batch, Self.steps, .fixed(encoder.settings.width)])
  }

  /// Scores of tags [batch, steps, tags] from the encoder's states.
  private func scores(
    _ network: Network, _ states: Edge, _ mask: Edge
  ) throws(StackLensError) -> Edge {
    let graph = network.graph
    let shapes = network.input(
      "shapes", .float32, [Self.batch, Self.steps, .fixed(WordShape.count)])
    var parts = [states, shapes]
    var width = encoder.settings.width + WordShape.count
    if buckets > 0 {
      let ids = network.input(
        "word_ids", .int64, [Self.batch, Self.steps, .fixed(WordBuckets.width)])
      let vectors = try network.embedding(
        "words", ids, count: buckets, width: bucketWidth, padding: 0,
        weight: .normal(mean: 0, std: 0.1))
      parts.append(graph.add("ReduceSum", [vectors, try network.ints([2])], ["keepdims": .int(0)]))
      width += bucketWidth
    }
    let x = try network.dropout(graph.add("Concat", parts, ["axis": .int(2)]), dropout)
    let lengths = graph.add("ReduceSum", [mask, try network.ints([1])], ["keepdims": .int(0)])
    var settings = RecurrentSettings(.lstm, hiddenSize: hidden)
    settings.isBidirectional = true
    let y = try network.recurrent("lstm", x, lengths: lengths, inputSize: width, settings).y
    return try network.linear(
      "tags", network.dropout(y, outputDropout), from: 2 * hidden, to: tags.count)
  }

  /// Transitions, starts and ends of the chain, what cannot be forbidden.
  private func chain(_ network: Network) throws(StackLensError) -> [Edge] {
    let count = tags.count
    func scores(
      _ name: String, _ dims: [Int], _ penalties: [Float]
    ) throws(StackLensError) -> Edge {
      try network.parameter("crf." + name, dims, .zeros)
        + network.constant(try Tensor(penalties, shape: Shape(dims)))
    }
    return [
      try scores("transitions", [count, count], tags.transitionPenalties),
      try scores("start", [count], tags.startPenalties),
      try network.parameter("crf.end", [count], .zeros),
    ]
  }

  /// The likeliest tags of words, and how likely each tag is.
  private func decoding(_ seed: UInt64) throws(StackLensError) -> Model {
    let network = Network("ner_tagger_decoder", seed: seed)
    let scores = network.input(
      "tag_scores", .float32, [Self.batch, Self.steps, .fixed(tags.count)])
    let starts = network.input("word_starts", .bool, [Self.batch, Self.steps])
    let inputs = [scores] + (try chain(network)) + [starts]
    let best = network.graph.add("CRFDecode", inputs, domain: "ai.stacklens", outputs: 2)
    network.output(best[0], "tags")
    network.output(
      network.graph.add("CRFMarginals", inputs, domain: "ai.stacklens"), "marginals")
    return try network.model()
  }

  /// The tables of the chain as files tell them, for decoders outside: what cannot be scores -10000.
  func tables(_ knowledge: Knowledge) throws(StackLensError) -> JSON {
    func numbers(_ name: String, _ penalties: [Float]) throws(StackLensError) -> [JSON] {
      let scores = try knowledge.tensors.tensor("crf." + name).elements(as: Float.self)
      return zip(scores, penalties).map { .number(Double($0 + $1)) }
    }
    let transitions = try numbers("transitions", tags.transitionPenalties)
    let count = tags.count
    return .object(
      JSONObject([
        .init(key: "tags", value: .array(tags.names.map { .string($0) })),
        .init(key: "start", value: .array(try numbers("start", tags.startPenalties))),
        .init(
          key: "end", value: .array(try numbers("end", [Float](repeating: 0, count: count)))),
        .init(
          key: "transitions",
          value: .array(
            (0..<count).map { .array(Array(transitions[$0 * count..<($0 + 1) * count])) })),
      ]))
  }
}
