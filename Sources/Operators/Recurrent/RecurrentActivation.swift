import Base
import CKernels
import Glibc

/// An activation of a recurrent cell with its two parameters. The names are ONNX's, in any case.
struct RecurrentActivation: Sendable {
  enum Function: String, Sendable, CaseIterable {
    case relu, tanh, sigmoid, affine, leakyrelu, thresholdedrelu, scaledtanh, hardsigmoid, elu
    case softsign, softplus
  }
  let function: Function
  let alpha: Float
  let beta: Float

  static let sigmoid = RecurrentActivation(function: .sigmoid, alpha: 0, beta: 0)
  static let tanh = RecurrentActivation(function: .tanh, alpha: 0, beta: 0)

  /// The activations of all gates of all directions. The lists of parameters have one entry for each
  /// function that takes that parameter, in order; missing entries have the function's default.
  static func read(
    _ view: some NodeView, gates defaults: [RecurrentActivation], directions: Int
  ) throws(StackLensError) -> [[RecurrentActivation]] {
    guard let names = try view.strings("activations"), !names.isEmpty else {
      return Array(repeating: defaults, count: directions)
    }
    guard names.count == defaults.count * directions else {
      throw .invalidArgument(
        "\(names.count) activations, expected \(defaults.count) for each of \(directions) "
          + "directions")
    }
    var alphas = (try view.floats("activation_alpha") ?? [])[...]
    var betas = (try view.floats("activation_beta") ?? [])[...]
    var all: [RecurrentActivation] = []
    for name in names {
      guard let function = Function(rawValue: name.lowercased()) else {
        throw .unsupported("activation '\(name)' of a recurrent operator is unknown")
      }
      let (alpha, beta) = function.defaults
      all.append(
        RecurrentActivation(
          function: function, alpha: alpha.map { alphas.popFirst() ?? $0 } ?? 0,
          beta: beta.map { betas.popFirst() ?? $0 } ?? 0))
    }
    let count = defaults.count
    return (0..<directions).map { Array(all[$0 * count..<($0 + 1) * count]) }
  }

  /// The value at x, in plain arithmetic.
  func callAsFunction<T: RecurrentElement>(_ x: T) -> T {
    let (alpha, beta) = (T(alpha), T(beta))
    switch function {
    case .relu: return max(x, 0)
    case .tanh: return x.hyperbolicTangent
    case .sigmoid: return 1 / (1 + (-x).exponential)
    case .affine: return alpha * x + beta
    case .leakyrelu: return x >= 0 ? x : alpha * x
    case .thresholdedrelu: return x > alpha ? x : 0
    case .scaledtanh: return alpha * (beta * x).hyperbolicTangent
    case .hardsigmoid: return min(max(alpha * x + beta, 0), 1)
    case .elu: return x >= 0 ? x : alpha * (x.exponential - 1)
    case .softsign: return x / (1 + abs(x))
    case .softplus: return max(x, 0) + (1 + (-abs(x)).exponential).logarithm
    }
  }

  /// The derivative where the value is y; all of these functions tell it by their value.
  func slope<T: RecurrentElement>(at y: T) -> T {
    let (alpha, beta) = (T(alpha), T(beta))
    switch function {
    case .relu, .thresholdedrelu: return y > 0 ? 1 : 0
    case .tanh: return 1 - y * y
    case .sigmoid: return y * (1 - y)
    case .affine: return alpha
    case .leakyrelu: return y >= 0 ? 1 : alpha
    case .scaledtanh: return beta * (alpha - y * y / alpha)
    case .hardsigmoid: return y > 0 && y < 1 ? alpha : 0
    case .elu: return y >= 0 ? 1 : y + alpha
    case .softsign:
      let rest = 1 - abs(y)
      return rest * rest
    case .softplus: return 1 - (-y).exponential
    }
  }

  /// Applies the vector kernels in place.
  func apply(_ x: UnsafeMutablePointer<Float>, count: Int) {
    func unary(_ operation: slk_unary, _ p: Float = 1, _ q: Float = 0) {
      slk_unary_f32(Int32(operation.rawValue), x, x, count, p, q)
    }
    switch function {
    case .relu: unary(SLK_UNARY_RELU)
    case .tanh: unary(SLK_UNARY_TANH)
    case .sigmoid: unary(SLK_UNARY_SIGMOID)
    case .affine: unary(SLK_UNARY_AFFINE, alpha, beta)
    case .leakyrelu: unary(SLK_UNARY_LEAKY_RELU, alpha)
    case .thresholdedrelu: unary(SLK_UNARY_THRESHOLDED_RELU, alpha)
    case .scaledtanh:
      unary(SLK_UNARY_AFFINE, beta, 0)
      unary(SLK_UNARY_TANH)
      unary(SLK_UNARY_AFFINE, alpha, 0)
    case .hardsigmoid: unary(SLK_UNARY_HARD_SIGMOID, alpha, beta)
    case .elu: unary(SLK_UNARY_ELU, alpha)
    case .softsign: unary(SLK_UNARY_SOFTSIGN)
    case .softplus: unary(SLK_UNARY_SOFTPLUS)
    }
  }
}

extension RecurrentActivation.Function {
  /// Defaults of alpha and beta; nil where the function has no such parameter.
  fileprivate var defaults: (alpha: Float?, beta: Float?) {
    switch self {
    case .affine: (1, 0)
    case .leakyrelu: (0.01, nil)
    case .thresholdedrelu, .elu: (1, nil)
    case .scaledtanh: (1, 1)
    case .hardsigmoid: (0.2, 0.5)
    default: (nil, nil)
    }
  }
}

/// What the plain recurrent loops compute in.
protocol RecurrentElement: ComputeElement, BinaryFloatingPoint {
  var exponential: Self { get }
  var logarithm: Self { get }
  var hyperbolicTangent: Self { get }
}

extension Float: RecurrentElement {
  var exponential: Float { expf(self) }
  var logarithm: Float { logf(self) }
  var hyperbolicTangent: Float { tanhf(self) }
}

extension Double: RecurrentElement {
  var exponential: Double { exp(self) }
  var logarithm: Double { log(self) }
  var hyperbolicTangent: Double { tanh(self) }
}
