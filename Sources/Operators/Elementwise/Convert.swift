import Base
import Tensors

/// Converts `count` numbers or truth values from one element type to another. Fractions are cut
/// towards zero, integers keep their low bits, reals round to nearest even, and true is 1.
func convertElements(
  _ source: UnsafeRawPointer, _ sourceType: ElementType, _ target: UnsafeMutableRawPointer,
  _ targetType: ElementType, _ count: Int
) {
  if sourceType == targetType {
    if sourceType != .string {
      target.copyMemory(from: source, byteCount: count * sourceType.byteSize)
    }
    return
  }
  switch (sourceType, targetType) {
  case (.float32, .float16), (.float32, .bfloat16):
    return targetType.narrow(source.assumingMemoryBound(to: Float.self), target, count)
  case (.float16, .float32), (.bfloat16, .float32):
    return sourceType.widen(source, target.assumingMemoryBound(to: Float.self), count)
  default: break
  }
  switch sourceType {
  case .float32: fromReal(Float.self, source, target, targetType, count)
  case .float64: fromReal(Double.self, source, target, targetType, count)
  case .float16: fromReal(Float16.self, source, target, targetType, count)
  case .bfloat16: fromReal(BFloat16.self, source, target, targetType, count)
  case .int8: fromWhole(Int8.self, source, target, targetType, count)
  case .int16: fromWhole(Int16.self, source, target, targetType, count)
  case .int32: fromWhole(Int32.self, source, target, targetType, count)
  case .int64: fromWhole(Int64.self, source, target, targetType, count)
  case .uint8, .bool: fromWhole(UInt8.self, source, target, targetType, count)
  case .uint16: fromWhole(UInt16.self, source, target, targetType, count)
  case .uint32: fromWhole(UInt32.self, source, target, targetType, count)
  case .uint64: fromWhole(UInt64.self, source, target, targetType, count)
  case .string: break
  }
}

@inline(__always)
private func map<S, T>(
  _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _ count: Int,
  _ convert: (S) -> T
) {
  let read = source.assumingMemoryBound(to: S.self)
  let write = target.assumingMemoryBound(to: T.self)
  for i in 0..<count { write[i] = convert(read[i]) }
}

private func fromReal<S: RealElement>(
  _: S.Type, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _ type: ElementType,
  _ count: Int
) {
  @inline(__always) func each<T>(_ convert: (S) -> T) { map(source, target, count, convert) }
  switch type {
  case .float32: each { Float($0.double) }
  case .float64: each { $0.double }
  case .float16: each { Float16($0.double) }
  case .bfloat16: each { BFloat16(rounding: $0.double) }
  case .int8: each { Int8(wrapping: $0.double) }
  case .int16: each { Int16(wrapping: $0.double) }
  case .int32: each { Int32(wrapping: $0.double) }
  case .int64: each { Int64(wrapping: $0.double) }
  case .uint8: each { UInt8(wrapping: $0.double) }
  case .uint16: each { UInt16(wrapping: $0.double) }
  case .uint32: each { UInt32(wrapping: $0.double) }
  case .uint64: each { UInt64(wrapping: $0.double) }
  case .bool: each { $0.double != 0 }
  case .string: break
  }
}

private func fromWhole<S: FixedWidthInteger>(
  _: S.Type, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _ type: ElementType,
  _ count: Int
) {
  @inline(__always) func each<T>(_ convert: (S) -> T) { map(source, target, count, convert) }
  switch type {
  case .float32: each { Float($0) }
  case .float64: each { Double($0) }
  case .float16: each { Float16(Float($0)) }
  case .bfloat16: each { BFloat16(Float($0)) }
  case .int8, .uint8: each { UInt8(truncatingIfNeeded: $0) }
  case .int16, .uint16: each { UInt16(truncatingIfNeeded: $0) }
  case .int32, .uint32: each { UInt32(truncatingIfNeeded: $0) }
  case .int64, .uint64: each { UInt64(truncatingIfNeeded: $0) }
  case .bool: each { $0 != 0 }
  case .string: break
  }
}
