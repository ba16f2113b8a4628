import Base
import Tensors

extension FlatBuffer {
  /// Elements that one thread takes at a time.
  private static let grain = 1 << 15

  /// Adds another buffer of the same layout.
  func add(_ other: FlatBuffer, parallel: Parallel) {
    let (sum, term) = (values, other.values)
    parallel.ranges(min(count, other.count), grain: Self.grain) { range in
      for i in range { sum[i] += term[i] }
    }
  }

  func clear() { values.update(repeating: 0, count: count) }
}
