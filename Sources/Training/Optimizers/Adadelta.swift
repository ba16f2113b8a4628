import Base
import CKernels

/// v = ρ v + (1 - ρ) g², d = g √(e + ε) / √(v + ε), e = ρ e + (1 - ρ) d², w -= rate d (Zeiler, 2012).
struct Adadelta: ElementwiseMethod {
  static let stateNames = ["square_avg", "acc_delta"]
  static let defaultRate = 1.0

  private let rho: Double
  private let epsilon: Double

  init(_ options: inout OptionReader) throws(StackLensError) {
    rho = try options.number("rho", default: 0.9, in: .share)
    epsilon = try options.epsilon(default: 1e-6)
  }

  func walk(_ step: OptimizerStep) -> Walk {
    let terms = step.terms
    let (rate, kept, fresh) = (Float(step.rate), Float(rho), Float(1 - rho))
    let epsilon = Float(epsilon)
    let memory = step.memory
    let (weights, gradients) = (memory.weights, memory.gradients)
    let (squares, deltas) = (memory.state(0), memory.state(1))
    return { start, count in
      withUnsafePointer(to: terms) { terms in
        slk_adadelta_f32(
          terms, rate, kept, fresh, epsilon, weights + start, gradients + start, squares + start,
          deltas + start, count)
      }
    }
  }
}
