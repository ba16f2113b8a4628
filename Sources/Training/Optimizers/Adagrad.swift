import Base
import CKernels

/// s += g², w -= rate / (1 + (t - 1) lr_decay) · g / (√s + ε) (Duchi, Hazan, Singer, 2011).
struct Adagrad: ElementwiseMethod {
  static let stateNames = ["sum"]
  static let defaultRate = 0.01

  private let rateDecay: Double
  private let start: Double
  private let epsilon: Double

  init(_ options: inout OptionReader) throws(StackLensError) {
    rateDecay = try options.number("lr_decay", default: 0, in: .notNegative)
    start = try options.number("initial_accumulator_value", default: 0, in: .notNegative)
    epsilon = try options.epsilon(default: 1e-10)
  }

  func start(ofState index: Int) -> Float { Float(start) }

  func walk(_ step: OptimizerStep) -> Walk {
    let terms = step.terms
    let rate = Float(step.rate / (1 + Double(step.number - 1) * rateDecay))
    let epsilon = Float(epsilon)
    let memory = step.memory
    let (weights, gradients, sum) = (memory.weights, memory.gradients, memory.state(0))
    return { start, count in
      withUnsafePointer(to: terms) { terms in
        slk_adagrad_f32(
          terms, rate, epsilon, weights + start, gradients + start, sum + start, count)
      }
    }
  }
}
