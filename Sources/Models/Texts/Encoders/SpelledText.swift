import Base
import Glibc
import Insight
import Tensors

/// How a text is spelt: its n-grams of characters as rows of a table, and how often each occurs.
///
/// N-grams of 2 to 5 characters of the lower-case text, inside words with a space on both sides, hashed
/// into the rows from 1 on; row 0 stands for none.
struct SpelledText: Sendable {
  /// Different rows, in the order in which they come.
  private(set) var rows: [Int32] = []
  /// 1 + ln(times) of each row.
  private(set) var weights: [Float] = []

  private static let lengths = 2...5
  /// Different rows of a text that count: the rest of a longer one does not.
  private static let limit = 4096

  init() {}

  /// - Parameter buckets: rows of the table, 2 or more.
  init(_ text: String, buckets: Int) {
    var places: [Int32: Int] = [:]
    var counts: [Int] = []
    let words = text.lowercased().unicodeScalars.split { $0.properties.isWhitespace }
    for word in words where rows.count < Self.limit {
      let scalars = [" "] + Array(word) + [" "]
      for first in scalars.indices.dropLast() where rows.count < Self.limit {
        var hash = FNV1a()
        hash.mix(UInt64(scalars[first].value))
        for length in Self.lengths {
          let last = first + length - 1
          guard last < scalars.count else { break }
          hash.mix(UInt64(scalars[last].value))
          let row = hash.row(of: buckets)
          if let place = places[row] {
            counts[place] += 1
          } else {
            places[row] = rows.count
            rows.append(row)
            counts.append(1)
          }
        }
      }
    }
    weights = counts.map { 1 + Float(log(Double($0))) }
  }

  /// ln((1 + n) / (1 + d)) + 1 for a row that d of the n texts have; 0 for one that none has: what was
  /// never seen says nothing.
  static func rarities(_ texts: [SpelledText], buckets: Int) -> [Float] {
    var seen = [Int](repeating: 0, count: buckets)
    for text in texts {
      for row in text.rows { seen[Int(row)] += 1 }
    }
    return seen.map { count in
      count > 0 ? Float(log(Double(1 + texts.count) / Double(1 + count))) + 1 : 0
    }
  }

  /// Texts side by side, row 0 without weight behind the shorter ones: spelling_ids int64 and
  /// spelling_weights float32 [texts, grams], the grams rounded up so that few plans serve all batches.
  /// - Parameter height: rows; nil: one for each text.
  static func padded(
    _ texts: [SpelledText], height: Int? = nil
  ) throws(StackLensError) -> [String: Tensor] {
    let width = PackedBatch.room(max(1, texts.map(\.rows.count).max() ?? 0))
    let shape = try Shape([height ?? texts.count, width])
    let (ids, weights) = (try Tensor(zeros: .int64, shape), try Tensor(zeros: .float32, shape))
    let idBase = ids.base.assumingMemoryBound(to: Int64.self)
    let weightBase = weights.base.assumingMemoryBound(to: Float.self)
    for (place, text) in texts.enumerated() {
      for (gram, row) in text.rows.enumerated() {
        idBase[place * width + gram] = Int64(row)
        weightBase[place * width + gram] = text.weights[gram]
      }
    }
    return ["spelling_ids": ids, "spelling_weights": weights]
  }

  /// The rows of such arrays.
  static func rows(_ ids: Tensor, _ weights: Tensor) throws(StackLensError) -> [SpelledText] {
    let width = ids.shape[1]
    let (rows, counts) = (try ids.integers(), try weights.elements(as: Float.self))
    return (0..<ids.shape[0]).map { text in
      var spelled = SpelledText()
      for place in text * width..<(text + 1) * width where counts[place] != 0 {
        spelled.rows.append(Int32(rows[place]))
        spelled.weights.append(counts[place])
      }
      return spelled
    }
  }
}
