import Base
import Graphs
import Layers
import Tensors

/// A second, linear way from a text to its classes: how it is spelt, beside what its pieces mean (Cheng
/// et al., "Wide & Deep Learning for Recommender Systems", 2016).
///
///     n-grams of characters → 1 + ln(times), times how rare each is, to length 1
///       → a row of scores each → their weighted sum, added to the logits
extension StackLensTransformer {
  /// How rare each n-gram is in the texts of the first fit.
  static let rarity = Knowledge.statistics + "spelling_rarity"

  /// A task's table of scores.
  static func spellingTable(_ task: String) -> String { task + "_spelling.weight" }

  /// The n-grams of a batch in a network, and the weights that they have in their texts.
  struct Spelling {
    let ids, shares: Edge
    let fixed: (Tensor) -> Edge
  }

  /// - Parameters:
  ///   - texts: the name of the extent of texts.
  ///   - fixed: makes numbers that no training moves.
  ///   - rarity: [buckets].
  /// - Returns: nil for a model that does not look at spelling.
  func spelling(
    _ graph: GraphBuilder, texts: String, fixed: @escaping (Tensor) -> Edge,
    rarity: () throws(StackLensError) -> Edge
  ) throws(StackLensError) -> Spelling? {
    guard spellingBuckets > 0 else { return nil }
    let dims: [Dimension] = [.named(texts), .named("grams")]
    let ids = graph.input("spelling_ids", .int64, dims)
    let weights = graph.input("spelling_weights", .float32, dims)
    let weighted = weights * graph.add("Gather", [try rarity(), ids])
    let square = graph.add("ReduceSum", [weighted * weighted, fixed(try Tensor([Int64(1)]))])
    let least = fixed(try Tensor(scalar: Float(1e-12)))
    let length = graph.add("Sqrt", [graph.add("Max", [square, least])])
    return Spelling(ids: ids, shares: weighted / length, fixed: fixed)
  }

  /// The logits of a task with what a text's spelling says; as they are for a model without.
  /// - Parameter table: [buckets, classes].
  func adding(
    _ spelling: Spelling?, _ table: () throws(StackLensError) -> Edge,
    to logits: Edge
  ) throws(StackLensError) -> Edge {
    guard let spelling else { return logits }
    let graph = logits.builder
    let axis = spelling.fixed(try Tensor([Int64(1)]))
    let rows = graph.add("Gather", [try table(), spelling.ids])
    let sums = graph.add("MatMul", [graph.add("Unsqueeze", [spelling.shares, axis]), rows])
    return logits + graph.add("Squeeze", [sums, axis])
  }

  /// The first fit finds how rare n-grams are.
  func learnSpelling(_ fitting: Fitting, _ texts: EncodedTexts) throws(StackLensError) {
    guard spellingBuckets > 0, !fitting.knowledge.isFitted else { return }
    let rarities = SpelledText.rarities(texts.spelling, buckets: spellingBuckets)
    try fitting.knowledge.set(Self.rarity, Tensor(rarities))
  }

  /// n-grams as arrays, held against the table; of none where they are not given.
  func spellingInputs(
    _ arguments: Arguments, _ prefix: String, rows: Int
  ) throws(StackLensError) -> [String: Tensor] {
    let (ids, weights) = (prefix + "spelling_ids", prefix + "spelling_weights")
    guard spellingBuckets > 0 else {
      for name in [ids, weights] where arguments.has(name) {
        throw .invalidArgument("the model does not look at spelling and takes no '\(name)'")
      }
      return [:]
    }
    guard arguments.has(ids) || arguments.has(weights) else {
      return try SpelledText.padded([SpelledText](repeating: SpelledText(), count: rows))
    }
    let found = try arguments.integers(ids, [rows, nil], in: 0..<spellingBuckets)
    return [
      "spelling_ids": found,
      "spelling_weights": try arguments.reals(weights, [rows, found.shape[1]]),
    ]
  }

  /// What reads texts for this model.
  func reader(_ knowledge: Knowledge) throws(StackLensError) -> TextReader {
    try TextReader(
      knowledge, encoder, terms: terms, maxLength: maxLength, spellingBuckets: spellingBuckets)
  }
}
