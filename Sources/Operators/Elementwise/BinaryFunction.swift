import Base
import CKernels
import Glibc
import Tensors

/// A function of two numbers of one type.
enum BinaryFunction: Sendable {
  case add, sub, mul, div, min, max
  /// Remainder with the sign of the dividend, and with the sign of the divisor.
  case fmod, mod
  case prelu
  case bitAnd, bitOr, bitXor, shiftLeft, shiftRight

  /// The number that the C kernels know the function by; nil for those on integers only.
  var code: Int32? {
    let code: slk_binary
    switch self {
    case .add: code = SLK_BINARY_ADD
    case .sub: code = SLK_BINARY_SUB
    case .mul: code = SLK_BINARY_MUL
    case .div: code = SLK_BINARY_DIV
    case .min: code = SLK_BINARY_MIN
    case .max: code = SLK_BINARY_MAX
    case .fmod: code = SLK_BINARY_FMOD
    case .mod: code = SLK_BINARY_MOD
    case .prelu: code = SLK_BINARY_PRELU
    case .bitAnd, .bitOr, .bitXor, .shiftLeft, .shiftRight: return nil
    }
    return Int32(code.rawValue)
  }

  var isCheap: Bool { self != .fmod && self != .mod }

  @inline(__always)
  static func floorRemainder(_ a: Double, _ b: Double) -> Double {
    let rest = Glibc.fmod(a, b)
    if rest == 0 { return Double(signOf: b, magnitudeOf: rest) }
    return (rest < 0) == (b < 0) ? rest : rest + b
  }
}

/// Two rows to read, each with step 0 or 1, and one to write.
struct BinaryRow {
  let a: UnsafeRawPointer
  let aStep: Int
  let b: UnsafeRawPointer
  let bStep: Int
  let y: UnsafeMutableRawPointer
  let count: Int

  @inline(__always)
  func map<A, B, R>(_: A.Type, _: B.Type, _ function: (A, B) -> R) {
    let a = self.a.assumingMemoryBound(to: A.self)
    let b = self.b.assumingMemoryBound(to: B.self)
    let y = self.y.assumingMemoryBound(to: R.self)
    switch (aStep, bStep) {
    case (0, 1):
      let left = a[0]
      for i in 0..<count { y[i] = function(left, b[i]) }
    case (1, 0):
      let right = b[0]
      for i in 0..<count { y[i] = function(a[i], right) }
    default:
      for i in 0..<count { y[i] = function(a[i &* aStep], b[i &* bStep]) }
    }
  }

  /// The row with a chunk of `length` elements from `start`, its operands widened to float32.
  @inline(__always)
  func chunk(
    _ type: ElementType, _ start: Int, _ length: Int, room: UnsafeMutablePointer<Float>
  ) -> BinaryRow {
    let size = type.byteSize
    let (left, right) = (room, room + chunkLength)
    type.widen(a + start * aStep * size, left, aStep == 0 ? 1 : length)
    type.widen(b + start * bStep * size, right, bStep == 0 ? 1 : length)
    return BinaryRow(
      a: left, aStep: aStep, b: right, bStep: bStep, y: room + 2 * chunkLength, count: length)
  }
}

extension BinaryFunction {
  /// float32 by the C kernels, the half types through them.
  func vectorRow(_ code: Int32, _ type: ElementType, _ row: BinaryRow) {
    if type == .float32 { return Self.vector(code, row) }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 3 * chunkLength) { buffer in
      guard let room = buffer.baseAddress else { return }
      forEachChunk(row.count) { (start, length) in
        Self.vector(code, row.chunk(type, start, length, room: room))
        type.narrow(room + 2 * chunkLength, row.y + start * type.byteSize, length)
      }
    }
  }

  private static func vector(_ code: Int32, _ row: BinaryRow) {
    slk_binary_f32(
      code, row.a.assumingMemoryBound(to: Float.self), row.aStep,
      row.b.assumingMemoryBound(to: Float.self), row.bStep,
      row.y.assumingMemoryBound(to: Float.self), row.count)
  }

  /// Any numeric type, element by element.
  func referenceRow(_ type: ElementType, _ row: BinaryRow) {
    switch type {
    case .float32: realRow(Float.self, row)
    case .float64: realRow(Double.self, row)
    case .float16: realRow(Float16.self, row)
    case .bfloat16: realRow(BFloat16.self, row)
    case .int8: integerRow(Int8.self, row)
    case .int16: integerRow(Int16.self, row)
    case .int32: integerRow(Int32.self, row)
    case .int64: integerRow(Int64.self, row)
    case .uint8: integerRow(UInt8.self, row)
    case .uint16: integerRow(UInt16.self, row)
    case .uint32: integerRow(UInt32.self, row)
    case .uint64: integerRow(UInt64.self, row)
    case .bool: logicalRow(row)
    default: break
    }
  }

  private func realRow<T: RealElement>(_ type: T.Type, _ row: BinaryRow) {
    @inline(__always) func each(_ function: (Double, Double) -> Double) {
      row.map(T.self, T.self) { T(rounding: function($0.double, $1.double)) }
    }
    switch self {
    case .add: each { $0 + $1 }
    case .sub: each { $0 - $1 }
    case .mul: each { $0 * $1 }
    case .div: each { $0 / $1 }
    case .min: each { $0.isNaN || $0 < $1 ? $0 : $1 }
    case .max: each { $0.isNaN || $0 > $1 ? $0 : $1 }
    case .fmod: each { Glibc.fmod($0, $1) }
    case .mod: each(Self.floorRemainder)
    case .prelu: each { $0 < 0 ? $0 * $1 : $0 }
    case .bitAnd, .bitOr, .bitXor, .shiftLeft, .shiftRight: break
    }
  }

  /// Sums, differences and products wrap around; a division by zero gives 0, as does its
  /// remainder.
  private func integerRow<T: FixedWidthInteger & TensorElement>(_ type: T.Type, _ row: BinaryRow) {
    @inline(__always) func each(_ function: (T, T) -> T) { row.map(T.self, T.self, function) }
    switch self {
    case .add: each { $0 &+ $1 }
    case .sub: each { $0 &- $1 }
    case .mul: each { $0 &* $1 }
    case .div: each { $1 == 0 ? 0 : $0.dividedReportingOverflow(by: $1).partialValue }
    case .min: each { Swift.min($0, $1) }
    case .max: each { Swift.max($0, $1) }
    case .fmod: each { $1 == 0 ? 0 : $0.remainderReportingOverflow(dividingBy: $1).partialValue }
    case .mod:
      each {
        if $1 == 0 { return 0 }
        let rest = $0.remainderReportingOverflow(dividingBy: $1).partialValue
        return rest != 0 && (rest < 0) != ($1 < 0) ? rest &+ $1 : rest
      }
    case .prelu: each { $0 < 0 ? $0 &* $1 : $0 }
    case .bitAnd: each { $0 & $1 }
    case .bitOr: each { $0 | $1 }
    case .bitXor: each { $0 ^ $1 }
    case .shiftLeft: each { $1 < 0 || $1 >= T.bitWidth ? 0 : $0 &<< $1 }
    case .shiftRight:
      each { $1 < 0 || $1 >= T.bitWidth ? ($0 < 0 ? 0 &- 1 : 0) : $0 &>> $1 }
    }
  }

  private func logicalRow(_ row: BinaryRow) {
    @inline(__always) func each(_ function: (Bool, Bool) -> Bool) {
      row.map(Bool.self, Bool.self, function)
    }
    switch self {
    case .bitAnd, .min, .mul: each { $0 && $1 }
    case .bitOr, .max, .add: each { $0 || $1 }
    case .bitXor: each { $0 != $1 }
    default: break
    }
  }
}
