import Base
import Testing

@testable import Text

@Suite struct TokenizerTests {
  let tokenizer: Tokenizer

  init() throws { tokenizer = try Golden.tokenizer("uncased") }

  private var bare: EncodingOptions {
    var options = EncodingOptions()
    options.addsSpecialTokens = false
    return options
  }

  @Test func offsetsAreCharactersAndBytes() throws {
    let encoding = try tokenizer.encode("naïve 中x0", options: bare)
    #expect(tokenizer.tokens(of: encoding) == ["naive", "中", "x0"])
    #expect(encoding.offsets.map { [$0.start, $0.end] } == [[0, 5], [6, 7], [7, 9]])
    #expect(encoding.byteOffsets.map { [$0.start, $0.end] } == [[0, 6], [7, 10], [10, 12]])
  }

  @Test func countsUnknownWords() throws {
    let encoding = try tokenizer.encode("error ⏚⏚ in ⏛", options: bare)
    #expect(encoding.unknownCount == 2)
    #expect(encoding.wordCount == 4)
    #expect(encoding.ids[1] == tokenizer.unknownID)
  }

  @Test func emptyTextIsSpecialTokensOnly() throws {
    let encoding = try tokenizer.encode("")
    #expect(tokenizer.tokens(of: encoding) == ["[CLS]", "[SEP]"])
    #expect(encoding.specialTokensMask == [1, 1])
    #expect(try tokenizer.encode(" \t\n", options: bare).count == 0)
  }

  @Test(
    arguments: [
      [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82],
      [0xF0, 0x9F],
    ] as [[UInt8]])
  func badUTF8CountsAsReplacementCharacters(_ bad: [UInt8]) throws {
    let bytes = Array("error ".utf8) + bad + Array(" in".utf8)
    let repaired = String(decoding: bytes, as: UTF8.self)
    let expected = try tokenizer.encode(repaired)
    let found = try withRaw(bytes) { try tokenizer.encode(utf8: $0) }
    #expect(found.ids == expected.ids)
    #expect(found.offsets == expected.offsets)
    #expect(found.byteOffsets.map(\.end).max() == bytes.count)
  }

  @Test func keepsHeadAndTail() throws {
    var options = bare
    options.length = .headAndTail(maxLength: 5)
    let all = try tokenizer.encode("a b c d e f g h", options: bare)
    let kept = try tokenizer.encode("a b c d e f g h", options: options)
    #expect(kept.ids == Array(all.ids[0..<3] + all.ids[6..<8]))
    #expect(kept.isTruncated)
    #expect(!(try tokenizer.encode("a b c d e", options: options).isTruncated))
  }

  @Test func windowsOverlapAndCoverTheText() throws {
    let text = (0..<50).map { _ in "error" }.joined(separator: " ")
    let all = try tokenizer.encode(text, options: bare)
    let windows = try withRaw(Array(text.utf8)) {
      try tokenizer.encodeWindows(utf8: $0, maxLength: 20, overlap: 4)
    }
    #expect(windows.map(\.count) == [20, 20, 20, 10])
    var joined = Array(windows[0].byteOffsets.dropFirst().dropLast())
    for window in windows.dropFirst() {
      let inner = window.byteOffsets.dropFirst().dropLast()
      #expect(Array(inner.prefix(4)) == Array(joined.suffix(4)))
      joined += inner.dropFirst(4)
    }
    #expect(joined == all.byteOffsets)
    #expect(try withRaw([]) { try tokenizer.encodeWindows(utf8: $0, maxLength: 40) }.count == 1)
  }

  @Test func rejectsLimitsThatCannotBeMet() throws {
    #expect(
      status { try tokenizer.encode("error", options: .truncated(to: 1)) } == .invalidArgument)
    #expect(
      status { try tokenizer.encode("error", options: .truncated(to: -5)) } == .invalidArgument)
    var pair = EncodingOptions()
    pair.length = .headAndTail(maxLength: 8)
    #expect(
      status { try tokenizer.encode("error", pair: "in", options: pair) } == .invalidArgument)
    #expect(
      status {
        try withRaw([0x61]) { try tokenizer.encodeWindows(utf8: $0, maxLength: 10, overlap: 8) }
      } == .invalidArgument)
  }

  @Test(arguments: [1, 4])
  func batchesEqualSingleTexts(_ threads: Int) throws {
    let cases = try #require(try Golden.json("uncased.cases.json").arrayValue)
    let texts = cases.compactMap { $0["text"]?.stringValue }.map { Array($0.utf8) }
    let block = texts.flatMap { $0 }
    try withRaw(block) { raw in
      var slices: [UnsafeRawBufferPointer] = []
      var start = 0
      for text in texts {
        slices.append(UnsafeRawBufferPointer(rebasing: raw[start..<(start + text.count)]))
        start += text.count
      }
      let parallel = Parallel(.withThreads(threads))
      let options = EncodingOptions.truncated(to: 24)
      let batch = try tokenizer.encodeBatch(utf8: slices, options: options, on: parallel)
      let packed = try tokenizer.packedIDs(utf8: slices, maxLength: 24, on: parallel)
      #expect(batch.count == slices.count)
      for (index, slice) in slices.enumerated() {
        let single = try tokenizer.encode(utf8: slice, options: options)
        #expect(batch[index] == single)
        #expect(Array(packed.ids[packed.starts[index]..<packed.starts[index + 1]]) == single.ids)
        #expect(packed.isTruncated[index] == single.isTruncated)
      }
      var padded = options
      padded.fill = .padded(Padding(multiple: 8))
      let lengths = Set(try tokenizer.encodeBatch(utf8: slices, options: padded).map(\.count))
      #expect(lengths == [24])
    }
  }

  @Test func namesTheTextThatFails() throws {
    let found = withRaw(Array("error".utf8)) { raw in
      message { try tokenizer.packedIDs(utf8: [raw, raw], maxLength: 1) }
    }
    #expect(found?.contains("text 0") == true)
  }

  @Test func looksUpTokens() throws {
    let id = try #require(tokenizer.id(ofToken: "error"))
    #expect(tokenizer.token(ofID: id) == "error")
    #expect(tokenizer.id(ofToken: "no such token") == nil)
    #expect(tokenizer.token(ofID: -1) == nil)
    #expect(tokenizer.token(ofID: .max) == nil)
    #expect(tokenizer.decode([id, -7, .max]) == "error")
    let added = try Golden.tokenizer("added")
    let mask = try #require(added.id(ofToken: "<mask>"))
    #expect(added.token(ofID: mask) == "<mask>")
    #expect(added.vocabularySize > tokenizer.vocabularySize)
  }
}

/// The status of the error that `body` throws, nil if it throws none.
func status<Value>(_ body: () throws -> Value) -> Status? {
  do {
    _ = try body()
    return nil
  } catch {
    return (error as? StackLensError)?.status
  }
}

/// The message of the error that `body` throws, nil if it throws none.
func message<Value>(_ body: () throws -> Value) -> String? {
  do {
    _ = try body()
    return nil
  } catch {
    return (error as? StackLensError)?.message
  }
}
