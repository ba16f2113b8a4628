import Base
import CKernels

/// A row found by a search, with its cosine similarity.
public struct Neighbor: Sendable, Equatable {
  public let index: Int
  public let score: Float
}

/// Exact search over vectors.
public enum Similarity {
  /// Cosine of two vectors, 0 when one of them is zero.
  public static func cosine(
    _ left: UnsafePointer<Float>, _ right: UnsafePointer<Float>, dimension: Int
  ) -> Float {
    var score: Float = 0
    slk_cosine_rows(left, right, dimension, 1, dimension, &score)
    return score
  }

  /// The rows most similar to a query, best first, ties by smaller index.
  /// - Parameters:
  ///   - vectors: `count` rows of `dimension` numbers.
  ///   - topK: at least 1.
  ///   - threshold: in [-1, 1]; rows below are left out.
  /// - Throws: `.invalidArgument`, `.nonFinite` naming the first row with NaN or infinity.
  public static func nearest(
    to query: UnsafePointer<Float>, in vectors: UnsafePointer<Float>, count: Int, dimension: Int,
    topK: Int, threshold: Float, parallel: Parallel = .serial
  ) throws(StackLensError) -> [Neighbor] {
    guard topK >= 1 else { throw .invalidArgument("top_k is \(topK), expected at least 1") }
    guard threshold >= -1, threshold <= 1 else {
      throw .invalidArgument("threshold is \(threshold), expected a number in [-1, 1]")
    }
    guard count > 0 else { return [] }
    let scores = [Float](unsafeUninitializedCapacity: count) { buffer, filled in
      if let start = buffer.baseAddress {
        nonisolated(unsafe) let start = start
        parallel.ranges(count, grain: 1024) { range in
          slk_cosine_rows(
            query, vectors + range.lowerBound * dimension, dimension, range.count, dimension,
            start + range.lowerBound)
        }
      }
      filled = count
    }
    if let bad = scores.firstIndex(where: { !$0.isFinite }) {
      throw .nonFinite("row \(bad), or the query, holds NaN or infinity")
    }
    return best(scores, topK: topK, threshold: threshold)
  }

  /// The largest scores by a bounded heap whose root is the worst one kept.
  private static func best(_ scores: [Float], topK: Int, threshold: Float) -> [Neighbor] {
    func isWorse(_ left: Neighbor, _ right: Neighbor) -> Bool {
      left.score != right.score ? left.score < right.score : left.index > right.index
    }
    var heap: [Neighbor] = []
    func siftDown() {
      var parent = 0
      while true {
        var worst = parent
        for child in [2 * parent + 1, 2 * parent + 2]
        where child < heap.count && isWorse(heap[child], heap[worst]) { worst = child }
        if worst == parent { return }
        heap.swapAt(worst, parent)
        parent = worst
      }
    }
    for (index, score) in scores.enumerated() where score >= threshold {
      let candidate = Neighbor(index: index, score: score)
      if heap.count < topK {
        heap.append(candidate)
        var child = heap.count - 1
        while child > 0, isWorse(heap[child], heap[(child - 1) / 2]) {
          heap.swapAt(child, (child - 1) / 2)
          child = (child - 1) / 2
        }
      } else if isWorse(heap[0], candidate) {
        heap[0] = candidate
        siftDown()
      }
    }
    return heap.sorted { isWorse($1, $0) }
  }
}

extension Embedder {
  /// Cosine similarity of two texts, in [-1, 1].
  public func similarity(
    _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer
  ) throws(StackLensError) -> Float {
    var vectors = [Float](repeating: 0, count: 2 * dimension)
    return try vectors.withUnsafeMutableBufferPointerTyped { (buffer) throws(StackLensError) in
      guard let start = buffer.baseAddress else { return 0 }
      try encode(utf8: [left, right], into: start)
      return Similarity.cosine(start, start + dimension, dimension: dimension)
    }
  }

  /// The texts of a corpus most similar to `text`, best first, ties by smaller index.
  /// - Throws: `.invalidArgument` for a blank text, `topK` below 1 or a threshold outside [-1, 1].
  public func findSimilar(
    to text: UnsafeRawBufferPointer, in corpus: [UnsafeRawBufferPointer], topK: Int = 5,
    threshold: Float = 0.7
  ) throws(StackLensError) -> [Neighbor] {
    guard text.contains(where: { $0 > 0x20 }) else {
      throw .invalidArgument("the text to search for is blank")
    }
    guard topK >= 1 else { throw .invalidArgument("top_k is \(topK), expected at least 1") }
    var vectors = [Float](repeating: 0, count: (corpus.count + 1) * dimension)
    return try vectors.withUnsafeMutableBufferPointerTyped { (buffer) throws(StackLensError) in
      guard let start = buffer.baseAddress else { return [] }
      try encode(utf8: [text] + corpus, into: start)
      return try Similarity.nearest(
        to: start, in: start + dimension, count: corpus.count, dimension: dimension, topK: topK,
        threshold: threshold)
    }
  }
}
