import Base
import CKernels
import Glibc

/// An activation that a product applies to its sums before it stores them.
enum FusedActivation: String, Sendable {
  case none
  case relu
  case geluErf = "gelu_erf"
  case geluTanh = "gelu_tanh"
  case tanh
  case sigmoid
  case silu
  case hardSwish = "hard_swish"
  case relu6

  /// - Throws: `.invalidArgument` naming the spelling found.
  init(_ view: some NodeView) throws(StackLensError) {
    let name = try view.string("activation")
    guard let value = FusedActivation(rawValue: name) else {
      throw .invalidArgument(
        "attribute 'activation' is '\(name)', expected none, relu, gelu_erf, gelu_tanh, tanh, "
          + "sigmoid, silu, hard_swish or relu6")
    }
    self = value
  }

  /// The number that the element kernels know it by.
  var code: Int32 {
    let code =
      switch self {
      case .none: SLK_UNARY_IDENTITY
      case .relu: SLK_UNARY_RELU
      case .geluErf: SLK_UNARY_GELU_ERF
      case .geluTanh: SLK_UNARY_GELU_TANH
      case .tanh: SLK_UNARY_TANH
      case .sigmoid: SLK_UNARY_SIGMOID
      case .silu: SLK_UNARY_SILU
      case .hardSwish: SLK_UNARY_HARD_SWISH
      case .relu6: SLK_UNARY_CLIP
      }
    return Int32(code.rawValue)
  }

  /// What the kernels take beside the number.
  var parameters: (p: Float, q: Float) { self == .relu6 ? (0, 6) : (1, 0) }

  /// y = activation(y), in place.
  func apply(_ y: UnsafeMutablePointer<Float>, _ count: Int) {
    guard self != .none else { return }
    slk_unary_f32(code, y, y, count, parameters.p, parameters.q)
  }

  /// The exact value, for reference kernels.
  func callAsFunction(_ x: Double) -> Double {
    switch self {
    case .none: x
    case .relu: x < 0 ? 0 : x
    case .geluErf: x * 0.5 * erfc(-x * 0.5.squareRoot())
    case .geluTanh:
      0.5 * x * (1 + Glibc.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case .tanh: Glibc.tanh(x)
    case .sigmoid: 1 / (1 + exp(-x))
    case .silu: x / (1 + exp(-x))
    case .hardSwish: x * min(max(x / 6 + 0.5, 0), 1)
    case .relu6: x < 0 ? 0 : x > 6 ? 6 : x
    }
  }
}

extension slk_epilogue {
  mutating func activate(_ activation: FusedActivation) {
    self.activation = activation.code
    (activation_p, activation_q) = activation.parameters
  }
}
