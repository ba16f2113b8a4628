import Base

/// Reads `tokenizer.json`.
enum TokenizerFile {
  /// The model part, before its pieces are put together.
  private struct Model {
    var builder: Vocabulary.Builder
    var hasVocabulary = false
    var fields: [String: JSON] = [:]
  }

  static func configuration(
    _ bytes: UnsafeRawBufferPointer
  ) throws(StackLensError) -> TokenizerConfiguration {
    var limits = JSONLimits()
    limits.rejectsDuplicateKeys = false
    var reader = JSONReader(bytes, limits: limits)
    var sections: [String: JSON] = [:]
    var model: Model?
    try reader.forEachMember { (reader, key) throws(StackLensError) in
      if key == "model", reader.isObject() {
        model = try readModel(&reader, capacity: bytes.count / 2)
      } else {
        sections[key] = try reader.value()
      }
    }
    try reader.end()
    guard let model else { throw .formatError("tokenizer.json has no \"model\" object") }
    return try assemble(model, sections)
  }

  /// The vocabulary goes into its builder token by token; a tree of it would cost more than all
  /// the rest of the file.
  private static func readModel(
    _ reader: inout JSONReader, capacity: Int
  ) throws(StackLensError) -> Model {
    var model = Model(builder: Vocabulary.Builder(byteCapacity: capacity))
    try reader.forEachMember { (reader, key) throws(StackLensError) in
      guard key == "vocab", reader.isObject() else {
        model.fields[key] = try reader.value()
        return
      }
      model.hasVocabulary = true
      try reader.forEachIntegerMember { (token, id) throws(StackLensError) in
        try model.builder.add(token, id: id)
      }
    }
    return model
  }

  private static func assemble(
    _ model: Model, _ sections: [String: JSON]
  ) throws(StackLensError) -> TokenizerConfiguration {
    let kind = try model.fields["type"].map { (value) throws(StackLensError) in
      try string(value, "model type")
    }
    if let kind, kind != "WordPiece" {
      throw .unsupported("tokenizer.json: model \"\(kind)\"; this tokenizer reads \"WordPiece\"")
    }
    if kind == nil, model.fields["max_input_chars_per_word"] == nil {
      throw .unsupported("tokenizer.json: model without type; this tokenizer reads \"WordPiece\"")
    }
    guard model.hasVocabulary else { throw .formatError("tokenizer.json: model has no vocabulary") }
    let prefix = try string(
      model.fields["continuing_subword_prefix"] ?? .string("##"), "continuing_subword_prefix")
    let unknown = try string(model.fields["unk_token"] ?? .string("[UNK]"), "unk_token")
    let longestWord = try integer(
      model.fields["max_input_chars_per_word"] ?? .integer(100), "max_input_chars_per_word")
    guard longestWord >= 0 else {
      throw .formatError("tokenizer.json: max_input_chars_per_word is \(longestWord)")
    }
    let normalizer = try normalizer(sections["normalizer"] ?? .null)
    try checkPreTokenizer(sections["pre_tokenizer"] ?? .null)
    let vocabulary = try Vocabulary(model.builder, continuingPrefix: Array(prefix.utf8))
    guard let unknownID = vocabulary.id(of: unknown) else {
      throw .formatError("tokenizer.json: unknown token \"\(unknown)\" is not in the vocabulary")
    }
    let addedTokens = try addedTokens(sections["added_tokens"] ?? .null, vocabulary)
    return TokenizerConfiguration(
      model: WordPieceModel(
        vocabulary: vocabulary, unknownID: unknownID, longestWord: longestWord,
        normalizer: normalizer, addedTokens: addedTokens),
      addedTokens: addedTokens,
      postProcessor: try PostProcessorFile.postProcessor(sections["post_processor"] ?? .null),
      truncation: try truncation(sections["truncation"] ?? .null),
      padding: try padding(sections["padding"] ?? .null),
      decoder: try decoder(sections["decoder"] ?? .null))
  }

  private static func normalizer(_ value: JSON) throws(StackLensError) -> NormalizerOptions {
    if value.isNull {
      return NormalizerOptions(
        cleansText: false, splitsIdeographs: false, stripsAccents: false, lowercases: false)
    }
    try require(value, "normalizer", "BertNormalizer")
    let lowercases = try flag(value, "lowercase", true)
    return NormalizerOptions(
      cleansText: try flag(value, "clean_text", true),
      splitsIdeographs: try flag(value, "handle_chinese_chars", true),
      stripsAccents: try flag(value, "strip_accents", lowercases), lowercases: lowercases)
  }

  private static func checkPreTokenizer(_ value: JSON) throws(StackLensError) {
    if value.isNull {
      throw .unsupported("tokenizer.json: no pre_tokenizer; this tokenizer needs BertPreTokenizer")
    }
    try require(value, "pre_tokenizer", "BertPreTokenizer")
  }

  private static func decoder(
    _ value: JSON
  ) throws(StackLensError) -> TokenizerConfiguration.Decoder {
    if value.isNull { return .spaces }
    try require(value, "decoder", "WordPiece")
    let prefix = try string(value["prefix"] ?? .string("##"), "decoder prefix")
    return .wordPiece(prefix: Array(prefix.utf8), cleansUp: try flag(value, "cleanup", true))
  }

  private static func addedTokens(
    _ value: JSON, _ vocabulary: Vocabulary
  ) throws(StackLensError) -> [AddedToken] {
    if value.isNull { return [] }
    guard let elements = value.arrayValue else {
      throw .formatError("tokenizer.json: added_tokens is \(value.kind), not an array")
    }
    var tokens: [AddedToken] = []
    var idsByContent: [String: Int32] = [:]
    var nextID = vocabulary.count
    for element in elements {
      let content = try string(element["content"] ?? .null, "content of an added token")
      if content.isEmpty { continue }
      _ = try id(element["id"] ?? .null, "id of added token \"\(content)\"")
      // The peer goes by its own count and not by the id in the file: a token that is known keeps
      // its id, a new one gets the next id after the vocabulary.
      var tokenID = Int32(truncatingIfNeeded: nextID)
      if let known = idsByContent[content] ?? vocabulary.id(of: content) {
        tokenID = known
      } else {
        nextID += 1
      }
      if idsByContent.updateValue(tokenID, forKey: content) != nil {
        tokens.removeAll { $0.id == tokenID }
      }
      tokens.append(
        AddedToken(
          content: Array(content.utf8), id: tokenID,
          isSpecial: try flag(element, "special", false),
          isSingleWord: try flag(element, "single_word", false),
          stripsLeft: try flag(element, "lstrip", false),
          stripsRight: try flag(element, "rstrip", false),
          isNormalized: try flag(element, "normalized", true)))
    }
    return tokens
  }

  private static func truncation(_ value: JSON) throws(StackLensError) -> Truncation? {
    if value.isNull { return nil }
    let maxLength = try integer(value["max_length"] ?? .null, "truncation max_length")
    guard maxLength >= 0 else {
      throw .formatError("tokenizer.json: truncation max_length is \(maxLength)")
    }
    let strategy: Truncation.Strategy
    switch try string(value["strategy"] ?? .string("LongestFirst"), "truncation strategy") {
    case "LongestFirst": strategy = .longestFirst
    case "OnlyFirst": strategy = .onlyFirst
    case "OnlySecond": strategy = .onlySecond
    case let name: throw .formatError("tokenizer.json: truncation strategy \"\(name)\"")
    }
    return Truncation(
      maxLength: maxLength, strategy: strategy,
      direction: try side(value["direction"] ?? .string("Right"), "truncation direction"))
  }

  private static func padding(_ value: JSON) throws(StackLensError) -> Padding? {
    if value.isNull { return nil }
    var padding = Padding()
    let strategy = value["strategy"] ?? .string("BatchLongest")
    if let fixed = strategy["Fixed"] {
      let length = try integer(fixed, "padding length")
      // A longer row than this would only serve to exhaust memory.
      guard (0...(1 << 24)).contains(length) else {
        throw .formatError("tokenizer.json: padding length \(length) is not in 0...16777216")
      }
      padding.length = length
    } else if strategy.stringValue != "BatchLongest" {
      throw .formatError("tokenizer.json: unknown padding strategy")
    }
    if let multiple = value["pad_to_multiple_of"], !multiple.isNull {
      let number = try integer(multiple, "pad_to_multiple_of")
      guard (0...(1 << 24)).contains(number) else {
        throw .formatError("tokenizer.json: pad_to_multiple_of \(number) is not in 0...16777216")
      }
      padding.multiple = number
    }
    padding.direction = try side(value["direction"] ?? .string("Right"), "padding direction")
    padding.id = try id(value["pad_id"] ?? .integer(0), "pad_id")
    padding.typeID = try id(value["pad_type_id"] ?? .integer(0), "pad_type_id")
    return padding
  }

  // MARK: Fields

  static func require(_ value: JSON, _ section: String, _ type: String) throws(StackLensError) {
    guard case .object = value else {
      throw .formatError("tokenizer.json: \(section) is \(value.kind), not an object")
    }
    let found = value["type"]?.stringValue ?? "without type"
    guard found == type else {
      throw .unsupported(
        "tokenizer.json: \(section) \"\(found.prefix(80))\"; this tokenizer reads \"\(type)\"")
    }
  }

  static func string(_ value: JSON, _ name: String) throws(StackLensError) -> String {
    guard let text = value.stringValue else {
      throw .formatError("tokenizer.json: \(name) is \(value.kind), not a string")
    }
    return text
  }

  static func integer(_ value: JSON, _ name: String) throws(StackLensError) -> Int {
    guard let number = value.integerValue else {
      throw .formatError("tokenizer.json: \(name) is \(value.kind), not an integer")
    }
    return Int(number)
  }

  static func id(_ value: JSON, _ name: String) throws(StackLensError) -> Int32 {
    let number = try integer(value, name)
    guard number >= 0, let id = Int32(exactly: number) else {
      throw .formatError("tokenizer.json: \(name) is \(number), not in 0..<2^31")
    }
    return id
  }

  /// A boolean member; null and absence mean `fallback`.
  private static func flag(
    _ value: JSON, _ name: String, _ fallback: Bool
  ) throws(StackLensError) -> Bool {
    guard let member = value[name], !member.isNull else { return fallback }
    guard let flag = member.boolValue else {
      throw .formatError("tokenizer.json: \(name) is \(member.kind), not a boolean")
    }
    return flag
  }

  private static func side(_ value: JSON, _ name: String) throws(StackLensError) -> TextSide {
    switch try string(value, name) {
    case "Right": return .right
    case "Left": return .left
    case let text: throw .formatError("tokenizer.json: \(name) \"\(text)\"")
    }
  }
}

extension Vocabulary {
  /// The id of exactly this token.
  func id(of token: String) -> Int32? {
    var token = token
    return token.withUTF8 { bytes in
      bytes.baseAddress.flatMap { id(of: $0, bytes.count) }
    }
  }
}
