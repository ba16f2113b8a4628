import Base
import Tensors

/// Words and punctuation by number: 0 is padding, 1 a word that is not known, 2 … words by falling
/// frequency.
struct WordVectorizer: Sendable {
  static let padding = 0
  static let unknown = 1
  private static let fact = "vocabulary"
  private let words: [String]
  private let ids: [String: Int64]

  /// - Parameter words: the known ones, the first of them with the id 2.
  private init(words: [String]) {
    self.words = words
    ids = Dictionary(
      words.enumerated().map { ($0.element, Int64($0.offset + Self.unknown + 1)) },
      uniquingKeysWith: { first, _ in first })
  }

  /// The most frequent words of texts; among equals the one that comes first in the alphabet.
  /// - Parameter size: ids at most, those of padding and unknown words among them.
  init(learning texts: [[String]], size: Int) {
    var counts: [String: Int] = [:]
    for text in texts {
      for word in text { counts[word, default: 0] += 1 }
    }
    let sorted = counts.sorted { ($0.value, $1.key) > ($1.value, $0.key) }
    self.init(words: sorted.prefix(max(0, size - Self.unknown - 1)).map(\.key))
  }

  /// The vocabulary that a model learned.
  /// - Throws: `.notFitted` where it learned from ids, `.formatError` for facts of another form.
  init(_ knowledge: Knowledge, size: Int) throws(StackLensError) {
    guard let fact = knowledge.facts[Self.fact] else {
      throw .notFitted("the model knows no words: it was fitted with ids, and takes ids")
    }
    let words = (fact.arrayValue ?? []).compactMap(\.stringValue)
    guard words.count == fact.arrayValue?.count, words.count <= size - Self.unknown - 1 else {
      throw .formatError("the vocabulary of the model is no list of \(size) words at most")
    }
    self.init(words: words)
  }

  func remember(in knowledge: inout Knowledge) {
    knowledge.facts[Self.fact] = .array(words.map { .string($0) })
  }

  /// The ids of texts, int64 [texts, length]: cut at the end, or padded.
  /// - Parameter isTrimmed: whether columns that are padding in every row are left out, all but one.
  func tensor(
    _ texts: [String], length: Int, isTrimmed: Bool
  ) throws(StackLensError) -> Tensor {
    let rows = texts.map { Self.split($0).prefix(length).map { ids[$0] ?? Int64(Self.unknown) } }
    let width = isTrimmed ? max(1, rows.map(\.count).max() ?? 1) : length
    let shape = try Shape([rows.count, width])
    let result = try Tensor(zeros: .int64, shape)
    let base = result.base.assumingMemoryBound(to: Int64.self)
    for (index, row) in rows.enumerated() {
      for (place, id) in row.enumerated() { base[index * width + place] = id }
    }
    return result
  }

  /// A text as lower-case words, each punctuation character and symbol one of its own, or left out.
  static func split(_ text: String, keepsMarks: Bool = true) -> [String] {
    var words: [String] = []
    var word = String.UnicodeScalarView()
    func end() {
      if !word.isEmpty { words.append(String(word)) }
      word.removeAll(keepingCapacity: true)
    }
    for scalar in text.lowercased().unicodeScalars {
      switch Kind(scalar) {
      case .space: end()
      case .letter: word.append(scalar)
      case .mark:
        end()
        if keepsMarks { words.append(String(scalar)) }
      }
    }
    end()
    return words
  }

  private enum Kind {
    case space, letter, mark

    init(_ scalar: Unicode.Scalar) {
      switch scalar.value {
      case 48...57, 65...90, 97...122: self = .letter
      case 0...32, 127: self = .space
      case 33...126: self = .mark
      default:
        switch scalar.properties.generalCategory {
        case .spaceSeparator, .lineSeparator, .paragraphSeparator, .control, .format: self = .space
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
          .initialPunctuation, .finalPunctuation, .otherPunctuation, .mathSymbol, .currencySymbol,
          .modifierSymbol, .otherSymbol:
          self = .mark
        default: self = .letter
        }
      }
    }
  }
}
