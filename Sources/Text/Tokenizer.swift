import Base

/// A BERT WordPiece tokenizer that gives the ids, offsets and masks of Hugging Face `tokenizers` for
/// the same file.
///
/// Immutable; every method may be called from many threads at once. Text is UTF-8; each bad sequence
/// counts as one U+FFFD.
public final class Tokenizer: Sendable {
  let configuration: TokenizerConfiguration
  private let addedByID: [Int32: AddedToken]
  private let addedByContent: [[UInt8]: AddedToken]

  init(_ configuration: TokenizerConfiguration) {
    self.configuration = configuration
    addedByID = Dictionary(
      configuration.addedTokens.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    addedByContent = Dictionary(
      configuration.addedTokens.map { ($0.content, $0) }, uniquingKeysWith: { $1 })
  }

  /// Reads the bytes of a `tokenizer.json`.
  /// - Throws: `.formatError` for a damaged file, `.unsupported` naming a part (model, normaliser,
  ///   pre-tokenizer, post-processor, decoder) that is not of the BERT WordPiece family.
  public convenience init(tokenizerJSON bytes: UnsafeRawBufferPointer) throws(StackLensError) {
    self.init(try TokenizerFile.configuration(bytes))
  }

  /// Reads the bytes of a `vocab.txt`, one token a line, with BERT's special tokens.
  /// - Parameters:
  ///   - bytes: UTF-8.
  ///   - settings: what a `tokenizer_config.json` may say.
  /// - Throws: `.formatError` if the text is not UTF-8 or lacks a special token.
  public convenience init(
    vocabulary bytes: UnsafeRawBufferPointer, settings: VocabularySettings = VocabularySettings()
  ) throws(StackLensError) {
    self.init(try VocabularyFile.configuration(bytes, settings))
  }

  /// How many ids there are: tokens of the model and added ones.
  public var vocabularySize: Int {
    let vocabulary = configuration.model.vocabulary
    let extra = addedByContent.keys.filter { content in
      content.withUnsafeBufferPointer { bytes in
        bytes.baseAddress.map { vocabulary.id(of: $0, bytes.count) == nil } ?? false
      }
    }
    return vocabulary.count + extra.count
  }

  /// The id that stands for a word the vocabulary cannot spell.
  public var unknownID: Int32 { configuration.model.unknownID }

  /// Truncation that the file asks for.
  public var configuredTruncation: Truncation? { configuration.truncation }

  /// Padding that the file asks for.
  public var configuredPadding: Padding? { configuration.padding }

  /// The id of exactly this token, nil if there is none.
  public func id(ofToken token: String) -> Int32? {
    let content = Array(token.utf8)
    if let added = addedByContent[content] { return added.id }
    return content.withUnsafeBufferPointer { bytes in
      bytes.baseAddress.flatMap { configuration.model.vocabulary.id(of: $0, bytes.count) }
    }
  }

  /// The token with that id, nil if there is none.
  public func token(ofID id: Int32) -> String? {
    tokenBytes(id).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The tokens of an encoding.
  public func tokens(of encoding: Encoding) -> [String] {
    encoding.ids.map { token(ofID: $0) ?? "" }
  }

  func tokenBytes(_ id: Int32) -> [UInt8]? {
    if let added = addedByID[id] { return added.content }
    return configuration.model.vocabulary.token(id).map(Array.init)
  }

  func isSpecial(_ content: [UInt8]) -> Bool { addedByContent[content]?.isSpecial ?? false }

  func addedToken(_ id: Int32) -> AddedToken? { addedByID[id] }
}
