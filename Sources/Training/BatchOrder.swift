import Base
import Tensors

/// Which rows come together in an epoch, as the options of an `ArraySource` say. The batches of the
/// epoch that was asked for last are kept.
package final class BatchOrder: Sendable {
  private let rowCount: Int
  private let lengths: [Int]?
  private let options: ArraySource.Options
  /// Batches whose rows are sorted by length together.
  private static let poolSize = 50
  private let last = Mutex<(epoch: Int, batches: [[Int]])?>(nil)

  /// - Parameter lengths: of each row, where rows of similar length shall come together.
  package init(rowCount: Int, lengths: [Int]?, _ options: ArraySource.Options) {
    (self.rowCount, self.lengths, self.options) = (rowCount, lengths, options)
  }

  package var batchCount: Int {
    let (full, rest) = rowCount.quotientAndRemainder(dividingBy: options.batchSize)
    return full + (rest > 0 && !options.dropsLast ? 1 : 0)
  }

  /// - Returns: nil behind the last batch.
  package func rows(ofBatch index: Int, epoch: Int) -> [Int]? {
    last.withLock { last in
      if last?.epoch != epoch { last = (epoch, batches(ofEpoch: epoch)) }
      guard let batches = last?.batches, batches.indices.contains(index) else { return nil }
      return batches[index]
    }
  }

  private func batches(ofEpoch epoch: Int) -> [[Int]] {
    var rows = Array(0..<rowCount)
    var random = RandomGenerator(
      seed: options.seed &+ UInt64(truncatingIfNeeded: epoch) &* 0x9e37_79b9_7f4a_7c15)
    if options.isShuffled { random.shuffle(&rows) }
    if let lengths {
      let pool = options.isShuffled ? options.batchSize * Self.poolSize : rowCount
      for start in stride(from: 0, to: rowCount, by: pool) {
        let end = min(rowCount, start + pool)
        // Equal lengths keep the order that they have.
        rows[start..<end].sort { lengths[$0] < lengths[$1] }
      }
    }
    var batches = stride(from: 0, to: rowCount, by: options.batchSize).map {
      Array(rows[$0..<min(rowCount, $0 + options.batchSize)])
    }
    if options.dropsLast, let last = batches.last, last.count < options.batchSize {
      batches.removeLast()
    }
    if options.isShuffled, lengths != nil { random.shuffle(&batches) }
    return batches
  }
}
