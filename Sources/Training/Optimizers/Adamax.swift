import Base
import CKernels
import Glibc

/// m += (1 - β₁)(g - m), u = max(β₂ u, |g| + ε), w -= rate m / ((1 - β₁ᵗ) u): Adam by the largest
/// gradient (Kingma and Ba, 2015, section 7.1).
struct Adamax: ElementwiseMethod {
  static let stateNames = ["exp_avg", "exp_inf"]
  static let defaultRate = 0.002

  private let moments: AdamMoments

  init(_ options: inout OptionReader) throws(StackLensError) {
    moments = try AdamMoments(&options)
  }

  /// u is ε where there is no gradient.
  var keepsZeros: Bool { false }

  func walk(_ step: OptimizerStep) -> Walk {
    let terms = step.terms
    let rate = Float(step.rate / (1 - pow(moments.beta1, Double(step.number))))
    let (first, kept) = (Float(1 - moments.beta1), Float(moments.beta2))
    let epsilon = Float(moments.epsilon)
    let memory = step.memory
    let (weights, gradients) = (memory.weights, memory.gradients)
    let (m, u) = (memory.state(0), memory.state(1))
    return { start, count in
      withUnsafePointer(to: terms) { terms in
        slk_adamax_f32(
          terms, rate, first, kept, epsilon, weights + start, gradients + start, m + start,
          u + start, count)
      }
    }
  }
}
