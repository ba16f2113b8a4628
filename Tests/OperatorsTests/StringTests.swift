import Base
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Operators

struct StringTests {
  private func evaluate(
    _ name: String, _ inputs: [Tensor], _ attributes: [String: Attribute] = [:], outputs: Int = 1
  ) throws -> [Tensor] {
    let definition = try #require(OperatorTable.find(name, domain: ""))
    let node = Node(
      name, inputs: inputs.indices.map { "x\($0)" }, outputs: (0..<outputs).map { "y\($0)" },
      attributes: attributes)
    try definition.verify(node)
    return try definition.evaluate(node, inputs: inputs.map { .tensor($0) }).map {
      try $0.tensor()
    }
  }

  private func matches(_ pattern: String, _ text: String) throws -> Bool {
    var matcher = RegexMatcher(try RegexProgram(pattern))
    return matcher.matches(text)
  }

  @Test(
    arguments: [
      ("", [""], ["a"]),
      ("a|bc", ["a", "bc"], ["abc"]),
      ("(ab){2,3}", ["abab", "ababab"], ["ab", "abababab"]),
      ("[^a-c]+", ["xyz", "\n"], ["xaz"]),
      ("a.c", ["abc", "a😀c"], ["a\nc"]),
      ("(?s)a.c", ["a\nc"], []),
      ("(?i)straße", ["STRAßE"], ["STRASSE"]),
      ("(?i)k", ["\u{212A}"], []),
      ("\\bcat\\b.*", ["cat flap"], ["catflap"]),
      ("(?m)^a$\\n^b$", ["a\nb"], []),
      ("a$\\nb", [], ["a\nb"]),
      ("\\pL\\p{Lu}\\P{Greek}", ["éÉz"], ["aAα"]),
      ("[[:digit:]-]+", ["1-2"], ["a"]),
      ("\\Qa.b\\E+", ["a.bbb"], ["axb"]),
      ("\\x41\\x{1F600}\\101", ["A😀A"], []),
      ("a{,2}", ["a{,2}"], ["aa"]),
      ("é", ["é"], ["e\u{301}"]),
    ] as [(String, [String], [String])])
  func matchesWhole(_ pattern: String, _ hits: [String], _ misses: [String]) throws {
    for text in hits { #expect(try matches(pattern, text), "\(pattern) on \(text)") }
    for text in misses { #expect(try !matches(pattern, text), "\(pattern) on \(text)") }
  }

  @Test(arguments: [
    "(", ")", "*", "a**", "[", "[]", "[b-a]", "a{2,1}", "a{1001}", "\\", "\\1", "\\q", "\\C",
    "(?=a)", "(?P<n", "\\p{Nobody}", "[[:nobody:]]", "\\x{110000}",
  ])
  func refusesWhatIsNoPattern(_ pattern: String) {
    #expect(status { _ = try RegexProgram(pattern) } == .invalidArgument)
  }

  @Test func boundsPatterns() throws {
    #expect(status { _ = try RegexProgram("((a{999}){999}){999}") } == .limitExceeded)
    let deep = String(repeating: "(", count: 5000)
    #expect(status { _ = try RegexProgram(deep) } == .limitExceeded)
    // Exponential for a matcher that tries one way after another.
    #expect(try !matches("(a|a|aa)*b", String(repeating: "a", count: 20_000)))
  }

  @Test func findsTheFirstAndLongest() throws {
    let program = try RegexProgram("b+|ba|\\bcc?")
    let classes = "abba cc bc".unicodeScalars.map { program.classOf($0.value) }
    var search = RegexSearch(program)
    var found: [Range<Int>] = []
    var start = 0
    while let match = search.match(in: classes, from: start) {
      found.append(match)
      start = match.upperBound
    }
    #expect(found == [1..<3, 5..<7, 8..<9])
  }

  @Test func normalizes() throws {
    let x = try Tensor(["Monday", "İI", "sunday", "ß"])
    let upper = try evaluate(
      "StringNormalizer", [x],
      ["case_change_action": .string("UPPER"), "stopwords": .strings(["MONDAY"])])
    #expect(try upper[0].elements(as: String.self) == ["İI", "SUNDAY", "ß"])
    let turkish = try evaluate(
      "StringNormalizer", [x],
      ["case_change_action": .string("LOWER"), "locale": .string("tr_TR")])
    #expect(try turkish[0].elements(as: String.self) == ["monday", "iı", "sunday", "ß"])
    let none = try evaluate(
      "StringNormalizer", [try Tensor(["a"], shape: Shape([1, 1]))], ["stopwords": .strings(["A"])])
    #expect(none[0].shape.dims == [1, 1])
    #expect(try none[0].elements(as: String.self) == [""])
    #expect(
      status { _ = try evaluate("StringNormalizer", [try Tensor(["a"], shape: Shape([1, 1, 1]))]) }
        == .shapeMismatch)
  }

  @Test func keepsNormalFormsApart() throws {
    let x = try Tensor(["é", "e\u{301}"])
    let kept = try evaluate(
      "StringNormalizer", [x], ["stopwords": .strings(["é"]), "is_case_sensitive": .int(1)])
    #expect(kept[0].shape.dims == [1])
  }

  @Test func splits() throws {
    let parts = try evaluate(
      "StringSplit", [try Tensor(["a--b", "", "-"])], ["delimiter": .string("-")], outputs: 2)
    #expect(
      try parts[0].elements(as: String.self) == ["a", "", "b", "", "", "", "", "", ""])
    #expect(try parts[1].elements(as: Int64.self) == [3, 1, 2])
    let words = try evaluate(
      "StringSplit", [try Tensor([" a\tb  c ", "  "])], ["maxsplit": .int(1)], outputs: 2)
    #expect(try words[0].elements(as: String.self) == ["a", "b  c ", "", ""])
    #expect(try words[1].elements(as: Int64.self) == [2, 0])
  }

  @Test func countsNgrams() throws {
    let attributes: [String: Attribute] = [
      "max_gram_length": .int(2), "max_skip_count": .int(1), "min_gram_length": .int(1),
      "mode": .string("TFIDF"), "ngram_counts": .ints([0, 2]), "ngram_indexes": .ints([3, 0, 1]),
      "pool_int64s": .ints([5, 6, 5, 6]), "weights": .floats([2, 10, 100]),
    ]
    let x = try Tensor([Int64(5), 5, 6, 7, 6])
    let counted = try evaluate("TfIdfVectorizer", [x], attributes)
    #expect(try counted[0].elements(as: Float.self) == [20, 200, 0, 4])
    let present = try evaluate(
      "TfIdfVectorizer", [x], attributes.merging(["mode": .string("IDF")]) { $1 })
    #expect(try present[0].elements(as: Float.self) == [10, 100, 0, 2])
    let huge = try evaluate(
      "TfIdfVectorizer", [x], attributes.merging(["max_skip_count": .int(.max)]) { $1 })
    #expect(try huge[0].elements(as: Float.self) == [20, 400, 0, 4])
  }

  @Test(arguments: [
    ("ngram_counts", Attribute.ints([0, 9])), ("ngram_counts", .ints([0])),
    ("ngram_indexes", .ints([0, 1])), ("ngram_indexes", .ints([-1, 0, 1])),
    ("ngram_indexes", .ints([])), ("pool_int64s", .ints([5, 5, 5, 6])), ("mode", .string("X")),
    ("weights", .floats([1])), ("min_gram_length", .int(0)), ("max_skip_count", .int(-1)),
  ])
  func refusesBrokenPools(_ name: String, _ value: Attribute) throws {
    let attributes = [
      "max_gram_length": Attribute.int(2), "max_skip_count": .int(0), "min_gram_length": .int(1),
      "mode": .string("TF"), "ngram_counts": .ints([0, 2]), "ngram_indexes": .ints([0, 1, 2]),
      "pool_int64s": .ints([5, 6, 5, 6]),
    ].merging([name: value]) { $1 }
    let x = try Tensor([Int64(5)])
    #expect(
      status { _ = try evaluate("TfIdfVectorizer", [x], attributes) } == .invalidArgument)
  }
}
