import Base
import Tensors
import Text

/// Texts to what an encoder takes: pieces, and the technical terms that they belong to.
struct TextReader: Sendable {
  private let tokenizer: Tokenizer
  private let terms: TermMatcher
  private let maxLength: Int
  private let spellingBuckets: Int

  /// - Parameter spellingBuckets: rows of the table of how texts are spelt; 0: there is none.
  /// - Throws: as `EncoderPart.tokenizer`.
  init(
    _ knowledge: Knowledge, _ encoder: EncoderPart, terms: [String] = [], maxLength: Int,
    spellingBuckets: Int = 0
  ) throws(StackLensError) {
    tokenizer = try encoder.tokenizer(knowledge)
    self.terms = TermMatcher(terms)
    self.maxLength = maxLength
    self.spellingBuckets = spellingBuckets
  }

  /// - Throws: what the tokenizer says, naming the row.
  func read(_ texts: [String]) throws(StackLensError) -> EncodedTexts {
    var options = EncodingOptions()
    options.length = .headAndTail(maxLength: maxLength)
    options.fill = .none
    var rows = EncodedTexts()
    for (row, text) in texts.enumerated() {
      do throws(StackLensError) {
        let encoding = try tokenizer.encode(text, options: options)
        rows.append(
          encoding, terms: covering(encoding, terms.matches(in: text)),
          spelling: spellingBuckets > 0 ? SpelledText(text, buckets: spellingBuckets) : nil)
      } catch { throw error.within("row \(row)") }
    }
    return rows
  }

  /// The term of each piece, -1 for none.
  private func covering(_ encoding: Encoding, _ matches: [TermMatcher.Match]) -> [Int32] {
    var covered = [Int32](repeating: -1, count: encoding.count)
    guard !matches.isEmpty else { return covered }
    for (piece, span) in encoding.byteOffsets.enumerated()
    where encoding.specialTokensMask[piece] == 0 {
      if let match = matches.first(where: { $0.start < span.end && span.start < $0.end }) {
        covered[piece] = Int32(match.term)
      }
    }
    return covered
  }
}

/// Texts as pieces.
struct EncodedTexts: Divisible {
  /// Special pieces included.
  private(set) var ids: [[Int32]] = []
  /// The technical term of each piece, -1 for none.
  private(set) var terms: [[Int32]] = []
  /// How each is spelt; empty where nobody asks.
  private(set) var spelling: [SpelledText] = []
  private(set) var isEmpty: [Bool] = []
  private(set) var isTruncated: [Bool] = []
  /// The share of words that the tokenizer cannot spell.
  private(set) var unknownRatio: [Float] = []

  var count: Int { ids.count }
  var lengths: [Int] { ids.map(\.count) }

  mutating func append(
    _ encoding: Encoding, terms covered: [Int32], spelling spelled: SpelledText? = nil
  ) {
    ids.append(encoding.ids)
    if let spelled { spelling.append(spelled) }
    terms.append(covered)
    isEmpty.append(encoding.wordCount == 0)
    isTruncated.append(encoding.isTruncated)
    unknownRatio.append(
      encoding.wordCount > 0 ? Float(encoding.unknownCount) / Float(encoding.wordCount) : 0)
  }

  /// Pieces that are known already, special ones included.
  mutating func append(ids row: [Int32]) {
    ids.append(row)
    terms.append([Int32](repeating: -1, count: row.count))
    isEmpty.append(false)
    isTruncated.append(false)
    unknownRatio.append(0)
  }

  /// - Parameters:
  ///   - ids, mask, terms: int64 [rows, steps]; the mask 1 for real pieces, which come first.
  ///   - spelling: of each row; empty where nobody asks.
  /// - Throws: `.invalidArgument` for a row without a piece, and for a mask with holes.
  init(
    _ ids: Tensor, mask: Tensor, terms: Tensor?, spelling: [SpelledText] = []
  ) throws(StackLensError) {
    self.spelling = spelling
    let width = ids.shape[1]
    let (pieces, real) = (try ids.integers(), try mask.integers())
    let covered = try terms?.integers()
    for row in 0..<ids.shape[0] {
      let places = row * width..<(row + 1) * width
      let count = real[places].count { $0 != 0 }
      guard count > 0 else { throw .invalidArgument("row \(row) has no piece: its mask is all 0") }
      guard real[places].prefix(count).allSatisfy({ $0 != 0 }) else {
        throw .invalidArgument("the mask of row \(row) has holes: real pieces come first")
      }
      let kept = places.prefix(count)
      self.ids.append(kept.map { Int32(pieces[$0]) })
      self.terms.append(kept.map { Int32(covered?[$0] ?? -1) })
      isEmpty.append(false)
      isTruncated.append(false)
      unknownRatio.append(0)
    }
  }

  init() {}

  func taking(_ rows: [Int]) -> EncodedTexts {
    var taken = EncodedTexts()
    taken.ids = rows.map { ids[$0] }
    taken.terms = rows.map { terms[$0] }
    if !spelling.isEmpty { taken.spelling = rows.map { spelling[$0] } }
    taken.isEmpty = rows.map { isEmpty[$0] }
    taken.isTruncated = rows.map { isTruncated[$0] }
    taken.unknownRatio = rows.map { unknownRatio[$0] }
    return taken
  }

  /// Rows side by side as int64 [rows, steps]: input_ids, attention_mask, token_type_ids and tech_ids;
  /// and as `SpelledText` has them, where it is known how they are spelt.
  func padded(_ rows: [Int]) throws(StackLensError) -> [String: Tensor] {
    let width = rows.map { ids[$0].count }.max() ?? 0
    let shape = try Shape([rows.count, width])
    let (pieces, mask) = (try Tensor(zeros: .int64, shape), try Tensor(zeros: .int64, shape))
    let covered = try Tensor([Int64](repeating: -1, count: shape.count), shape: shape)
    for (place, row) in rows.enumerated() {
      func fill(_ tensor: Tensor, _ values: some Collection<Int64>) {
        let base = tensor.base.assumingMemoryBound(to: Int64.self) + place * width
        for (index, value) in values.enumerated() { base[index] = value }
      }
      fill(pieces, ids[row].map { Int64($0) })
      fill(mask, repeatElement(1, count: ids[row].count))
      fill(covered, terms[row].map { Int64($0) })
    }
    var arrays = try spelling.isEmpty ? [:] : SpelledText.padded(rows.map { spelling[$0] })
    (arrays["input_ids"], arrays["attention_mask"]) = (pieces, mask)
    (arrays["token_type_ids"], arrays["tech_ids"]) = (try Tensor(zeros: .int64, shape), covered)
    return arrays
  }
}
