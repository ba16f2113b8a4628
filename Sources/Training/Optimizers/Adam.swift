import Base
import CKernels
import Glibc

/// m += (1 - β₁)(g - m), v = β₂ v + (1 - β₂) g², w -= rate m̂ / (√v̂ + ε) with m̂ = m / (1 - β₁ᵗ) and
/// v̂ = v / (1 - β₂ᵗ) (Kingma and Ba, 2015); with `amsgrad` v̂ is the largest so far (Reddi, Kale,
/// Kumar, 2018).
struct Adam: ElementwiseMethod {
  static let stateNames = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]

  private let moments: AdamMoments
  private let isAMSGrad: Bool

  init(_ options: inout OptionReader) throws(StackLensError) {
    moments = try AdamMoments(&options)
    isAMSGrad = try options.bool("amsgrad", default: false)
  }

  var usedStates: [Bool] { [true, true, isAMSGrad] }

  func walk(_ step: OptimizerStep) -> Walk {
    let terms = step.terms
    let kernel = moments.kernel(rate: step.rate, number: step.number)
    let memory = step.memory
    let (weights, gradients) = (memory.weights, memory.gradients)
    let (m, v, largest) = (memory.state(0), memory.state(1), memory.states[2])
    return { start, count in
      withUnsafePointers(terms, kernel) { terms, kernel in
        slk_adam_f32(
          terms, kernel, weights + start, gradients + start, m + start, v + start,
          largest.map { $0 + start }, count)
      }
    }
  }
}

/// Adam whose weight decay takes a share of the weights: w -= rate · decay · w before the step
/// (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019).
struct AdamW: ElementwiseMethod {
  static let stateNames = Adam.stateNames
  static let defaultDecay = 0.01
  static let isDecoupled = true

  private let adam: Adam

  init(_ options: inout OptionReader) throws(StackLensError) { adam = try Adam(&options) }

  var usedStates: [Bool] { adam.usedStates }

  func walk(_ step: OptimizerStep) -> Walk { adam.walk(step) }
}

/// The moving averages of gradients and their squares that Adam and its relatives keep.
struct AdamMoments: Sendable {
  let beta1: Double
  let beta2: Double
  let epsilon: Double

  init(
    _ options: inout OptionReader, betas: (Double, Double) = (0.9, 0.999), epsilon: Double = 1e-8
  ) throws(StackLensError) {
    (beta1, beta2) = try options.betas(default: betas)
    self.epsilon = try options.epsilon(default: epsilon)
  }

  /// The numbers of step `number`, with both biases taken out.
  func kernel(rate: Double, number: Int) -> slk_adam_step {
    let time = Double(number)
    return slk_adam_step(
      rate: Float(rate / (1 - pow(beta1, time))), direct: 0, first: Float(1 - beta1),
      kept: Float(beta2), fresh: Float(1 - beta2),
      root: Float(1 / (1 - pow(beta2, time)).squareRoot()), epsilon: Float(epsilon))
  }
}

extension OptionReader {
  /// The two decay rates of moving averages.
  mutating func betas(
    default fallback: (Double, Double)
  ) throws(StackLensError) -> (Double, Double) {
    guard let betas = try numbers("betas") else { return fallback }
    guard betas.count == 2, betas.allSatisfy(ClosedRange.belowOne.contains) else {
      throw .invalidArgument("option 'betas' is \(betas), expected two numbers of [0, 1)")
    }
    return (betas[0], betas[1])
  }

  /// What a weight without gradient is divided by: above 0 in float32 too.
  mutating func epsilon(default fallback: Double) throws(StackLensError) -> Double {
    try number("eps", default: fallback, in: 1e-30...1)
  }
}

/// Calls `body` with the addresses of two values.
func withUnsafePointers<A, B>(
  _ a: A, _ b: B, _ body: (UnsafePointer<A>, UnsafePointer<B>) -> Void
) {
  withUnsafePointer(to: a) { first in withUnsafePointer(to: b) { second in body(first, second) } }
}
