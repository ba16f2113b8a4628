import Tensors

extension OperatorTable {
  static let strings: [OperatorDefinition] = [
    .contribTokenizer, .regexFullMatch, .stringConcat, .stringNormalizer, .stringSplit,
    .tfIdfVectorizer,
  ]
}

/// A text that equals another only where all bytes do; Swift's strings equal one another in any
/// normal form.
struct ExactText: Hashable, Sendable {
  let text: String

  init(_ text: String) { self.text = text }

  static func == (left: ExactText, right: ExactText) -> Bool {
    left.text.utf8.elementsEqual(right.text.utf8)
  }

  func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

extension Tensor {
  /// The elements of a tensor that holds strings.
  var texts: UnsafeMutablePointer<String> { base.assumingMemoryBound(to: String.self) }
}
