import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// g f'(x) for an activation f, from g and what its derivative is read off: x or f(x).
  static let activationGradient = OperatorDefinition(
    "ActivationGradient", domain: "ai.stacklens", versions: [1], inputs: 2...2,
    attributes: [.required("function", .string), .float("alpha", default: 1)],
    infer: { (context) throws(StackLensError) in
      _ = try ActivationSlope(context)
      let (g, v) = (try context.input(0, oneOf: ElementType.reals), try context.input(1))
      guard g == v else { throw .shapeMismatch("gradient \(g) of a value \(v)") }
      return [g]
    },
    execution: .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        let slope = try ActivationSlope(preparation)
        let (code, alpha) = (Int32(slope.code.rawValue), Float(slope.alpha))
        let grain = slope.function.isCheap ? cheapGrain : costlyGrain
        return PreparedKernel { (run) throws(StackLensError) in
          let (g, v, y) = (try run.input(0).floats, try run.input(1).floats, run.outputs[0].floats)
          run.parallel.ranges(run.outputs[0].count, grain: grain) { range in
            let start = range.lowerBound
            slk_unary_gradient_f32(code, g + start, v + start, y + start, range.count, alpha)
          }
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let slope = try ActivationSlope(preparation)
        let count = preparation.outputs[0].shape.count
        return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
          let (g, v, y) = (try wide.input(0), try wide.input(1), wide.outputs[0])
          for i in 0..<count { y[i] = g[i] * slope(at: v[i]) }
        }
      },
    ]),
    lower: lowered { (scope) throws(StackLensError) in
      [try ActivationSlope(scope).parts(scope)]
    },
    gradient: .composed { (scope) throws(StackLensError) in
      [try ActivationSlope(scope).parts(scope)]
    },
    samples: ActivationSlope.Function.allCases.map { function in
      Sample(
        [
          .random(.float32, [3, 13], low: -2, high: 2),
          .random(.float32, [3, 13], low: function.readsOutput ? -0.5 : -5, high: 5),
        ],
        ["function": .string(function.rawValue), "alpha": .float(0.75)])
    } + [Sample([.floats(0, 3), .floats(0, 3)], ["function": .string("Relu")])])
}

/// The derivative of an activation, as far as a kernel of its own pays.
struct ActivationSlope: Sendable {
  enum Function: String, CaseIterable, Sendable {
    case relu = "Relu"
    case leakyRelu = "LeakyRelu"
    case elu = "Elu"
    case sigmoid = "Sigmoid"
    case tanh = "Tanh"
    case gelu = "Gelu"
    case geluTanh = "GeluTanh"
    case swish = "Swish"
    case softplus = "Softplus"
    case hardSwish = "HardSwish"
    case mish = "Mish"

    /// Whether the derivative takes a few operations only.
    var isCheap: Bool {
      switch self {
      case .relu, .leakyRelu, .elu, .sigmoid, .tanh, .hardSwish: true
      case .gelu, .geluTanh, .swish, .softplus, .mish: false
      }
    }

    /// Whether the derivative is read off the value f(x), else off x.
    var readsOutput: Bool {
      switch self {
      case .relu, .elu, .sigmoid, .tanh: true
      default: false
      }
    }
  }

  let function: Function
  /// Slope, bound or factor of the function.
  let alpha: Double

  init(_ function: Function, _ alpha: Double = 1) {
    (self.function, self.alpha) = (function, alpha)
  }

  init(_ view: some NodeView) throws(StackLensError) {
    let name = try view.string("function")
    guard let function = Function(rawValue: name) else {
      throw .invalidArgument("attribute 'function' is '\(name)', which has no slope")
    }
    self.init(function, Double(try view.float("alpha")))
  }

  var code: slk_unary {
    switch function {
    case .relu: SLK_UNARY_RELU
    case .leakyRelu: SLK_UNARY_LEAKY_RELU
    case .elu: SLK_UNARY_ELU
    case .sigmoid: SLK_UNARY_SIGMOID
    case .tanh: SLK_UNARY_TANH
    case .gelu: SLK_UNARY_GELU_ERF
    case .geluTanh: SLK_UNARY_GELU_TANH
    case .swish: SLK_UNARY_SILU
    case .softplus: SLK_UNARY_SOFTPLUS
    case .hardSwish: SLK_UNARY_HARD_SWISH
    case .mish: SLK_UNARY_MISH
    }
  }

  /// f' at x, or where f(x) is v.
  func callAsFunction(at v: Double) -> Double {
    func sigmoid(_ x: Double) -> Double { UnaryFunction(.sigmoid)(x) }
    switch function {
    case .relu: return v > 0 ? 1 : 0
    case .leakyRelu: return v > 0 ? 1 : alpha
    case .elu: return v > 0 ? 1 : v + alpha
    case .sigmoid: return v * (1 - v)
    case .tanh: return 1 - v * v
    case .gelu:
      let bell = UnaryFunction(.exp)(-0.5 * v * v)
      let share = 0.5 * (1 + UnaryFunction(.erf)(v * 0.5.squareRoot()))
      return share + v * bell / (2 * Double.pi).squareRoot()
    case .geluTanh:
      let scale = (2 / Double.pi).squareRoot()
      let t = UnaryFunction(.tanh)(scale * (v + 0.044715 * v * v * v))
      return 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * scale * (1 + 3 * 0.044715 * v * v)
    case .swish:
      let gate = sigmoid(alpha * v)
      return gate * (1 + alpha * v * (1 - gate))
    case .softplus: return sigmoid(v)
    case .hardSwish: return v <= -3 ? 0 : v >= 3 ? 1 : v / 3 + 0.5
    case .mish:
      let gate = UnaryFunction(.tanh)(UnaryFunction(.softplus)(v))
      return gate + v * sigmoid(v) * (1 - gate * gate)
    }
  }

  /// g f' as nodes, of the inputs g and v.
  func parts(_ scope: GradientScope) throws(StackLensError) -> Edge {
    let (g, v) = (try scope.input(0), try scope.input(1))
    func number(_ value: Double) throws(StackLensError) -> Edge {
      try scope.scalar(value, like: v)
    }
    func isAbove(_ bound: Double) throws(StackLensError) -> Edge {
      scope.apply("Greater", v, try number(bound))
    }
    switch function {
    case .relu: return try scope.choose(isAbove(0), g, number(0))
    case .leakyRelu: return try scope.choose(isAbove(0), g, g * number(alpha))
    case .elu: return try scope.choose(isAbove(0), g, g * (v + number(alpha)))
    case .sigmoid: return g * v - g * v * v
    case .tanh: return g - g * v * v
    case .softplus: return g * scope.apply("Sigmoid", v)
    case .mish:
      let gate = scope.apply("Tanh", scope.apply("Softplus", v))
      return try g * (gate + v * scope.apply("Sigmoid", v) * (number(1) - gate * gate))
    case .swish:
      let gate = scope.apply("Sigmoid", try v * number(alpha))
      return try g * (gate + number(alpha) * v * gate * (number(1) - gate))
    case .hardSwish:
      let inside = try v / number(3) + number(0.5)
      let bounded = scope.choose(try isAbove(3), try number(1), inside)
      return try g * scope.choose(isAbove(-3), bounded, number(0))
    case .gelu: return try geluParts(scope, g, v)
    case .geluTanh: return try geluTanhParts(scope, g, v)
    }
  }

  /// Φ(x) + x φ(x).
  private func geluParts(
    _ scope: GradientScope, _ g: Edge, _ x: Edge
  ) throws(StackLensError) -> Edge {
    let root = try scope.scalar(0.5.squareRoot(), like: x)
    let half = try scope.scalar(0.5, like: x)
    let share = half * scope.apply("Erf", x * root) + half
    let density = scope.apply("Exp", -(half * x * x))
    return try g * (share + x * density * scope.scalar(1 / (2 * Double.pi).squareRoot(), like: x))
  }

  private func geluTanhParts(
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
