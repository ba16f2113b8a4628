import Base
import Layers
import Tensors
import Training

/// Pieces of texts as the tagger's network takes them, perhaps with tags.
struct TaggedPieces: Divisible {
  private(set) var texts = EncodedTexts()
  /// What each piece's word looks like, and its rows of the table of words.
  private var shapes: [[Float]] = []
  private var words: [[Int32]] = []
  /// -100 where a piece has none.
  private(set) var tags: [[Int64]] = []

  var count: Int { texts.count }

  init() {}

  /// - Parameter tags: of the window's words; nil where they are not known.
  mutating func append(_ window: PieceWindow, tags known: [Int]? = nil) {
    texts.append(ids: window.ids)
    shapes.append(window.pieces.flatMap(\.shape.features))
    words.append(window.pieces.flatMap(\.buckets))
    var row = [Int64](repeating: Network.missingLabel, count: window.count)
    if let known {
      for (piece, tag) in zip(window.wordStarts, known) { row[piece] = Int64(tag) }
    }
    tags.append(row)
  }

  /// - Parameters:
  ///   - arrays: as `PieceInputs` has them.
  ///   - tags: int64 [rows, steps].
  init(_ arrays: [String: Tensor], tags: Tensor) throws(StackLensError) {
    texts = try EncodedTexts(
      arrays.tensor("input_ids"), mask: arrays.tensor("attention_mask"), terms: nil)
    let steps = tags.shape[1]
    func rows<Element: TensorElement>(
      _ tensor: Tensor, as type: Element.Type
    ) throws(StackLensError) -> [[Element]] {
      let all = try tensor.elements(as: Element.self)
      let size = tensor.rank > 2 ? tensor.shape[2] : 1
      return texts.ids.enumerated().map { row, ids in
        Array(all[row * steps * size..<(row * steps + ids.count) * size])
      }
    }
    shapes = try rows(arrays.tensor("shapes"), as: Float.self)
    words =
      try arrays["word_ids"].map { (ids) throws(StackLensError) in
        try rows(ids, as: Int64.self).map { $0.map { Int32($0) } }
      } ?? texts.ids.map { _ in [] }
    self.tags = try rows(tags, as: Int64.self)
  }

  func taking(_ rows: [Int]) -> TaggedPieces {
    var taken = TaggedPieces()
    taken.texts = texts.taking(rows)
    taken.shapes = rows.map { shapes[$0] }
    taken.words = rows.map { words[$0] }
    taken.tags = rows.map { tags[$0] }
    return taken
  }

  /// Rows side by side, padding behind the shorter ones: input_ids, attention_mask and token_type_ids
  /// [rows, steps], shapes [rows, steps, 16], word_ids [rows, steps, 8], tags [rows, steps].
  func padded(_ rows: [Int]) throws(StackLensError) -> [String: Tensor] {
    var arrays = try texts.padded(rows)
    arrays["tech_ids"] = nil
    let steps = rows.map { texts.ids[$0].count }.max() ?? 0
    func filled<Element: TensorElement>(
      _ columns: [[Element]], _ width: Int, _ rest: Element
    ) throws(StackLensError) -> Tensor {
      var all: [Element] = []
      all.reserveCapacity(rows.count * steps * width)
      for row in rows {
        all += columns[row]
        all += repeatElement(rest, count: max(0, steps * width - columns[row].count))
      }
      let shape = width > 1 ? [rows.count, steps, width] : [rows.count, steps]
      return try Tensor(all, shape: Shape(shape))
    }
    arrays["shapes"] = try filled(shapes, WordShape.count, 0)
    arrays["word_ids"] = try filled(
      words.map { $0.map { Int64($0) } }, WordBuckets.width, 0)
    arrays["tags"] = try filled(tags, 1, Network.missingLabel)
    return arrays
  }
}

/// Batches of pieces, those of similar length together, or of the encoder's states of them.
struct TaggedBatches: BatchSource {
  private let rows: TaggedPieces
  private let states: EncoderStates?
  private let hasWords: Bool
  private let order: BatchOrder

  init(_ rows: TaggedPieces, states: EncoderStates?, hasWords: Bool, order: BatchOrder) {
    (self.rows, self.states, self.hasWords, self.order) = (rows, states, hasWords, order)
  }

  var batchCount: Int? { order.batchCount }

  func batch(_ index: Int, ofEpoch epoch: Int) throws(StackLensError) -> Batch? {
    guard let places = order.rows(ofBatch: index, epoch: epoch) else { return nil }
    var batch = try rows.padded(places)
    if !hasWords { batch["word_ids"] = nil }
    if let states {
      batch["input_ids"] = nil
      batch["token_type_ids"] = nil
      batch["states"] = try states.padded(places)
    }
    return batch
  }
}

/// Hits and misses over entities: right are those of the same words and type.
struct EntityCounts {
  private var found = 0
  private var real = 0
  private var hits = 0

  /// - Parameters:
  ///   - tags: int64 [rows, steps], what was found.
  ///   - labels: what is there, -100 where there is no word.
  mutating func add(_ tags: Tensor, _ labels: Tensor) throws(StackLensError) {
    let (tags, all) = (try tags.integers(), try labels.integers())
    let steps = labels.shape[1]
    for row in 0..<labels.shape[0] {
      let places = (row * steps..<(row + 1) * steps).filter { all[$0] >= 0 }
      let (a, b) = (TagSet.runs(places.map { tags[$0] }), TagSet.runs(places.map { all[$0] }))
      found += a.count
      real += b.count
      let known = Dictionary(b.map { ($0.words.lowerBound, $0) }, uniquingKeysWith: { $1 })
      hits += a.count { known[$0.words.lowerBound] == $0 }
    }
  }

  /// 2 hits / (found + real), 0 where there is nothing.
  var f1: Double { found + real > 0 ? 2 * Double(hits) / Double(found + real) : 0 }
}
