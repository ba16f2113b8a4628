import Base

/// What a `tokenizer_config.json` says next to a `vocab.txt`.
public struct VocabularySettings: Sendable, Equatable {
  public var lowercases = true
  /// Whether accents are dropped; nil for the same as `lowercases`.
  public var stripsAccents: Bool?
  public var splitsIdeographs = true
  public var unknownToken = "[UNK]"
  public var startToken = "[CLS]"
  public var endToken = "[SEP]"
  public var paddingToken = "[PAD]"
  public var maskToken = "[MASK]"

  public init() {}

  /// Reads the bytes of a `tokenizer_config.json`; members that are absent keep their defaults.
  /// - Throws: `.formatError` if the bytes are no JSON object or a member has the wrong type.
  public init(tokenizerConfig bytes: UnsafeRawBufferPointer) throws(StackLensError) {
    let file = try JSON.parse(bytes)
    guard case .object = file else {
      throw .formatError("tokenizer_config.json is \(file.kind), not an object")
    }
    lowercases = try Self.flag(file, "do_lower_case") ?? lowercases
    stripsAccents = try Self.flag(file, "strip_accents")
    splitsIdeographs = try Self.flag(file, "tokenize_chinese_chars") ?? splitsIdeographs
    unknownToken = try Self.token(file, "unk_token") ?? unknownToken
    startToken = try Self.token(file, "cls_token") ?? startToken
    endToken = try Self.token(file, "sep_token") ?? endToken
    paddingToken = try Self.token(file, "pad_token") ?? paddingToken
    maskToken = try Self.token(file, "mask_token") ?? maskToken
  }

  private static func flag(_ file: JSON, _ name: String) throws(StackLensError) -> Bool? {
    guard let value = file[name], !value.isNull else { return nil }
    guard let flag = value.boolValue else {
      throw .formatError("tokenizer_config.json: \(name) is \(value.kind), not a boolean")
    }
    return flag
  }

  /// A token is written as its text, or as an object with the text as `content`.
  private static func token(_ file: JSON, _ name: String) throws(StackLensError) -> String? {
    guard let value = file[name], !value.isNull else { return nil }
    guard let text = value.stringValue ?? value["content"]?.stringValue else {
      throw .formatError("tokenizer_config.json: \(name) is \(value.kind), not a token")
    }
    return text
  }
}

/// Reads `vocab.txt`.
enum VocabularyFile {
  static func configuration(
    _ bytes: UnsafeRawBufferPointer, _ settings: VocabularySettings
  ) throws(StackLensError) -> TokenizerConfiguration {
    let vocabulary = try Vocabulary(builder(bytes), continuingPrefix: Array("##".utf8))
    func required(_ token: String) throws(StackLensError) -> Int32 {
      guard let id = vocabulary.id(of: token) else {
        throw .formatError("vocabulary of \(vocabulary.count) tokens lacks \"\(token)\"")
      }
      return id
    }
    let unknownID = try required(settings.unknownToken)
    let start = try required(settings.startToken)
    let end = try required(settings.endToken)
    let names = [
      settings.unknownToken, settings.endToken, settings.paddingToken, settings.startToken,
      settings.maskToken,
    ]
    let addedTokens = names.compactMap { name in
      vocabulary.id(of: name).map {
        AddedToken(content: Array(name.utf8), id: $0, isSpecial: true)
      }
    }
    let normalizer = NormalizerOptions(
      cleansText: true, splitsIdeographs: settings.splitsIdeographs,
      stripsAccents: settings.stripsAccents ?? settings.lowercases,
      lowercases: settings.lowercases)
    return TokenizerConfiguration(
      model: WordPieceModel(
        vocabulary: vocabulary, unknownID: unknownID, longestWord: 100, normalizer: normalizer,
        addedTokens: addedTokens),
      addedTokens: addedTokens, postProcessor: .bert(start: start, end: end), truncation: nil,
      padding: nil, decoder: .wordPiece(prefix: Array("##".utf8), cleansUp: true))
  }

  /// One token a line, numbered from 0, without white space at the end.
  private static func builder(
    _ bytes: UnsafeRawBufferPointer
  ) throws(StackLensError) -> Vocabulary.Builder {
    var builder = Vocabulary.Builder(byteCapacity: bytes.count)
    guard let base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return builder }
    var lineStart = 0
    var id: Int64 = 0
    while lineStart < bytes.count {
      var contentEnd = lineStart
      var position = lineStart
      while position < bytes.count, base[position] != UInt8(ascii: "\n") {
        let (scalar, length, valid) = UTF8Reader.decode(
          base + position, count: bytes.count - position)
        guard valid else {
          throw .formatError("vocabulary is not UTF-8 at byte \(position), line \(id + 1)")
        }
        position += length
        if CharacterTables.shared.flags(scalar) & CharacterTables.space == 0 {
          contentEnd = position
        }
      }
      try builder.add(
        UnsafeBufferPointer(start: base + lineStart, count: contentEnd - lineStart), id: id)
      id += 1
      lineStart = position + 1
    }
    return builder
  }
}
