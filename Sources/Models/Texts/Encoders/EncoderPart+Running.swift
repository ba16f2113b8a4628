import Base
import Graphs
import Insight
import Layers
import Operators
import Tensors
import Text

extension EncoderPart {
  /// The tokenizer that a model keeps.
  /// - Throws: `.notFitted` for a model without one; `.formatError` for one that knows more pieces than
  ///   the encoder.
  func tokenizer(_ knowledge: Knowledge) throws(StackLensError) -> Tokenizer {
    let tokenizer = try TokenizerFacts.tokenizer(knowledge.facts["tokenizer"])
    guard tokenizer.vocabularySize <= settings.vocabulary else {
      throw .formatError(
        "the tokenizer knows \(tokenizer.vocabularySize) pieces, the encoder "
          + "\(settings.vocabulary)")
    }
    return tokenizer
  }

  /// The encoder in the form that runs: ids and offsets to states [tokens, width].
  /// - Parameters:
  ///   - precision: of matrix products.
  ///   - averaging: as for `states`.
  func running(
    _ knowledge: Knowledge, _ precision: Precision, averaging: Bool = false
  ) throws(StackLensError) -> Model {
    let packed = PackedBuilder("encoder", precision)
    packed.graph.output(
      try packed.bert(weights(knowledge), configuration, averaging: averaging), "states", .float32,
      [.named("tokens"), .fixed(settings.width)])
    return Model(graph: packed.graph.graph)
  }

  /// input_ids, attention_mask and token_type_ids as arrays [rows, steps], held against the sizes.
  /// - Parameter prefix: of the arguments' names; token types are zeros where there is one.
  /// - Throws: `.shapeMismatch` for arrays of different extents and more steps than positions;
  ///   `.invalidArgument` for ids that there are not, and a row whose mask is all 0.
  func pieces(
    _ arguments: Arguments, _ prefix: String
  ) throws(StackLensError) -> [String: Tensor] {
    let ids = try arguments.integers(prefix + "input_ids", [nil, nil], in: 0..<settings.vocabulary)
    let dims: [Int?] = ids.shape.dims
    let width = ids.shape[1]
    guard width <= settings.positions else {
      throw .shapeMismatch(
        "'\(prefix)input_ids' has shape \(ids.shape), "
          + "expected [rows, at most \(settings.positions)]")
    }
    let mask = try arguments.integers(prefix + "attention_mask", dims, in: 0..<2)
    let real = try mask.integers()
    for row in 0..<ids.shape[0]
    where !real[row * width..<(row + 1) * width].contains(1) {
      throw .invalidArgument("row \(row) has no piece: its mask is all 0")
    }
    let types =
      try prefix.isEmpty && arguments.has("token_type_ids")
      ? arguments.integers("token_type_ids", dims, in: 0..<settings.types)
      : Tensor(zeros: .int64, ids.shape)
    return ["input_ids": ids, "attention_mask": mask, "token_type_ids": types]
  }
}
