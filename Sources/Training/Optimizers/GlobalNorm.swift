import Base
import CKernels

/// The Euclidean length of all gradients together, and what clipping makes of it.
public enum GlobalNorm {
  /// √Σ g², summed in double precision in one order whatever the number of threads; not finite where
  /// an element is not.
  public static func of(_ buffer: FlatBuffer, parallel: Parallel) -> Double {
    squares(buffer, FlatChunks(0..<buffer.count), parallel).squareRoot()
  }

  /// The same of parts of a buffer.
  static func of(_ buffer: FlatBuffer, _ chunks: FlatChunks, parallel: Parallel) -> Double {
    squares(buffer, chunks, parallel).squareRoot()
  }

  /// The same for one parameter.
  public static func of(
    _ buffer: FlatBuffer, _ span: ParameterSpan, parallel: Parallel
  ) -> Double {
    squares(buffer, FlatChunks(span.range), parallel).squareRoot()
  }

  /// The factor that shortens a length to `limit`: min(1, limit / (norm + 10⁻⁶)) (Pascanu, Mikolov,
  /// Bengio, 2013), as PyTorch's `clip_grad_norm_` has it.
  public static func scale(norm: Double, limit: Double) -> Float {
    Float(min(1, limit / (norm + 1e-6)))
  }

  private static func squares(
    _ buffer: FlatBuffer, _ chunks: FlatChunks, _ parallel: Parallel
  ) -> Double {
    sums(chunks, 1, parallel) { (chunk, sum) in
      sum[0] = slk_square_sum_f32(buffer.values + chunk.lowerBound, chunk.count)
    }[0]
  }

  /// Σ|x| and Σ x² of a part of a buffer.
  static func sums(
    _ buffer: FlatBuffer, _ range: Range<Int>, _ parallel: Parallel
  ) -> (absolute: Double, squares: Double) {
    let totals = sums(FlatChunks(range), 2, parallel) { (chunk, sums) in
      slk_norm_sums_f32(buffer.values + chunk.lowerBound, chunk.count, sums)
    }
    return (totals[0], totals[1])
  }

  /// `width` sums over chunks, in their order.
  private static func sums(
    _ chunks: FlatChunks, _ width: Int, _ parallel: Parallel,
    _ add: (Range<Int>, UnsafeMutablePointer<Double>) -> Void
  ) -> SIMD2<Double> {
    withUnsafeTemporaryAllocation(
      of: Double.self, capacity: width * max(chunks.count, 1)
    ) { sums in
      var totals = SIMD2<Double>()
      guard let base = sums.baseAddress else { return totals }
      parallel.forEach(chunks.count) { add(chunks[$0], base + width * $0) }
      for index in 0..<width * chunks.count { totals[index % width] += sums[index] }
      return totals
    }
  }
}
