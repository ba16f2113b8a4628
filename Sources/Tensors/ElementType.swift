import Base

/// Element types with ONNX's numbers (`TensorProto.DataType`).
///
/// In memory every element takes whole bytes: an element of 2, 4 or 6 bits is the low bits of a byte
/// of its own, whose other bits are 0 and never looked at. Files pack them, see `fileByteCount`.
public enum ElementType: Int32, Sendable, CaseIterable {
  case float32 = 1
  case uint8 = 2
  case int8 = 3
  case uint16 = 4
  case int16 = 5
  case int32 = 6
  case int64 = 7
  case string = 8
  case bool = 9
  case float16 = 10
  case float64 = 11
  case uint32 = 12
  case uint64 = 13
  case complex64 = 14
  case complex128 = 15
  case bfloat16 = 16
  case float8e4m3fn = 17
  case float8e4m3fnuz = 18
  case float8e5m2 = 19
  case float8e5m2fnuz = 20
  case uint4 = 21
  case int4 = 22
  case float4e2m1 = 23
  case float8e8m0 = 24
  case uint2 = 25
  case int2 = 26
  case float6e2m3 = 27
  case float6e3m2 = 28

  /// Bits that carry the value of one element; 0 for strings.
  public var bitWidth: Int {
    switch self {
    case .int2, .uint2: 2
    case .int4, .uint4, .float4e2m1: 4
    case .float6e2m3, .float6e3m2: 6
    case .uint8, .int8, .bool: 8
    case .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz, .float8e8m0: 8
    case .uint16, .int16, .float16, .bfloat16: 16
    case .float32, .int32, .uint32: 32
    case .int64, .uint64, .float64, .complex64: 64
    case .complex128: 128
    case .string: 0
    }
  }

  /// Bytes of one element in memory. Strings are Swift values that the storage owns.
  public var byteSize: Int {
    self == .string ? MemoryLayout<String>.stride : (bitWidth + 7) / 8
  }

  /// What the address of an element is a multiple of.
  public var alignment: Int { min(byteSize, 8) }

  /// The floating-point types that operators compute with: 16 to 64 bits.
  public var isFloat: Bool {
    switch self {
    case .float16, .bfloat16, .float32, .float64: true
    default: false
    }
  }

  /// The integers that operators compute with: 8 to 64 bits.
  public var isInteger: Bool { isSignedInteger || isUnsignedInteger }

  public var isSignedInteger: Bool {
    switch self {
    case .int8, .int16, .int32, .int64: true
    default: false
    }
  }

  public var isUnsignedInteger: Bool {
    switch self {
    case .uint8, .uint16, .uint32, .uint64: true
    default: false
    }
  }

  public var isNumeric: Bool { isFloat || isInteger }

  public var isComplex: Bool { self == .complex64 || self == .complex128 }

  /// Whether files hold several elements in a byte.
  public var isPacked: Bool { bitWidth < 8 && self != .string }

  /// The type of 8 bits that holds the values of integers of 2 and 4 bits; nil for other types.
  public var smallIntegerCarrier: ElementType? {
    switch self {
    case .int2, .int4: .int8
    case .uint2, .uint4: .uint8
    default: nil
    }
  }

  /// The opset of ONNX that introduced the type.
  public var firstOpset: Int {
    switch self {
    case .bfloat16: 13
    case .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz: 19
    case .int4, .uint4: 21
    case .float4e2m1: 23
    case .float8e8m0: 24
    case .int2, .uint2: 25
    case .float6e2m3, .float6e3m2: 28
    default: 1
    }
  }

  /// - Throws: `.unsupported` where a file for `opset` cannot hold the type.
  package func check(isIn opset: Int) throws(StackLensError) {
    guard opset >= firstOpset else {
      throw .unsupported("element type \(name) needs opset \(firstOpset), asked for \(opset)")
    }
  }

  /// The name that messages use: "float32", "int64" …
  public var name: String { "\(self)" }
}
