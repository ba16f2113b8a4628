/// A tokenizer as its files describe it.
struct TokenizerConfiguration: Sendable {
  var model: WordPieceModel
  var addedTokens: [AddedToken]
  var postProcessor = PostProcessor()
  var truncation: Truncation?
  var padding: Padding?
  var decoder: Decoder

  /// How tokens become text again.
  enum Decoder: Sendable, Equatable {
    /// Joins pieces; `cleansUp` takes out spaces before punctuation and in contractions.
    case wordPiece(prefix: [UInt8], cleansUp: Bool)
    /// Puts a space between tokens.
    case spaces
  }
}
