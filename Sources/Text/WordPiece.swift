import Base

/// Everything that text to tokens needs, fixed at load: normaliser, word splitter, WordPiece model
/// and added tokens.
struct WordPieceModel: Sendable {
  let vocabulary: Vocabulary
  let unknownID: Int32
  /// Words of more characters become one unknown token.
  let longestWord: Int
  let normalizer: NormalizerOptions
  /// Looked for in the text as it is.
  let rawTokens: AddedTokenMatcher
  /// Looked for in the normalised text.
  let normalizedTokens: AddedTokenMatcher
  let ascii: ASCIIClasses

  init(
    vocabulary: Vocabulary, unknownID: Int32, longestWord: Int, normalizer: NormalizerOptions,
    addedTokens: [AddedToken]
  ) {
    self.vocabulary = vocabulary
    self.unknownID = unknownID
    self.longestWord = longestWord
    self.normalizer = normalizer
    ascii = ASCIIClasses(normalizer)
    rawTokens = AddedTokenMatcher(
      addedTokens.filter { !$0.isNormalized }.map { ($0.content, $0) })
    normalizedTokens = AddedTokenMatcher(
      addedTokens.filter { $0.isNormalized }.map {
        (Self.normalized($0.content, normalizer), $0)
      })
  }

  /// What the normaliser makes of some text.
  func normalized(_ content: [UInt8]) -> [UInt8] { Self.normalized(content, normalizer) }

  private static func normalized(_ content: [UInt8], _ options: NormalizerOptions) -> [UInt8] {
    var text = NormalizedText()
    content.withUnsafeBufferPointer { bytes in
      if let base = bytes.baseAddress { text.assign(base, 0..<bytes.count, options) }
    }
    return text.bytes.array
  }
}

/// What each byte means for the path that handles plain ASCII words.
final class ASCIIClasses: @unchecked Sendable {
  // Unchecked because of the pointers: they are written by `init` and only read afterwards.

  static let word: UInt8 = 0
  static let space: UInt8 = 1
  static let punctuation: UInt8 = 2
  /// Not plain: the whole normaliser has to look at it.
  static let other: UInt8 = 3

  /// Class of each of the 256 bytes.
  let classes: UnsafeMutablePointer<UInt8>
  /// What the normaliser makes of each byte of class `word` or `punctuation`.
  let mapped: UnsafeMutablePointer<UInt8>

  init(_ options: NormalizerOptions) {
    classes = .allocate(capacity: 256)
    mapped = .allocate(capacity: 256)
    classes.initialize(repeating: Self.other, count: 256)
    mapped.initialize(repeating: 0, count: 256)
    let tables = CharacterTables.shared
    for byte in 0..<128 {
      let flags = tables.flags(UInt32(byte))
      mapped[byte] = UInt8(byte)
      if options.lowercases, flags & CharacterTables.lowers != 0 { mapped[byte] = UInt8(byte + 32) }
      if options.cleansText, flags & CharacterTables.removed != 0 { continue }
      if flags & CharacterTables.space != 0 {
        classes[byte] = Self.space
      } else {
        classes[byte] = flags & CharacterTables.punctuation != 0 ? Self.punctuation : Self.word
      }
    }
  }

  deinit {
    classes.deallocate()
    mapped.deallocate()
  }
}
