import Layers
import Operators

extension NERTagger {
  static let definition = ArchitectureDefinition(
    "ner_tagger", of: NERTagger.self,
    "Names of functions, files, variables and the like in texts: a BERT encoder, shapes of words, a "
      + "bidirectional LSTM and a linear-chain CRF.",
    options: EncoderPart.options + [
      .texts(
        "entities", most: 1 << 10, default: ["FUNCTION", "FILE", "VARIABLE"],
        "Names of the types of entities."),
      .choice(
        "words", default: PieceReader.Words.punctuation,
        "What has a tag: runs without white space and each punctuation character, or such runs as "
          + "a whole."),
      .choice(
        "states", ["last", "mean"], default: "last",
        "What is seen of the encoder: its last layer's states, or the mean of the embeddings and all "
          + "layers'."),
      .integer("hidden", 1...1 << 14, default: 128, "Units of each direction."),
      .number("dropout", OptionSpec.probability, default: 0.1, "Before the LSTM."),
      .number("output_dropout", OptionSpec.probability, default: 0, "Behind the LSTM."),
      .integer(
        "word_buckets", 0...1 << 24, default: 0,
        "Rows of a table of vectors for words, their beginnings, ends and signs; 0: none."),
      .integer("word_width", 1...1 << 12, default: 64, "Of these vectors."),
      .integer(
        "max_length", 3...1 << 20, default: nil,
        "Pieces of a window, special ones included: 256, or as many as the encoder takes."),
      .integer(
        "overlap", 0...1 << 20, default: nil,
        "Pieces that neighbouring windows share; a quarter of a window unless given."),
    ],
    fit: .fit(
      "Learns from texts with entities.",
      inputs: data("") + data("validation_"), epochs: 30, learningRate: 1e-3, patience: 5,
      options: EncoderPart.fitOptions + [
        .choice(
          "schedule", ["constant", "cosine"], default: "constant",
          "Of the learning rates; \"cosine\" falls to 0 with the last epoch.")
      ]),
    methods: [
      .init(
        "tag", "The entities of texts, in order.",
        inputs: [.init("text", "string [rows].")],
        outputs: [
          .init("row", "int64 [entities]: the text."),
          .init("entity", "int64 [entities]: the type."),
          .init("start", "int64 [entities]: the first byte of UTF-8."),
          .init("end", "int64 [entities]: behind the last byte."),
          .init("score", "float32 [entities]: mean probability of its words' tags."),
        ],
        options: [
          .choice(
            "precision", default: Precision.fp32,
            "Of the encoder's products; fp32 where the processor lacks it.")
        ]),
      .init(
        "forward", "The network on pieces.", inputs: pieces("", isOptional: false),
        outputs: [.init("tag_scores", "float32 [rows, steps, tags].")]),
      .init(
        "decode", "The likeliest tags from their scores.",
        inputs: [
          .init("tag_scores", "float32 [rows, steps, tags]."),
          .init("word_starts", "bool [rows, steps]: the pieces that have a tag."),
        ],
        outputs: [
          .init("tags", "int64 [rows, steps]: -100 where no word starts."),
          .init("marginals", "float32 [rows, steps, tags]: how likely each is; else 0."),
        ]),
      .init(
        "tokenize", "The pieces of texts, in windows.", inputs: [.init("text", "string [rows].")],
        outputs: [
          .init("row", "int64 [windows]: the text."),
          .init("input_ids", "int64 [windows, steps]."),
          .init("attention_mask", "int64 [windows, steps]: 0 for padding."),
          .init("shapes", "float32 [windows, steps, 16]: 1 for what a word is."),
          .init("word_ids", "int64 [windows, steps, 8]: rows of the table of words; else 0."),
          .init("word_starts", "bool [windows, steps]: the pieces that have a tag."),
          .init("start", "int64 [windows, steps]: the first byte of a piece."),
          .init("end", "int64 [windows, steps]: behind its last byte."),
        ]),
    ])

  private static func pieces(
    _ prefix: String, isOptional: Bool
  ) -> [ArchitectureDefinition.Port] {
    [
      .init(prefix + "input_ids", isOptional: isOptional, "int64 [rows, steps]."),
      .init(
        prefix + "attention_mask", isOptional: isOptional, "int64 [rows, steps]: 0 for padding."),
      .init(
        prefix + "token_type_ids", isOptional: true, "int64 [rows, steps]; zeros unless given."),
      .init(
        prefix + "shapes", isOptional: isOptional,
        "float32 [rows, steps, 16]: 1 for what a piece's word looks like."),
      .init(
        prefix + "word_ids", isOptional: true,
        "int64 [rows, steps, 8]: rows of the table of words, where there is one."),
    ]
  }

  private static func data(_ prefix: String) -> [ArchitectureDefinition.Port] {
    [
      .init(prefix + "text", isOptional: true, "string [rows]; or pieces with tags in its place."),
      .init(
        prefix + "row", isOptional: true, "int64 [entities]: the text of each, in any order."),
      .init(prefix + "entity", isOptional: true, "int64 [entities]: the type of each."),
      .init(prefix + "start", isOptional: true, "int64 [entities]: the first byte of UTF-8."),
      .init(prefix + "end", isOptional: true, "int64 [entities]: behind the last byte."),
    ] + pieces(prefix, isOptional: true).filter { $0.name != prefix + "token_type_ids" } + [
      .init(
        prefix + "tags", isOptional: true, "int64 [rows, steps]: -100 where a piece has none.")
    ]
  }
}
