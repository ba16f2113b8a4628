import Base
import CKernels
import Tensors

/// Keeps rows of weights within a ball (max-norm regularisation; Srivastava et al., "Dropout", 2014).
enum MaxNorm {
  /// w · limit / (‖w‖ + 10⁻⁷) for each row along the first axis that is longer than `limit`, as
  /// PyTorch's `renorm` has it. Parameters of fewer than two axes stay as they are.
  static func project(
    _ parameters: FlatBuffer, _ spans: [ParameterSpan], limit: Double, _ parallel: Parallel
  ) {
    for span in spans where span.shape.rank > 1 && span.count > 0 {
      let rows = span.shape[0]
      let width = span.count / rows
      let values = parameters.values + span.offset
      parallel.ranges(rows, grain: max(1, FlatChunks.size / width)) { range in
        for row in range {
          let start = values + row * width
          var sums = (0.0, 0.0)
          withUnsafeMutableBytes(of: &sums) { bytes in
            slk_norm_sums_f32(start, width, bytes.assumingMemoryBound(to: Double.self).baseAddress)
          }
          let norm = sums.1.squareRoot()
          guard norm > limit else { continue }
          let factor = Float(limit / (norm + 1e-7))
          slk_unary_f32(Int32(SLK_UNARY_AFFINE.rawValue), start, start, width, factor, 0)
        }
      }
    }
  }
}
