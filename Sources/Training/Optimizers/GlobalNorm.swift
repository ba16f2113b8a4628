import Base
import CKernels

/// The Euclidean length of all gradients together, and what clipping makes of it.
public enum GlobalNorm {
  /// √Σ g², summed in double precision in one order whatever the number of threads; not finite where
  /// an element is not.
  public static func of(_ buffer: FlatBuffer, parallel: Parallel) -> Double {
    sums(buffer, 0..<buffer.count, parallel).squares.squareRoot()
  }

  /// The same for one parameter.
  public static func of(
    _ buffer: FlatBuffer, _ span: ParameterSpan, parallel: Parallel
  ) -> Double {
    sums(buffer, span.range, parallel).squares.squareRoot()
  }

  /// The factor that shortens a length to `limit`: min(1, limit / (norm + 10⁻⁶)) (Pascanu, Mikolov,
  /// Bengio, 2013), as PyTorch's `clip_grad_norm_` has it.
  public static func scale(norm: Double, limit: Double) -> Float {
    Float(min(1, limit / (norm + 1e-6)))
  }

  /// Σ|x| and Σ x² of a part of a buffer.
  static func sums(
    _ buffer: FlatBuffer, _ range: Range<Int>, _ parallel: Parallel
  ) -> (absolute: Double, squares: Double) {
    let chunks = FlatChunks(range)
    let values = buffer.values
    return withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * max(chunks.count, 1)) {
      sums in
      let base = sums.baseAddress
      parallel.forEach(chunks.count) { index in
        guard let base else { return }
        slk_norm_sums_f32(
          values + chunks[index].lowerBound, chunks[index].count, base + 2 * index)
      }
      var total = (absolute: 0.0, squares: 0.0)
      for index in 0..<chunks.count {
        total.absolute += sums[2 * index]
        total.squares += sums[2 * index + 1]
      }
      return total
    }
  }
}
