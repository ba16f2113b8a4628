import Base

/// A token that is looked for in the text before anything is cut into words.
struct AddedToken: Sendable, Equatable {
  var content: [UInt8]
  var id: Int32
  /// Left out when decoding skips special tokens.
  var isSpecial = false
  /// Matches whole words only.
  var isSingleWord = false
  /// Takes the white space on its left, and on its right.
  var stripsLeft = false
  var stripsRight = false
  /// Matches the normalised text, in its own normalised form.
  var isNormalized = false
}

/// Finds added tokens: leftmost, longest of those that start at one place.
struct AddedTokenMatcher: Sendable {
  struct Match {
    var id: Int32
    var start: Int
    var end: Int
  }

  private struct Pattern: Sendable {
    var content: [UInt8]
    var token: AddedToken
  }

  private var patterns: [Pattern] = []
  /// For each first byte the range of `patterns`, which are sorted by first byte, longest first.
  private var ranges: [Range<Int>] = []
  /// The first byte that all patterns share, if they do.
  private var onlyFirstByte: UInt8?

  var isEmpty: Bool { patterns.isEmpty }

  /// - Parameter tokens: what to look for, and the bytes it has in the text.
  init(_ tokens: [(content: [UInt8], token: AddedToken)]) {
    patterns = tokens.filter { !$0.content.isEmpty }.map {
      Pattern(content: $0.content, token: $0.token)
    }
    patterns.sort {
      ($0.content[0], -$0.content.count, $0.token.id)
        < ($1.content[0], -$1.content.count, $1.token.id)
    }
    ranges = Array(repeating: 0..<0, count: 256)
    var start = 0
    while start < patterns.count {
      let first = patterns[start].content[0]
      var end = start
      while end < patterns.count, patterns[end].content[0] == first { end += 1 }
      ranges[Int(first)] = start..<end
      start = end
    }
    if let first = patterns.first?.content[0], patterns.last?.content[0] == first {
      onlyFirstByte = first
    }
  }

  /// The matches in `text[range]` from left to right, without overlap.
  func matches(_ text: UnsafePointer<UInt8>, _ range: Range<Int>) -> [Match] {
    var found: [Match] = []
    var position = range.lowerBound
    var previousEnd = range.lowerBound
    while true {
      position = candidate(text, position, range.upperBound)
      guard position < range.upperBound else { return found }
      guard let pattern = longest(text, position, range.upperBound) else {
        position += 1
        continue
      }
      var start = position
      var end = position + pattern.content.count
      position = end
      let token = pattern.token
      if token.isSingleWord {
        let wordBefore =
          start > range.lowerBound
          && CharacterTables.shared.isWord(Self.before(text, start, range.lowerBound).scalar)
        let wordAfter =
          end < range.upperBound
          && CharacterTables.shared.isWord(
            UTF8Reader.decode(text + end, count: range.upperBound - end).scalar)
        if wordBefore || wordAfter { continue }
      }
      if token.stripsLeft {
        while start > previousEnd {
          let (scalar, length) = Self.before(text, start, range.lowerBound)
          guard CharacterTables.shared.flags(scalar) & CharacterTables.space != 0 else { break }
          start -= length
        }
        start = max(start, previousEnd)
      }
      if token.stripsRight {
        while end < range.upperBound {
          let (scalar, length, _) = UTF8Reader.decode(text + end, count: range.upperBound - end)
          guard CharacterTables.shared.flags(scalar) & CharacterTables.space != 0 else { break }
          end += length
        }
      }
      found.append(Match(id: token.id, start: start, end: end))
      previousEnd = end
    }
  }

  /// The next place where a pattern's first byte stands, or `end`.
  private func candidate(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    var position = start
    if let first = onlyFirstByte {
      let pattern = UInt64(first) &* 0x0101_0101_0101_0101
      let raw = UnsafeRawPointer(text)
      while position + 8 <= end {
        let word = raw.loadUnaligned(fromByteOffset: position, as: UInt64.self) ^ pattern
        if (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0 { break }
        position += 8
      }
      while position < end, text[position] != first { position += 1 }
      return position
    }
    while position < end, ranges[Int(text[position])].isEmpty { position += 1 }
    return position
  }

  private func longest(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Pattern? {
    next: for index in ranges[Int(text[start])] {
      let content = patterns[index].content
      guard content.count <= end - start else { continue }
      for offset in content.indices where content[offset] != text[start + offset] {
        continue next
      }
      return patterns[index]
    }
    return nil
  }

  /// The character that ends at `end`.
  private static func before(
    _ text: UnsafePointer<UInt8>, _ end: Int, _ limit: Int
  ) -> (scalar: UInt32, length: Int) {
    var start = end - 1
    while start > limit, end - start < 4, text[start] & 0xC0 == 0x80 { start -= 1 }
    let (scalar, length, valid) = UTF8Reader.decode(text + start, count: end - start)
    return valid && length == end - start ? (scalar, length) : (UTF8Reader.replacement, 1)
  }
}
