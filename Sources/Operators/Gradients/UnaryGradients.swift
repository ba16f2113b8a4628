import Base
import Graphs
import Tensors

extension UnaryFunction {
  /// The derivative that has a kernel of its own.
  private var slope: ActivationSlope? {
    switch kind {
    case .relu: ActivationSlope(.relu)
    case .leakyRelu: ActivationSlope(.leakyRelu, p)
    // Only an increasing function says by its value on which side of 0 it is.
    case .elu: p > 0 ? ActivationSlope(.elu, p) : nil
    case .sigmoid: ActivationSlope(.sigmoid)
    case .tanh: ActivationSlope(.tanh)
    case .geluErf: ActivationSlope(.gelu)
    case .geluTanh: ActivationSlope(.geluTanh)
    case .swish: ActivationSlope(.swish, p)
    case .softplus: ActivationSlope(.softplus)
    case .hardSwish: ActivationSlope(.hardSwish)
    case .mish: ActivationSlope(.mish)
    default: nil
    }
  }

  /// The gradient of the input, for the gradient that arrives.
  func gradient(_ scope: GradientScope) throws(StackLensError) -> Edge? {
    let (g, x, y) = (try scope.arriving(), try scope.input(0), scope.output)
    if let slope {
      return scope.graph.add(
        "ActivationGradient", [g, slope.function.readsOutput ? y : x],
        ["function": .string(slope.function.rawValue), "alpha": .float(Float(slope.alpha))],
        domain: "ai.stacklens")
    }
    func number(_ value: Double) throws(StackLensError) -> Edge {
      try scope.scalar(value, like: x)
    }
    func one() throws(StackLensError) -> Edge { try number(1) }
    func of(_ function: String) -> Edge { scope.apply(function, x) }
    switch kind {
    case .sign, .ceil, .floor, .round, .bitwiseNot: return nil
    case .abs: return g * of("Sign")
    case .negate: return -g
    case .reciprocal: return -(g * y * y)
    case .sqrt: return g / (y + y)
    case .exp: return g * y
    case .log: return g / x
    case .erf:
      return try g * number(2 / Double.pi.squareRoot()) * scope.apply("Exp", -(x * x))
    case .sin: return g * of("Cos")
    case .cos: return -(g * of("Sin"))
    case .tan: return g + g * y * y
    case .asin: return try g / scope.apply("Sqrt", one() - x * x)
    case .acos: return try -(g / scope.apply("Sqrt", one() - x * x))
    case .atan: return try g / (one() + x * x)
    case .sinh: return g * of("Cosh")
    case .cosh: return g * of("Sinh")
    case .asinh: return try g / scope.apply("Sqrt", one() + x * x)
    case .acosh: return try g / scope.apply("Sqrt", x * x - one())
    case .atanh: return try g / (one() - x * x)
    case .softsign:
      let size = try one() + of("Abs")
      return g / (size * size)
    case .relu, .leakyRelu, .sigmoid, .tanh, .geluErf, .geluTanh, .swish, .softplus, .hardSwish,
      .mish:
      throw .internalError("an activation without its slope")
    case .elu, .selu, .celu, .hardSigmoid, .thresholdedRelu, .shrink, .clip:
      return try piecewiseGradient(scope, g, x, y)
    }
  }

  /// Functions that are defined piece by piece; at the joints the left or right derivative.
  private func piecewiseGradient(
    _ scope: GradientScope, _ g: Edge, _ x: Edge, _ y: Edge
  ) throws(StackLensError) -> Edge {
    func number(_ value: Double) throws(StackLensError) -> Edge {
      try scope.scalar(value, like: x)
    }
    func isAbove(_ edge: Edge, _ bound: Double) throws(StackLensError) -> Edge {
      scope.apply("Greater", edge, try number(bound))
    }
    func isInside(_ edge: Edge) throws(StackLensError) -> Edge {
      scope.apply("And", try isAbove(edge, 0), scope.apply("Less", edge, try number(1)))
    }
    let zero = try number(0)
    switch kind {
    // Left of 0 these are a shifted exponential, whose derivative is the value shifted back.
    case .elu: return try scope.choose(isAbove(x, 0), g, g * (y + number(p)))
    case .selu:
      return try g * scope.choose(isAbove(x, 0), number(q), y + number(p * q))
    case .celu: return try scope.choose(isAbove(x, 0), g, g * (y / number(p) + number(1)))
    case .hardSigmoid: return try scope.choose(isInside(y), g * number(p), zero)
    case .thresholdedRelu: return try scope.choose(isAbove(x, p), g, zero)
    case .shrink: return try scope.choose(isAbove(scope.apply("Abs", x), q), g, zero)
    default: return try scope.choose(isAbove(x, 0), g, zero)
    }
  }
}
