import Layers
import Operators

extension StackLensTransformer {
  static let definition = ArchitectureDefinition(
    "stacklens_transformer", of: StackLensTransformer.self,
    "Severity, category and confidence of errors from their texts: a BERT encoder, technical terms, "
      + "attention and three heads.",
    options: EncoderPart.options + [
      .integer("attention_heads", 1...1 << 10, default: 12, "Of the attention behind the encoder."),
      .integer(
        "max_length", 3...1 << 20, default: nil,
        "Pieces of a text, special ones included; of longer ones the middle is left out."),
      .texts("severities", most: 1 << 10, default: severities, "Names of the severities."),
      .texts("categories", most: 1 << 12, default: categories, "Names of the categories."),
      .texts(
        "terms", most: termCapacity, default: TechnicalTerms.all,
        "Technical terms, of several words or one."),
      .choice(
        "term_start", ["random", "encoder"], default: "random",
        "What terms' vectors start with: normal numbers, or what the encoder says of each."),
      .integer(
        "spelling_buckets", 0...1 << 24, default: 0,
        "Rows of the tables of n-grams of characters, which add to the logits; 0: there are none."),
    ],
    fit: .fit(
      "Learns from errors with severities, categories or both.",
      inputs: data("", isOptional: false) + data("validation_", isOptional: true), epochs: nil,
      learningRate: nil, patience: 2,
      options: EncoderPart.fitOptions + [
        OptionSpec(
          "head_learning_rate", .number(0...1e6), default: .null,
          "Of the heads and the tables of n-grams; learning_rate unless given."),
        .choice(
          "class_weights", ["none", "balanced"], default: "none",
          "Whether rare classes count as much as frequent ones."),
        .number("severity_weight", 0...1e6, default: 1, "Of the loss of severities."),
        .number("category_weight", 0...1e6, default: 1, "Of the loss of categories."),
        .number("confidence_weight", 0...1e6, default: 1, "Of the loss of the confidence."),
      ]),
    methods: [
      .init(
        "classify", "What errors are.", inputs: [.init("text", "string [rows].")],
        outputs: [
          .init("severity", "int64 [rows]."), .init("category", "int64 [rows]."),
          .init("severity_probabilities", "float32 [rows, severities]."),
          .init("category_probabilities", "float32 [rows, categories]."),
          .init("confidence", "float32 [rows], 0 for an empty text."),
          .init("embeddings", "float32 [rows, width]."),
          .init("empty", "bool [rows]: whether there is nothing to read."),
          .init("truncated", "bool [rows]: whether the middle was left out."),
          .init("unknown_ratio", "float32 [rows]: the share of words that cannot be spelt."),
        ],
        options: [
          .choice(
            "precision", default: Precision.fp32,
            "Of matrix products; fp32 where the processor lacks it.")
        ]),
      .init(
        "forward", "The network on pieces.", inputs: pieces("", isOptional: false),
        outputs: [
          .init("severity_logits", "float32 [rows, severities]."),
          .init("category_logits", "float32 [rows, categories]."),
          .init("confidence", "float32 [rows, 1]."),
          .init("embeddings", "float32 [rows, width]."),
          .init(
            "attention_weights", "float32 [rows, steps, steps]: mean of the heads, 0 for padding."),
        ]),
      .init(
        "tokenize", "The pieces of texts.", inputs: [.init("text", "string [rows].")],
        outputs: [
          .init("input_ids", "int64 [rows, steps]."),
          .init("attention_mask", "int64 [rows, steps]: 0 for padding."),
          .init("tech_ids", "int64 [rows, steps]: the term of a piece, -1 for none."),
          .init("spelling_ids", "int64 [rows, grams]: rows of the tables of n-grams, 0 for none."),
          .init("spelling_weights", "float32 [rows, grams]: 1 + ln(times), 0 for none."),
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
        prefix + "tech_ids", isOptional: true,
        "int64 [rows, steps]: the term of a piece, -1 for none; none unless given."),
      .init(
        prefix + "spelling_ids", isOptional: true,
        "int64 [rows, grams]: rows of the tables of n-grams, 0 for none; none unless given."),
      .init(
        prefix + "spelling_weights", isOptional: true,
        "float32 [rows, grams]: 1 + ln(times), 0 for none."),
    ]
  }

  private static func data(
    _ prefix: String, isOptional: Bool
  ) -> [ArchitectureDefinition.Port] {
    [.init(prefix + "text", isOptional: true, "string [rows]; or the pieces in its place.")]
      + pieces(prefix, isOptional: true).filter { $0.name != prefix + "token_type_ids" } + [
        .init(prefix + "severity", isOptional: true, "int64 [rows], -100 where it is not known."),
        .init(prefix + "category", isOptional: true, "int64 [rows], -100 where it is not known."),
        .init(
          prefix + "reliability", isOptional: true,
          "float32 [rows]: what the confidence shall be, -100 for whether the answer is right."),
      ]
  }
}
