import CKernels
import Glibc

/// A function of one number with up to two parameters.
struct UnaryFunction: Sendable {
  enum Kind: Sendable {
    case abs, negate, sign, ceil, floor, round, reciprocal, sqrt, exp, log, erf
    case sin, cos, tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh
    case relu, leakyRelu, elu, selu, celu, sigmoid, hardSigmoid, hardSwish, swish, mish
    case softplus, softsign, tanh, geluErf, geluTanh, thresholdedRelu, shrink, clip
    case bitwiseNot
  }
  let kind: Kind
  var p = 0.0
  var q = 0.0

  init(_ kind: Kind, _ p: Double = 0, _ q: Double = 0) {
    (self.kind, self.p, self.q) = (kind, p, q)
  }

  /// The number that the C kernels know the function by; nil where they lack it.
  var code: Int32? {
    let code: slk_unary
    switch kind {
    case .abs: code = SLK_UNARY_ABS
    case .negate: code = SLK_UNARY_NEGATE
    case .sign: code = SLK_UNARY_SIGN
    case .ceil: code = SLK_UNARY_CEIL
    case .floor: code = SLK_UNARY_FLOOR
    case .round: code = SLK_UNARY_ROUND
    case .reciprocal: code = SLK_UNARY_RECIPROCAL
    case .sqrt: code = SLK_UNARY_SQRT
    case .exp: code = SLK_UNARY_EXP
    case .log: code = SLK_UNARY_LOG
    case .erf: code = SLK_UNARY_ERF
    case .sin: code = SLK_UNARY_SIN
    case .cos: code = SLK_UNARY_COS
    case .tan: code = SLK_UNARY_TAN
    case .asin: code = SLK_UNARY_ASIN
    case .acos: code = SLK_UNARY_ACOS
    case .atan: code = SLK_UNARY_ATAN
    case .sinh: code = SLK_UNARY_SINH
    case .cosh: code = SLK_UNARY_COSH
    case .asinh: code = SLK_UNARY_ASINH
    case .acosh: code = SLK_UNARY_ACOSH
    case .atanh: code = SLK_UNARY_ATANH
    case .relu: code = SLK_UNARY_RELU
    case .leakyRelu: code = SLK_UNARY_LEAKY_RELU
    case .elu: code = SLK_UNARY_ELU
    case .selu: code = SLK_UNARY_SELU
    case .sigmoid: code = SLK_UNARY_SIGMOID
    case .hardSigmoid: code = SLK_UNARY_HARD_SIGMOID
    case .hardSwish: code = SLK_UNARY_HARD_SWISH
    case .swish: code = SLK_UNARY_SILU
    case .mish: code = SLK_UNARY_MISH
    case .softplus: code = SLK_UNARY_SOFTPLUS
    case .softsign: code = SLK_UNARY_SOFTSIGN
    case .tanh: code = SLK_UNARY_TANH
    case .geluErf: code = SLK_UNARY_GELU_ERF
    case .geluTanh: code = SLK_UNARY_GELU_TANH
    case .thresholdedRelu: code = SLK_UNARY_THRESHOLDED_RELU
    case .clip: code = SLK_UNARY_CLIP
    case .celu, .shrink, .bitwiseNot: return nil
    }
    return Int32(code.rawValue)
  }

  var isCheap: Bool {
    switch kind {
    case .abs, .negate, .sign, .ceil, .floor, .round, .reciprocal, .sqrt, .relu, .leakyRelu,
      .hardSigmoid, .hardSwish, .softsign, .thresholdedRelu, .shrink, .clip, .bitwiseNot:
      true
    default: false
    }
  }

  func callAsFunction(_ x: Double) -> Double {
    switch kind {
    case .abs: x.magnitude
    case .negate, .bitwiseNot: -x
    case .sign: x > 0 ? 1 : x < 0 ? -1 : x.isNaN ? x : 0
    case .ceil: x.rounded(.up)
    case .floor: x.rounded(.down)
    case .round: x.rounded(.toNearestOrEven)
    case .reciprocal: 1 / x
    case .sqrt: x.squareRoot()
    case .exp: Glibc.exp(x)
    case .log: Glibc.log(x)
    case .erf: Glibc.erf(x)
    case .sin: Glibc.sin(x)
    case .cos: Glibc.cos(x)
    case .tan: Glibc.tan(x)
    case .asin: Glibc.asin(x)
    case .acos: Glibc.acos(x)
    case .atan: Glibc.atan(x)
    case .sinh: Glibc.sinh(x)
    case .cosh: Glibc.cosh(x)
    case .asinh: Glibc.asinh(x)
    case .acosh: Glibc.acosh(x)
    case .atanh: Glibc.atanh(x)
    case .relu: x < 0 ? 0 : x
    case .leakyRelu: x < 0 ? p * x : x
    case .elu: x < 0 ? p * expm1(x) : x
    case .selu: q * (x > 0 ? x : p * expm1(x))
    case .celu: x > 0 ? x : p * expm1(x / p)
    case .sigmoid: Self.sigmoid(x)
    case .hardSigmoid: Self.clip(p * x + q, 0, 1)
    case .hardSwish: x * Self.clip(x / 6 + 0.5, 0, 1)
    case .swish: x * Self.sigmoid(p * x)
    case .mish: x * Glibc.tanh(Self.softplus(x))
    case .softplus: Self.softplus(x)
    case .softsign: x / (1 + x.magnitude)
    case .tanh: Glibc.tanh(x)
    case .geluErf: 0.5 * x * erfc(-x * 0.5.squareRoot())
    case .geluTanh:
      0.5 * x * (1 + Glibc.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case .thresholdedRelu: x <= p ? 0 : x
    case .shrink: x < -q ? x + p : x > q ? x - p : x.isNaN ? x : 0
    case .clip: Self.clip(x, p, q)
    }
  }

  private static func sigmoid(_ x: Double) -> Double {
    if x >= 0 { return 1 / (1 + Glibc.exp(-x)) }
    let e = Glibc.exp(x)
    return e / (1 + e)
  }

  private static func softplus(_ x: Double) -> Double {
    x > 0 ? x + log1p(Glibc.exp(-x)) : log1p(Glibc.exp(x))
  }

  private static func clip(_ x: Double, _ low: Double, _ high: Double) -> Double {
    let raised = x < low ? low : x
    return raised > high ? high : raised
  }

  /// Integers wrap around.
  func callAsFunction<T: FixedWidthInteger>(_ x: T) -> T {
    switch kind {
    case .abs: return x < 0 ? 0 &- x : x
    case .negate: return 0 &- x
    case .sign: return x > 0 ? 1 : x < 0 ? 0 &- 1 : 0
    case .relu: return max(x, 0)
    case .bitwiseNot: return ~x
    default: return T(wrapping: self(Double(x)))
    }
  }
}

extension FixedWidthInteger {
  /// The integer part of `value`, cut to this width as x86 processors do it. The standard leaves open
  /// what becomes of NaN and of what does not fit, but files count on it: T5 buckets the logarithm of 0.
  /// It is the lowest Int32 or, for 64 bits, Int64, of which narrower types keep the low bits; the
  /// upper half of UInt32 and UInt64 is converted less that half.
  init(wrapping value: Double) {
    let isWide = Self.bitWidth == 64
    let whole = value.rounded(.towardZero)
    let half = isWide ? 0x1p63 : 0x1p31
    let isUpper = !Self.isSigned && Self.bitWidth >= 32 && whole >= half
    let lower = isUpper ? whole - half : whole
    let bits = isWide ? Int64(exactly: lower) ?? .min : Int64(Int32(exactly: lower) ?? .min)
    self = Self(truncatingIfNeeded: bits)
    if isUpper { self ^= 1 << (Self.bitWidth - 1) }
  }
}
