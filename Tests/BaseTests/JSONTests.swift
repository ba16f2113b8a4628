import Testing

@testable import Base

@Suite struct JSONTests {
  private func parse(_ text: String) throws -> JSON { try JSON.parse(Array(text.utf8)) }

  private func status(_ bytes: [UInt8]) -> Status? {
    do throws(StackLensError) {
      _ = try JSON.parse(bytes)
      return nil
    } catch {
      return error.status
    }
  }

  @Test func readsEveryKind() throws {
    let value = try parse(
      " {\"a\" : [1, -2, 3.5, 1e2, true, false, null], \"b\":{\"c\":\"\\u00e9\\ud83d\\ude00\\n\"}} "
    )
    #expect(value["a"]?[0] == .integer(1))
    #expect(value["a"]?[1]?.integerValue == -2)
    #expect(value["a"]?[2]?.numberValue == 3.5)
    #expect(value["a"]?[3]?.integerValue == 100)
    #expect(value["a"]?[6]?.isNull == true)
    #expect(value["a"]?[7] == nil)
    #expect(value["b"]?["c"]?.stringValue == "é😀\n")
    #expect(value.objectValue?.members.map(\.key) == ["a", "b"])
  }

  @Test func integersKeepTheirBits() throws {
    #expect(try parse("9223372036854775807") == .integer(.max))
    #expect(try parse("-9223372036854775808") == .integer(.min))
    #expect(try parse("9223372036854775808") == .number(9_223_372_036_854_775_808))
  }

  @Test(arguments: [
    "", " ", "{", "}", "[1", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "'a'", "tru",
    "nul", "01", "-", "1.", ".5", "1e", "+1", "1e999", "\"", "\"\\", "\"\\x\"", "\"\\u12\"",
    "\"\\ud800\"", "\"\\ude00\"", "\"\u{01}\"", "1 2", "{\"a\":1,\"a\":2}", "\u{FEFF}1",
  ])
  func rejects(_ text: String) {
    #expect(status(Array(text.utf8)) == .formatError)
  }

  @Test(
    arguments: [[0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xE2, 0x22]] as [[UInt8]])
  func rejectsBadUTF8(_ bytes: [UInt8]) {
    #expect(status(bytes) == .formatError)
  }

  @Test func limitsDepthAndSize() throws {
    #expect(status(Array(repeating: UInt8(ascii: "["), count: 1_000_000)) == .limitExceeded)
    #expect(status(Array(String(repeating: "{\"a\":", count: 100_000).utf8)) == .limitExceeded)
    var limits = JSONLimits()
    limits.values = 3
    #expect(throws: StackLensError.self) { try JSON.parse(Array("[1,2,3]".utf8), limits: limits) }
    #expect(try JSON.parse(Array("[1,2]".utf8), limits: limits)[1] == .integer(2))
  }

  @Test func errorsNameTheByte() throws {
    do {
      _ = try parse("[1, x]")
      Issue.record("no error")
    } catch let error as StackLensError {
      #expect(error.message.contains("byte 4"))
    }
  }

  @Test func writesWhatItReads() throws {
    let text = "{\"a\":[1,-2.5,\"q\\\"\\\\\\n\\u0001é\",null,true],\"b\":{}}"
    let value = try parse(text)
    #expect(String(decoding: value.encoded(), as: UTF8.self) == text)
    #expect(try JSON.parse(value.encoded()) == value)
  }

  @Test func survivesEveryTruncation() {
    let text = Array("{\"a\":[1,-2.5e3,\"\\u00e9\\n\",null,true],\"é\":{\"x\":[[]]}}".utf8)
    for length in 0..<text.count { #expect(status(Array(text[..<length])) == .formatError) }
    #expect(status(text) == nil)
  }
}
