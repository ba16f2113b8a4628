import Base
import Graphs
import Tensors

extension UnaryFunction {
  /// The gradient of the input, for the gradient that arrives.
  func gradient(_ scope: GradientScope) throws(StackLensError) -> Edge? {
    let (g, x, y) = (try scope.arriving(), try scope.input(0), scope.output)
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
    case .tanh: return g - g * y * y
    case .sigmoid: return g * y - g * y * y
    case .softplus: return g * of("Sigmoid")
    case .softsign:
      let size = try one() + of("Abs")
      return g / (size * size)
    case .mish:
      let gate = scope.apply("Tanh", of("Softplus"))
      return try g * (gate + x * of("Sigmoid") * (one() - gate * gate))
    case .swish:
      let gate = scope.apply("Sigmoid", try x * number(p))
      return try g * (gate + number(p) * x * gate * (one() - gate))
    case .geluErf: return try geluErfGradient(scope, g, x)
    case .geluTanh: return try geluTanhGradient(scope, g, x)
    case .relu, .leakyRelu, .elu, .selu, .celu, .hardSigmoid, .hardSwish, .thresholdedRelu,
      .shrink, .clip:
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
    case .leakyRelu: return try scope.choose(isAbove(x, 0), g, g * number(p))
    // Left of 0 these are a shifted exponential, whose derivative is the value shifted back.
    case .elu: return try scope.choose(isAbove(x, 0), g, g * (y + number(p)))
    case .selu:
      return try g * scope.choose(isAbove(x, 0), number(q), y + number(p * q))
    case .celu: return try scope.choose(isAbove(x, 0), g, g * (y / number(p) + number(1)))
    case .hardSigmoid: return try scope.choose(isInside(y), g * number(p), zero)
    case .hardSwish:
      let gate = scope.graph.add(
        "HardSigmoid", [x], ["alpha": .float(1.0 / 6), "beta": .float(0.5)])
      return try g * (gate + scope.choose(isInside(gate), x / number(6), zero))
    case .thresholdedRelu: return try scope.choose(isAbove(x, p), g, zero)
    case .shrink: return try scope.choose(isAbove(scope.apply("Abs", x), q), g, zero)
    default: return try scope.choose(isAbove(x, 0), g, zero)
    }
  }

  /// Φ(x) + x φ(x).
  private func geluErfGradient(
    _ scope: GradientScope, _ g: Edge, _ x: Edge
  ) throws(StackLensError) -> Edge {
    let root = try scope.scalar(0.5.squareRoot(), like: x)
    let half = try scope.scalar(0.5, like: x)
    let share = half * scope.apply("Erf", x * root) + half
    let density = scope.apply("Exp", -(half * x * x))
    return try g * (share + x * density * scope.scalar(1 / (2 * Double.pi).squareRoot(), like: x))
  }

  private func geluTanhGradient(
    _ scope: GradientScope, _ g: Edge, _ x: Edge
  ) throws(StackLensError) -> Edge {
    let half = try scope.scalar(0.5, like: x)
    let one = try scope.scalar(1, like: x)
    let scale = try scope.scalar((2 / Double.pi).squareRoot(), like: x)
    let cube = try scope.scalar(0.044715, like: x)
    let square = x * x
    let gate = scope.apply("Tanh", scale * (x + cube * square * x))
    let slope = try scale * (one + scope.scalar(3 * 0.044715, like: x) * square)
    return g * (half * (one + gate) + half * x * (one - gate * gate) * slope)
  }
}
