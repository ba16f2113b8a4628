import Base
import CKernels

/// w -= rate sign(β₁ m + (1 - β₁) g), m = β₂ m + (1 - β₂) g, weight decay decoupled (Chen et al., "Symbolic
/// discovery of optimization algorithms", 2023).
struct Lion: ElementwiseMethod {
  static let stateNames = ["exp_avg"]
  static let defaultRate = 1e-4
  static let isDecoupled = true

  private let betas: (Double, Double)

  init(_ options: inout OptionReader) throws(StackLensError) {
    betas = try options.betas(default: (0.9, 0.99))
  }

  func walk(_ step: OptimizerStep) -> Walk {
    let terms = step.terms
    let (rate, first, second) = (Float(step.rate), Float(1 - betas.0), Float(1 - betas.1))
    let memory = step.memory
    let (weights, gradients, m) = (memory.weights, memory.gradients, memory.state(0))
    return { start, count in
      withUnsafePointer(to: terms) { terms in
        slk_lion_f32(
          terms, rate, first, second, weights + start, gradients + start, m + start, count)
      }
    }
  }
}
