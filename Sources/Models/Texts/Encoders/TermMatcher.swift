/// Finds technical terms in texts: at word boundaries, whatever the case, leftmost and longest first.
struct TermMatcher: Sendable {
  /// A term that was found, by its bytes in the text.
  struct Match: Equatable {
    let term, start, end: Int
  }

  /// A tree of the terms' bytes: where a byte leads from a node.
  private var children: [Step: Int] = [:]
  /// Which term ends at a node.
  private var ends: [Int: Int] = [:]

  private struct Step: Hashable {
    let node: Int
    let byte: UInt8
  }

  /// - Parameter terms: of terms that differ in case alone the first counts.
  init(_ terms: [String]) {
    var count = 1
    for (index, term) in terms.enumerated() {
      let bytes = Folded(term).bytes
      guard !bytes.isEmpty else { continue }
      var node = 0
      for byte in bytes {
        let step = Step(node: node, byte: byte)
        if let next = children[step] {
          node = next
        } else {
          children[step] = count
          node = count
          count += 1
        }
      }
      if ends[node] == nil { ends[node] = index }
    }
  }

  func matches(in text: String) -> [Match] {
    guard !ends.isEmpty else { return [] }
    let folded = Folded(text)
    var found: [Match] = []
    var place = 0
    while place < folded.bytes.count {
      if folded.isBoundary(place), let (term, end) = longest(folded, from: place) {
        found.append(
          Match(term: term, start: folded.origins[place], end: folded.origins[end]))
        place = end
      } else {
        place += 1
      }
    }
    return found
  }

  private func longest(_ text: Folded, from start: Int) -> (term: Int, end: Int)? {
    var (node, place) = (0, start)
    var best: (Int, Int)?
    while place < text.bytes.count,
      let next = children[Step(node: node, byte: text.bytes[place])]
    {
      (node, place) = (next, place + 1)
      if let term = ends[node], text.isBoundary(place) { best = (term, place) }
    }
    return best
  }

  /// Lower-case text with each run of white space as one space.
  private struct Folded {
    private(set) var bytes: [UInt8] = []
    /// Where in the text each byte comes from, and its end behind them.
    private(set) var origins: [Int] = []

    init(_ text: String) {
      var place = 0
      for scalar in text.unicodeScalars {
        let width = UTF8.width(scalar)
        defer { place += width }
        if scalar.properties.isWhitespace {
          if bytes.last != UInt8(ascii: " ") { append([UInt8(ascii: " ")], from: place) }
        } else if scalar.isASCII {
          let byte = UInt8(scalar.value)
          append([(65...90).contains(byte) ? byte + 32 : byte], from: place)
        } else {
          append(Array(scalar.properties.lowercaseMapping.utf8), from: place)
        }
      }
      origins.append(place)
    }

    private mutating func append(_ new: [UInt8], from place: Int) {
      bytes += new
      origins += [Int](repeating: place, count: new.count)
    }

    /// Whether no word goes on here.
    func isBoundary(_ place: Int) -> Bool {
      place == 0 || place == bytes.count
        || !(Self.isWord(bytes[place - 1]) && Self.isWord(bytes[place]))
    }

    private static func isWord(_ byte: UInt8) -> Bool {
      switch byte {
      case 48...57, 65...90, 97...122, 95, 128...: true
      default: false
      }
    }
  }
}
