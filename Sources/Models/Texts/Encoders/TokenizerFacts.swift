import Base
import Text

/// A tokenizer as a model keeps it: the texts of its files.
enum TokenizerFacts {
  private static let names = ["tokenizer.json", "vocab.txt"]
  private static let settings = "tokenizer_config.json"

  static func read(folder: String) throws(StackLensError) -> JSON {
    // What cannot be read as a tokenizer is none.
    _ = try Tokenizer.load(path: folder)
    guard let name = names.first(where: { PathKind(of: folder + "/" + $0) == .file }) else {
      throw .ioError("'\(folder)' has no tokenizer")
    }
    var members: [JSONObject.Member] = []
    for file in [name, settings] where PathKind(of: folder + "/" + file) == .file {
      let bytes = try MappedFile(path: folder + "/" + file)
      members.append(.init(key: file, value: .string(String(decoding: bytes.bytes, as: UTF8.self))))
      withExtendedLifetime(bytes) {}
    }
    return .object(JSONObject(members))
  }

  /// - Throws: `.notFitted` for a model without one; what is wrong with it.
  static func tokenizer(_ fact: JSON?) throws(StackLensError) -> Tokenizer {
    guard let fact else {
      throw .notFitted(
        "the model has no tokenizer and cannot read texts: make it with an 'encoder', or give ids")
    }
    func bytes(_ name: String) -> [UInt8]? { fact[name]?.stringValue.map { Array($0.utf8) } }
    if let json = bytes("tokenizer.json") {
      return try json.withBytes { (bytes) throws(StackLensError) in
        try Tokenizer(tokenizerJSON: bytes)
      }
    }
    guard let words = bytes("vocab.txt") else {
      throw .formatError("the tokenizer of the model has neither tokenizer.json nor vocab.txt")
    }
    let rules =
      try bytes(settings)?.withBytes { (bytes) throws(StackLensError) in
        try VocabularySettings(tokenizerConfig: bytes)
      } ?? VocabularySettings()
    return try words.withBytes { (bytes) throws(StackLensError) in
      try Tokenizer(vocabulary: bytes, settings: rules)
    }
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` with a typed error.
  fileprivate func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws(StackLensError) -> Result
  ) throws(StackLensError) -> Result {
    try withUnsafeBytes { bytes in
      Swift.Result { () throws(StackLensError) in try body(bytes) }
    }.get()
  }
}
