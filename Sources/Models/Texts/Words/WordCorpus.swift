import Base
import Tensors

/// Texts as ids of their words, the most frequent word first.
struct WordCorpus {
  /// How a text becomes words.
  enum Splitting: String, CaseIterable {
    /// Lower-case runs of letters and digits.
    case words
    /// As they stand between white space.
    case spaces
  }

  /// Words that are learned, by falling frequency; among equals the one first in the alphabet.
  private(set) var vocabulary: [String] = []
  private(set) var counts: [Int] = []
  /// Ids of words; -1 between texts, before the first and after the last.
  private(set) var ids: [Int32] = [-1]

  /// - Parameters:
  ///   - minCount: rarer words are left out, as if they were not there.
  ///   - most: words that are learned at most.
  init(_ texts: [String], _ splitting: Splitting, minCount: Int, most: Int) {
    var table = WordTable()
    for text in texts {
      Self.forEachWord(of: text, splitting) { ids.append(table.add($0)) }
      if ids[ids.count - 1] >= 0 { ids.append(-1) }
    }
    let words = (0..<table.count).filter { table.counts[$0] >= minCount }
      .map { (number: $0, word: table.word($0)) }
      .sorted {
        let (left, right) = (table.counts[$0.number], table.counts[$1.number])
        return left != right ? left > right : $0.word < $1.word
      }
    var known = [Int32](repeating: -2, count: table.count)
    for (id, word) in words.prefix(most).enumerated() {
      known[word.number] = Int32(id)
      vocabulary.append(word.word)
      counts.append(table.counts[word.number])
    }
    var length = 0
    for number in ids {
      let id = number < 0 ? -1 : known[Int(number)]
      // Nothing is left of a text whose words are all rare.
      if id == -2 || (id == -1 && length > 0 && ids[length - 1] == -1) { continue }
      ids[length] = id
      length += 1
    }
    ids.removeSubrange(length...)
  }

  /// Words that are learned from in one pass.
  var wordCount: Int { counts.reduce(0, +) }

  /// Calls `body` with the bytes of each word.
  private static func forEachWord(
    of text: String, _ splitting: Splitting, _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) {
    var text = text
    let isPlain = text.withUTF8 { bytes in bytes.allSatisfy { $0 < 0x80 } }
    if splitting == .words, !isPlain {
      for var word in WordVectorizer.split(text, keepsMarks: false) { word.withUTF8(body) }
      return
    }
    text.withUTF8 { bytes in
      guard splitting == .words else { return runs(of: bytes, { $0 > 32 && $0 != 127 }, body) }
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: bytes.count) { lower in
        for (index, byte) in bytes.enumerated() {
          lower.initializeElement(at: index, to: (65...90).contains(byte) ? byte + 32 : byte)
        }
        let isLetter: (UInt8) -> Bool = { (48...57).contains($0) || (97...122).contains($0) }
        runs(of: UnsafeBufferPointer(lower), isLetter, body)
      }
    }
  }

  /// Calls `body` with each run of bytes that belong to words.
  private static func runs(
    of bytes: UnsafeBufferPointer<UInt8>, _ belongs: (UInt8) -> Bool,
    _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) {
    var start = 0
    for index in 0...bytes.count where index == bytes.count || !belongs(bytes[index]) {
      if index > start { body(UnsafeBufferPointer(rebasing: bytes[start..<index])) }
      start = index + 1
    }
  }
}
