import Base
import Testing

@testable import Text

@Suite struct GoldenTests {
  @Test(arguments: ["uncased", "cased", "raw", "added"])
  func equalsHuggingFaceOnHardText(_ variant: String) throws {
    let tokenizer = try Golden.tokenizer(variant)
    let cases = try #require(try Golden.json("\(variant).cases.json").arrayValue)
    #expect(cases.count >= 160)
    for item in cases {
      let text = try #require(item["text"]?.stringValue)
      let encoding = try tokenizer.encode(
        text, pair: item["second"]?.stringValue, options: options(item))
      let comment = Comment(rawValue: "\(item.encodedText.prefix(300))")
      #expect(encoding.ids == numbers(item["ids"]), comment)
      #expect(encoding.typeIDs == numbers(item["types"]), comment)
      #expect(encoding.attentionMask == numbers(item["mask"]), comment)
      #expect(encoding.specialTokensMask == numbers(item["specials"]), comment)
      #expect(
        encoding.offsets.flatMap { [Int32($0.start), Int32($0.end)] } == numbers(item["offsets"]),
        comment)
      #expect(tokenizer.decode(encoding.ids) == item["decoded"]?.stringValue, comment)
    }
  }

  /// One wrong entry in a character table changes a hash.
  @Test func equalsHuggingFaceOnEveryCodePoint() throws {
    let tokenizer = try Golden.tokenizer("uncased")
    let hashes = try #require(try Golden.json("code-points.json").arrayValue)
    var options = EncodingOptions()
    options.addsSpecialTokens = false
    options.length = .unlimited
    for (block, expected) in hashes.enumerated() {
      var hash: UInt64 = 0
      for start in stride(from: block * 4096, to: (block + 1) * 4096, by: 256) {
        let words = (start..<(start + 256)).compactMap { Unicode.Scalar(UInt32($0)) }
          .map { "a\(Character($0))b" }
        let encoding = try tokenizer.encode(words.joined(separator: " "), options: options)
        for (id, span) in zip(encoding.ids, encoding.offsets) {
          for value in [Int(id), span.start, span.end] {
            hash = (hash ^ UInt64(value)) &* 0x100_0000_01b3
          }
        }
      }
      let text = String(hash, radix: 16)
      let padded = String(repeating: "0", count: 16 - text.count) + text
      #expect(padded == expected.stringValue, "code points from \(block * 4096)")
    }
  }

  private func options(_ item: JSON) -> EncodingOptions {
    var options = EncodingOptions()
    options.addsSpecialTokens = item["special"]?.boolValue ?? true
    let side: TextSide = item["side"]?.stringValue == "left" ? .left : .right
    options.length = .unlimited
    if let most = item["max"]?.integerValue {
      options.length = .truncated(Truncation(maxLength: Int(most), direction: side))
    }
    options.fill = .none
    if let multiple = item["pad"]?.integerValue {
      options.fill = .padded(Padding(multiple: Int(multiple), direction: side))
    }
    return options
  }

  private func numbers(_ value: JSON?) -> [Int32]? {
    value?.arrayValue?.compactMap { $0.integerValue.map { Int32($0) } }
  }
}

extension JSON {
  fileprivate var encodedText: String { String(decoding: encoded(), as: UTF8.self) }
}
