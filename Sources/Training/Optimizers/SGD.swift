import Base
import CKernels

/// u = momentum u + (1 - dampening) g, w -= rate u, or rate (g + momentum u) with Nesterov's form
/// (Sutskever et al., "On the importance of initialization and momentum", 2013). The first u is g.
struct SGD: ElementwiseMethod {
  static let stateNames = ["momentum_buffer"]
  static let defaultRate = 0.01

  private let momentum: Double
  private let dampening: Double
  private let isNesterov: Bool

  init(_ options: inout OptionReader) throws(StackLensError) {
    momentum = try options.number("momentum", default: 0, in: .notNegative)
    dampening = try options.number("dampening", default: 0, in: .share)
    isNesterov = try options.bool("nesterov", default: false)
    guard !isNesterov || momentum > 0 && dampening == 0 else {
      throw .invalidArgument(
        "option 'nesterov' needs a momentum above 0 and no dampening, found \(momentum) and "
          + "\(dampening)")
    }
  }

  var usedStates: [Bool] { [momentum > 0] }

  func walk(_ step: OptimizerStep) -> Walk {
    let terms = step.terms
    let memory = step.memory
    let (weights, gradients, velocity) = (memory.weights, memory.gradients, memory.states[0])
    let (rate, momentum) = (Float(step.rate), Float(momentum))
    let fresh = step.number <= 1 ? 1 : Float(1 - dampening)
    let isNesterov = isNesterov
    return { start, count in
      withUnsafePointer(to: terms) { terms in
        slk_sgd_f32(
          terms, rate, momentum, fresh, isNesterov, weights + start, gradients + start,
          velocity.map { $0 + start }, count)
      }
    }
  }
}
