import TestSupport
import Testing

@testable import Training

struct GlobTests {
  @Test(arguments: [
    ("encoder.layer.[0-3].*", "encoder.layer.0.attention.query.weight", true),
    ("encoder.layer.[0-3].*", "encoder.layer.4.attention.query.weight", false),
    ("encoder.layer.[0-3].*", "encoder.layer.10.output.bias", false),
    ("*.bias", "a.b.bias", true), ("*.bias", "a.biases", false), ("*", "", true), ("", "", true),
    ("", "a", false), ("?", "é", true), ("??", "a", false), ("a*b*c", "aXbYbZc", true),
    ("a*b*c", "aXbYbZ", false), ("[!ab]x", "cx", true), ("[!ab]x", "ax", false),
    ("[]x]", "]", true), ("[a-]", "-", true), ("**", "anything", true), ("a", "A", false),
    ("onnx::*_12", "onnx::MatMul_12", true),
  ])
  func matches(_ pattern: String, _ name: String, _ expected: Bool) throws {
    #expect(try Glob(pattern).matches(name) == expected)
  }

  @Test(arguments: ["[", "a[", "[]", "[!]", "x[a", "[3-0]"])
  func refusesBrokenSets(_ pattern: String) {
    #expect(failure { _ = try Glob(pattern) }?.status == .invalidArgument)
  }

  @Test func manyStarsTakeNoTime() throws {
    let glob = try Glob(String(repeating: "a*", count: 50) + "b")
    #expect(!glob.matches(String(repeating: "a", count: 2000)))
  }
}
