import Base
import CKernels

/// v = α v + (1 - α) g², d = g / (√v + ε), w -= rate d, or u = momentum u + d, w -= rate u (Tieleman and
/// Hinton, lecture 6.5, 2012); `centered` takes the square of the average gradient from v (Graves,
/// "Generating sequences with recurrent neural networks", 2013).
struct RMSprop: ElementwiseMethod {
  static let stateNames = ["square_avg", "grad_avg", "momentum_buffer"]
  static let defaultRate = 0.01

  private let alpha: Double
  private let epsilon: Double
  private let momentum: Double
  private let isCentered: Bool

  init(_ options: inout OptionReader) throws(StackLensError) {
    alpha = try options.number("alpha", default: 0.99, in: .share)
    epsilon = try options.epsilon(default: 1e-8)
    momentum = try options.number("momentum", default: 0, in: .notNegative)
    isCentered = try options.bool("centered", default: false)
  }

  var usedStates: [Bool] { [true, isCentered, momentum > 0] }

  func walk(_ step: OptimizerStep) -> Walk {
    let terms = step.terms
    let kernel = slk_rmsprop_step(
      rate: Float(step.rate), kept: Float(alpha), fresh: Float(1 - alpha), epsilon: Float(epsilon),
      momentum: Float(momentum))
    let memory = step.memory
    let (weights, gradients, squares) = (memory.weights, memory.gradients, memory.state(0))
    let (mean, velocity) = (memory.states[1], memory.states[2])
    return { start, count in
      withUnsafePointers(terms, kernel) { terms, kernel in
        slk_rmsprop_f32(
          terms, kernel, weights + start, gradients + start, squares + start,
          mean.map { $0 + start }, velocity.map { $0 + start }, count)
      }
    }
  }
}
