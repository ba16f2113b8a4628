import Base
import Testing

@testable import Text

@Suite struct TokenizerFileTests {
  private func load(_ text: String) throws -> Tokenizer {
    try withRaw(Array(text.utf8)) { try Tokenizer(tokenizerJSON: $0) }
  }

  private func file(
    model: String =
      "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":{\"[UNK]\":0,\"a\":1,\"##b\":2}}",
    normalizer: String = "{\"type\":\"BertNormalizer\"}",
    preTokenizer: String = "{\"type\":\"BertPreTokenizer\"}", rest: String = ""
  ) -> String {
    "{\"model\":\(model),\"normalizer\":\(normalizer),\"pre_tokenizer\":\(preTokenizer)\(rest)}"
  }

  @Test func readsTheLeastFile() throws {
    let tokenizer = try load(file())
    #expect(try tokenizer.encode("A ab").ids == [1, 1, 2])
    #expect(tokenizer.vocabularySize == 3)
  }

  @Test func namesWhatItDoesNotSupport() throws {
    let parts = [
      (file(model: "{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}"), "BPE"),
      (file(model: "{\"type\":\"Unigram\",\"vocab\":[[\"a\",-1.5]]}"), "Unigram"),
      (file(normalizer: "{\"type\":\"NFKC\"}"), "NFKC"),
      (file(preTokenizer: "{\"type\":\"ByteLevel\"}"), "ByteLevel"),
      (file(rest: ",\"post_processor\":{\"type\":\"ByteLevel\"}"), "ByteLevel"),
      (file(rest: ",\"decoder\":{\"type\":\"BPEDecoder\"}"), "BPEDecoder"),
    ]
    for (text, name) in parts {
      #expect(status { try load(text) } == .unsupported)
      #expect(message { try load(text) }?.contains(name) == true)
    }
  }

  @Test(arguments: [
    "", "{", "[]", "{}", "{\"model\":1}", "{\"model\":{\"type\":\"WordPiece\"}}",
  ])
  func rejectsDamagedFiles(_ text: String) {
    #expect(status { try load(text) } == .formatError)
  }

  @Test(arguments: [
    "{\"a\":-1}", "{\"a\":1.5}", "{\"a\":\"1\"}", "{\"a\":99999999999}",
    "{\"[UNK]\":2000000000}", "{\"a\":0}", "[]", "5",
  ])
  func rejectsDamagedVocabularies(_ vocabulary: String) {
    let model = "{\"type\":\"WordPiece\",\"vocab\":\(vocabulary)}"
    #expect(status { try load(file(model: model)) } == .formatError)
  }

  @Test(arguments: [
    ",\"added_tokens\":5", ",\"added_tokens\":[{\"id\":1}]",
    ",\"added_tokens\":[{\"id\":-1,\"content\":\"x\"}]",
    ",\"truncation\":{\"max_length\":-1}", ",\"truncation\":{\"max_length\":3,\"strategy\":\"X\"}",
    ",\"padding\":{\"strategy\":{\"Fixed\":99999999999}}",
    ",\"post_processor\":{\"type\":\"BertProcessing\"}",
    ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
      + "{\"id\":\"[X]\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{}}",
    ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":"
      + "{\"id\":\"B\",\"type_id\":0}}],\"pair\":[]}",
  ])
  func rejectsDamagedSections(_ rest: String) {
    #expect(status { try load(file(rest: rest)) } == .formatError)
  }

  @Test func survivesEveryTruncationAndManyMutations() throws {
    let source = try Golden.file("added.tokenizer.json")
    defer { withExtendedLifetime(source) {} }
    let bytes = Array(source.bytes)
    var failures = 0
    for length in stride(from: 0, to: bytes.count - 1, by: 7) {
      let part = Array(bytes[..<length])
      let found = status { try withRaw(part) { try Tokenizer(tokenizerJSON: $0) } }
      failures += found == nil ? 0 : 1
    }
    #expect(failures == (bytes.count - 1 + 6) / 7)
    var state: UInt64 = 42
    for _ in 0..<1_500 {
      var mutated = bytes
      for _ in 0..<3 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let place = Int(state >> 33) % mutated.count
        mutated[place] = UInt8(truncatingIfNeeded: state >> 20)
      }
      if let tokenizer = try? withRaw(mutated, { try Tokenizer(tokenizerJSON: $0) }) {
        _ = try? tokenizer.encode("NullPointer at org.apache <mask> -- é 0x 中", pair: "error")
      }
    }
  }

  @Test func readsVocabularyText() throws {
    let text = "[PAD]\n[UNK]\n[CLS]\r\n[SEP]  \nerror\n##s\nÉ\n"
    let uncased = try withRaw(Array(text.utf8)) { try Tokenizer(vocabulary: $0) }
    #expect(try uncased.encode("Errors [SEP]").ids == [2, 4, 5, 3, 3])
    #expect(try uncased.encode("Error", pair: "errors").typeIDs == [0, 0, 0, 1, 1, 1])
    var settings = VocabularySettings()
    settings.lowercases = false
    let cased = try withRaw(Array(text.utf8)) {
      try Tokenizer(vocabulary: $0, settings: settings)
    }
    #expect(try cased.encode("É Error").ids == [2, 6, 1, 3])
    #expect(status { try withRaw([0xFF]) { try Tokenizer(vocabulary: $0) } } == .formatError)
    #expect(status { try withRaw([0x61]) { try Tokenizer(vocabulary: $0) } } == .formatError)
  }

  @Test func readsSettings() throws {
    let text =
      "{\"do_lower_case\":false,\"strip_accents\":true,\"cls_token\":{\"content\":\"<s>\"}}"
    let settings = try withRaw(Array(text.utf8)) { try VocabularySettings(tokenizerConfig: $0) }
    #expect(!settings.lowercases)
    #expect(settings.stripsAccents == true)
    #expect(settings.startToken == "<s>")
  }

  @Test func loadsFoldersAndFiles() throws {
    let golden = "\(folder(of: "\(#filePath)"))/Golden"
    _ = try Tokenizer.load(path: "\(golden)/uncased.tokenizer.json")
    #expect(status { try Tokenizer.load(path: golden) } == .ioError)
    #expect(status { try Tokenizer.load(path: "\(golden)/nothing.json") } == .ioError)
  }
}
