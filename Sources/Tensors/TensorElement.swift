/// A Swift type that a tensor can hold.
public protocol TensorElement: Sendable {
  static var elementType: ElementType { get }
}

extension Float: TensorElement { public static var elementType: ElementType { .float32 } }
extension Double: TensorElement { public static var elementType: ElementType { .float64 } }
extension Float16: TensorElement { public static var elementType: ElementType { .float16 } }
extension BFloat16: TensorElement { public static var elementType: ElementType { .bfloat16 } }
extension Int8: TensorElement { public static var elementType: ElementType { .int8 } }
extension Int16: TensorElement { public static var elementType: ElementType { .int16 } }
extension Int32: TensorElement { public static var elementType: ElementType { .int32 } }
extension Int64: TensorElement { public static var elementType: ElementType { .int64 } }
extension UInt8: TensorElement { public static var elementType: ElementType { .uint8 } }
extension UInt16: TensorElement { public static var elementType: ElementType { .uint16 } }
extension UInt32: TensorElement { public static var elementType: ElementType { .uint32 } }
extension UInt64: TensorElement { public static var elementType: ElementType { .uint64 } }
extension Bool: TensorElement { public static var elementType: ElementType { .bool } }
extension String: TensorElement { public static var elementType: ElementType { .string } }
extension Complex: TensorElement {
  public static var elementType: ElementType { Part.complexElementType }
}

/// Brain floating point: the upper half of a float32.
public struct BFloat16: Sendable, Hashable {
  public var bitPattern: UInt16

  public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

  /// Rounds to nearest, ties to even; NaN stays NaN.
  @inlinable
  public init(_ value: Float) {
    let bits = value.bitPattern
    if value.isNaN {
      bitPattern = UInt16(truncatingIfNeeded: bits >> 16) | 0x40
    } else {
      bitPattern = UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ ((bits >> 16) & 1)) >> 16)
    }
  }

  @inlinable public var float: Float { Float(bitPattern: UInt32(bitPattern) << 16) }
}

/// A floating-point type that complex numbers have parts of.
public protocol ComplexPart: BinaryFloatingPoint, Sendable {
  static var complexElementType: ElementType { get }
}

extension Float: ComplexPart { public static var complexElementType: ElementType { .complex64 } }
extension Double: ComplexPart { public static var complexElementType: ElementType { .complex128 } }

/// A complex number, its real part first.
public struct Complex<Part: ComplexPart>: Sendable, Hashable {
  public var real: Part
  public var imaginary: Part

  @inlinable
  public init(_ real: Part, _ imaginary: Part) { (self.real, self.imaginary) = (real, imaginary) }

  @inlinable
  public static func + (left: Self, right: Self) -> Self {
    Self(left.real + right.real, left.imaginary + right.imaginary)
  }

  @inlinable
  public static func * (left: Self, right: Self) -> Self {
    Self(
      left.real * right.real - left.imaginary * right.imaginary,
      left.real * right.imaginary + left.imaginary * right.real)
  }
}

public typealias Complex64 = Complex<Float>
public typealias Complex128 = Complex<Double>
