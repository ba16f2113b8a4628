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

  /// - Throws: `.invalidArgument` naming the spelling found.
  init(_ view: some NodeView) throws(StackLensError) {
    let name = try view.string("activation")
    guard let value = FusedActivation(rawValue: name) else {
      throw .invalidArgument(
        "attribute 'activation' is '\(name)', expected none, relu, gelu_erf, gelu_tanh, tanh, "
          + "sigmoid or silu")
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
      }
    return Int32(code.rawValue)
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
    }
  }
}
