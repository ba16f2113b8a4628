/// How values are brought into a floating-point type of at most 8 bits.
public struct SmallFloatRounding: Sendable, Hashable {
  /// Where a value between two codes goes; only float8e8m0 knows other ways than to nearest even.
  public enum Mode: String, Sendable {
    /// Away from zero.
    case up
    /// Towards zero.
    case down
    /// To the nearest value, ties up.
    case nearest
  }
  /// Values out of range become the largest finite ones instead of infinity or NaN.
  public let saturates: Bool
  public let mode: Mode

  public init(saturates: Bool = true, mode: Mode = .up) {
    (self.saturates, self.mode) = (saturates, mode)
  }
}

/// The layout of a floating-point type of at most 8 bits: a sign, an exponent and a mantissa.
struct SmallFloatFormat: Sendable {
  /// What the format has beside finite numbers.
  enum Specials {
    /// Infinities and NaN, as IEEE 754 encodes them.
    case infinityAndNaN
    /// All ones mean NaN.
    case onesAreNaN
    /// The code of -0 means NaN; there is no -0.
    case negativeZeroIsNaN
    case nothing
  }
  let exponentBits: Int
  let mantissaBits: Int
  let bias: Int
  let specials: Specials

  private var sign: UInt8 { 1 << UInt8(exponentBits + mantissaBits) }
  private var ones: UInt8 { sign - 1 }

  /// The largest code of a finite number.
  private var largest: UInt8 {
    switch specials {
    case .infinityAndNaN: ones - (1 << UInt8(mantissaBits))
    case .onesAreNaN: ones - 1
    case .negativeZeroIsNaN, .nothing: ones
    }
  }

  func value(_ code: UInt8) -> Float {
    let magnitude = code & ones
    let isNegative = code & sign != 0
    switch specials {
    case .infinityAndNaN where magnitude > largest:
      return magnitude == largest + 1 ? (isNegative ? -Float.infinity : .infinity) : .nan
    case .onesAreNaN where magnitude == ones: return .nan
    case .negativeZeroIsNaN where code == sign: return .nan
    default: break
    }
    let exponent = Int(magnitude >> UInt8(mantissaBits))
    let mantissa = Int(magnitude) & (1 << mantissaBits - 1)
    let significand = exponent == 0 ? mantissa : mantissa + 1 << mantissaBits
    let scale = Float(sign: .plus, exponent: max(exponent, 1) - bias - mantissaBits, significand: 1)
    return (isNegative ? -1 : 1) * Float(significand) * scale
  }

  /// The nearest code, ties to even.
  func code(_ value: Double, saturates: Bool) -> UInt8 {
    let negative: UInt8 = value.sign == .minus ? sign : 0
    if value.isNaN { return notANumber(negative) }
    let (lowest, magnitude) = (1 - bias, abs(value))
    var code = Int(largest) + 1
    if magnitude < 65_536 {
      let exponent = magnitude == 0 ? lowest : max(Int(magnitude.exponent), lowest)
      let unit = Double(sign: .plus, exponent: exponent - mantissaBits, significand: 1)
      code = (exponent - lowest) << mantissaBits + Int((magnitude / unit).rounded(.toNearestOrEven))
    }
    if code <= largest {
      return code == 0 && specials == .negativeZeroIsNaN ? 0 : UInt8(code) | negative
    }
    if saturates || specials == .nothing { return largest | negative }
    return specials == .infinityAndNaN ? largest + 1 | negative : notANumber(negative)
  }

  /// Formats without NaN have -0 for it, as the standard's own tests expect.
  private func notANumber(_ negative: UInt8) -> UInt8 {
    switch specials {
    case .infinityAndNaN: largest + 1 << UInt8(mantissaBits - 1) + 1 | negative
    case .onesAreNaN: ones | negative
    case .negativeZeroIsNaN: sign
    case .nothing: negative ^ sign
    }
  }
}

/// float8e8m0: the powers of two from 2^-127 to 2^127 and NaN, no sign and no zero.
enum PowerOfTwo {
  private static let nan: UInt8 = 255

  static func value(_ code: UInt8) -> Float {
    code == nan ? .nan : Float(sign: .plus, exponent: Int(code) - 127, significand: 1)
  }

  /// The sign is ignored.
  static func code(_ value: Double, _ rounding: SmallFloatRounding) -> UInt8 {
    if value.isNaN { return nan }
    let smallest = Double(sign: .plus, exponent: -127, significand: 1)
    let magnitude = abs(value)
    if magnitude < smallest { return rounding.saturates ? 0 : nan }
    if magnitude.isInfinite { return rounding.saturates ? 254 : nan }
    var exponent = Int(magnitude.exponent)
    switch rounding.mode {
    case .up where magnitude.significand > 1: exponent += 1
    case .nearest where magnitude.significand >= 1.5: exponent += 1
    default: break
    }
    if exponent > 127 { return rounding.saturates ? 254 : nan }
    return UInt8(exponent + 127)
  }
}

extension ElementType {
  private var smallFormat: SmallFloatFormat? {
    switch self {
    case .float8e4m3fn: .init(exponentBits: 4, mantissaBits: 3, bias: 7, specials: .onesAreNaN)
    case .float8e4m3fnuz:
      .init(exponentBits: 4, mantissaBits: 3, bias: 8, specials: .negativeZeroIsNaN)
    case .float8e5m2: .init(exponentBits: 5, mantissaBits: 2, bias: 15, specials: .infinityAndNaN)
    case .float8e5m2fnuz:
      .init(exponentBits: 5, mantissaBits: 2, bias: 16, specials: .negativeZeroIsNaN)
    case .float6e2m3: .init(exponentBits: 2, mantissaBits: 3, bias: 1, specials: .nothing)
    case .float6e3m2: .init(exponentBits: 3, mantissaBits: 2, bias: 3, specials: .nothing)
    case .float4e2m1: .init(exponentBits: 2, mantissaBits: 1, bias: 1, specials: .nothing)
    default: nil
    }
  }

  /// Whether the type is a floating-point type of at most 8 bits.
  public var isSmallFloat: Bool { self == .float8e8m0 || smallFormat != nil }

  private static let smallTables: [ElementType: [Float]] = {
    var tables: [ElementType: [Float]] = [:]
    for type in allCases where type.isSmallFloat {
      let mask = UInt8(truncatingIfNeeded: 1 << type.bitWidth - 1)
      tables[type] = (0...255).map { code in
        type.smallFormat?.value(UInt8(code) & mask) ?? PowerOfTwo.value(UInt8(code))
      }
    }
    return tables
  }()

  /// The values of the 256 bytes that can hold an element of a small floating-point type; empty for
  /// other types.
  package var smallFloatValues: [Float] { Self.smallTables[self] ?? [] }

  /// The values of `count` elements of a small floating-point type.
  package func smallFloats(
    _ source: UnsafeRawPointer, to target: UnsafeMutablePointer<Float>, _ count: Int
  ) {
    let codes = source.assumingMemoryBound(to: UInt8.self)
    smallFloatValues.withUnsafeBufferPointer { values in
      for i in 0..<count { target[i] = values[Int(codes[i])] }
    }
  }

  /// Brings `count` values into a small floating-point type.
  package func storeSmallFloats(
    _ source: UnsafePointer<Double>, to target: UnsafeMutableRawPointer, _ count: Int,
    _ rounding: SmallFloatRounding
  ) {
    let codes = target.assumingMemoryBound(to: UInt8.self)
    if let format = smallFormat {
      for i in 0..<count { codes[i] = format.code(source[i], saturates: rounding.saturates) }
    } else {
      for i in 0..<count { codes[i] = PowerOfTwo.code(source[i], rounding) }
    }
  }
}
