import Base
import CKernels

/// Adam with a rate of its own for each parameter: d = m̂ / (√v̂ + ε) + decay · w,
/// w -= rate ‖w‖ / ‖d‖ · d, the ratio being 1 where a length is 0 (You et al., "Large batch
/// optimization for deep learning", 2020).
struct LAMB: OptimizerMethod {
  static let stateNames = ["exp_avg", "exp_avg_sq"]
  static let isDecoupled = true

  private let moments: AdamMoments

  init(_ options: inout OptionReader) throws(StackLensError) {
    moments = try AdamMoments(&options, epsilon: 1e-6)
  }

  func update(_ parameters: GroupMembers, _ step: OptimizerStep) {
    let kernel = moments.kernel(rate: 1, number: step.number)
    let decay = Float(step.decay)
    for span in parameters.spans where span.count > 0 {
      let chunks = FlatChunks(span.range)
      let ratio = ratio(chunks, step, kernel, decay: decay)
      move(chunks, step, kernel, decay: decay, rate: Float(step.rate * ratio))
    }
  }

  /// Takes the gradient into the moments; gives ‖w‖ / ‖d‖.
  private func ratio(
    _ chunks: FlatChunks, _ step: OptimizerStep, _ kernel: slk_adam_step, decay: Float
  ) -> Double {
    let memory = step.memory
    let (m, v) = (memory.state(0), memory.state(1))
    return withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * max(chunks.count, 1)) {
      sums in
      sums.initialize(repeating: 0)
      let base = sums.baseAddress
      step.parallel.forEach(chunks.count) { index in
        let start = chunks[index].lowerBound
        withUnsafePointers(step.terms, kernel) { terms, kernel in
          slk_lamb_moments_f32(
            terms, kernel, decay, memory.weights + start, memory.gradients + start, m + start,
            v + start, base.map { $0 + 2 * index }, chunks[index].count)
        }
      }
      var (weights, directions) = (0.0, 0.0)
      for index in 0..<chunks.count {
        weights += sums[2 * index]
        directions += sums[2 * index + 1]
      }
      guard weights > 0, directions > 0 else { return 1 }
      return (weights / directions).squareRoot()
    }
  }

  private func move(
    _ chunks: FlatChunks, _ step: OptimizerStep, _ kernel: slk_adam_step, decay: Float, rate: Float
  ) {
    let memory = step.memory
    let (m, v) = (memory.state(0), memory.state(1))
    step.parallel.forEach(chunks.count) { index in
      let start = chunks[index].lowerBound
      withUnsafePointer(to: kernel) { kernel in
        slk_lamb_apply_f32(
          kernel, decay, rate, memory.weights + start, m + start, v + start, chunks[index].count)
      }
    }
  }
}
