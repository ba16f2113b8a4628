import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Drops the elements that are stop words, then changes the case of the others; when none is
  /// left, one empty text. ONNX StringNormalizer-10.
  static let stringNormalizer = OperatorDefinition(
    "StringNormalizer", versions: [10], inputs: 1...1,
    attributes: [
      .string("case_change_action", default: "NONE"), .int("is_case_sensitive", default: 0),
      .optional("locale", .string), .optional("stopwords", .strings),
    ],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (evaluation) throws(StackLensError) in
      let x = try evaluation.tensor(0)
      guard x.elementType == .string else {
        throw .typeMismatch("input 0 is \(x.elementType.name), expected string")
      }
      guard x.rank == 1 || x.rank == 2 && x.shape[0] == 1 else {
        throw .shapeMismatch("the input has shape \(x.shape), expected [C] or [1, C]")
      }
      let rule = try NormalizationRule(evaluation)
      var kept = (0..<x.count).compactMap { rule.apply(x.texts[$0]) }
      if kept.isEmpty { kept = [""] }
      return [
        .tensor(try Tensor(kept, shape: Shape(x.rank == 1 ? [kept.count] : [1, kept.count])))
      ]
    },
    samples: [
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor(["Monday", "TUESDAY", "été"]) }],
        ["case_change_action": .string("UPPER"), "stopwords": .strings(["monday"])]),
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor(["a", "a"], shape: Shape([1, 2])) }],
        ["stopwords": .strings(["a"]), "is_case_sensitive": .int(1)]),
    ])
}

/// What StringNormalizer does with one text.
private struct NormalizationRule: Sendable {
  private let change: CaseMapping
  /// The case in which texts meet the stop words.
  private let comparison: CaseMapping
  private let isTurkic: Bool
  private let stopWords: Set<ExactText>

  init(_ view: some NodeView) throws(StackLensError) {
    let name = try view.string("case_change_action")
    guard let change = CaseMapping(rawValue: name) else {
      throw .invalidArgument(
        "attribute 'case_change_action' is '\(name)', expected LOWER, UPPER or NONE")
    }
    let language = view.has("locale") ? try view.string("locale").prefix(2) : ""
    self.change = change
    isTurkic = language == "tr" || language == "az"
    let isCaseSensitive = try view.flag("is_case_sensitive")
    comparison = isCaseSensitive ? .none : change == .none ? .lower : change
    var words: Set<ExactText> = []
    for word in try view.strings("stopwords") ?? [] {
      words.insert(ExactText(comparison.apply(word, isTurkic: isTurkic)))
    }
    stopWords = words
  }

  /// The text in its new case, nil for a stop word.
  func apply(_ text: String) -> String? {
    let compared = comparison.apply(text, isTurkic: isTurkic)
    guard !stopWords.contains(ExactText(compared)) else { return nil }
    return comparison == change ? compared : change.apply(text, isTurkic: isTurkic)
  }
}
