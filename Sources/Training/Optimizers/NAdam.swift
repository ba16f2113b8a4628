import Base
import CKernels
import Glibc

/// Adam with Nesterov's momentum: μₜ = β₁ (1 - 0.96^(t ψ) / 2),
/// w -= rate ((1 - μₜ) g / (1 - Πμᵢ) + μₜ₊₁ m / (1 - μₜ₊₁ Πμᵢ)) / (√v̂ + ε), ψ being `momentum_decay`
/// (Dozat, "Incorporating Nesterov momentum into Adam", 2016).
struct NAdam: ElementwiseMethod {
  static let stateNames = ["exp_avg", "exp_avg_sq"]
  static let defaultRate = 0.002

  private let moments: AdamMoments
  private let momentumDecay: Double

  init(_ options: inout OptionReader) throws(StackLensError) {
    moments = try AdamMoments(&options)
    momentumDecay = try options.number("momentum_decay", default: 0.004, in: .notNegative)
  }

  func walk(_ step: OptimizerStep) -> Walk {
    let terms = step.terms
    let (now, next, product) = momenta(step.number)
    var kernel = moments.kernel(rate: step.rate, number: step.number)
    kernel.rate = Float(step.rate * next / (1 - product * next))
    kernel.direct = Float(step.rate * (1 - now) / (1 - product))
    let memory = step.memory
    let (weights, gradients) = (memory.weights, memory.gradients)
    let (m, v) = (memory.state(0), memory.state(1))
    return { [kernel] start, count in
      withUnsafePointers(terms, kernel) { terms, kernel in
        slk_adam_f32(
          terms, kernel, weights + start, gradients + start, m + start, v + start, nil, count)
      }
    }
  }

  /// μₜ, μₜ₊₁ and the product of all up to μₜ.
  private func momenta(_ number: Int) -> (now: Double, next: Double, product: Double) {
    func momentum(_ time: Int) -> Double {
      moments.beta1 * (1 - 0.5 * pow(0.96, Double(time) * momentumDecay))
    }
    var product = 1.0
    // From 1 nothing is left to subtract once the product is this small.
    for time in 1...max(number, 1) where product > 1e-20 { product *= momentum(time) }
    return (momentum(number), momentum(number + 1), product)
  }
}
