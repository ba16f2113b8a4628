import Base
import Tensors

/// Converts `count` numbers or truth values from one element type to another. Fractions are cut
/// towards zero, integers keep their low bits, reals round to nearest even, and true is 1. `rounding`
/// is for floating-point types of at most 8 bits.
func convertElements(
  _ source: UnsafeRawPointer, _ sourceType: ElementType, _ target: UnsafeMutableRawPointer,
  _ targetType: ElementType, _ count: Int, _ rounding: SmallFloatRounding = SmallFloatRounding()
) {
  if sourceType == targetType {
    if sourceType != .string {
      target.copyMemory(from: source, byteCount: count * sourceType.byteSize)
    }
    return
  }
  if sourceType.carrier != sourceType {
    return forEachCarried(source, sourceType, count) { start, carried, count in
      convertElements(
        carried, sourceType.carrier, target + start * targetType.byteSize, targetType, count,
        rounding)
    }
  }
  if targetType.carrier != targetType {
    return storeCarried(source, sourceType, target, targetType, count, rounding)
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
  default: break
  }
}

extension ElementType {
  /// The type that the values of this one are converted through; itself for types of 8 bits and more
  /// that the processor knows.
  var carrier: ElementType { smallIntegerCarrier ?? (isSmallFloat ? .float32 : self) }
}

/// Calls `body` with the elements of a small type in its carrier, some at a time.
private func forEachCarried(
  _ source: UnsafeRawPointer, _ type: ElementType, _ count: Int,
  _ body: (_ start: Int, _ carried: UnsafeRawPointer, _ count: Int) -> Void
) {
  withUnsafeTemporaryAllocation(of: Float.self, capacity: chunkLength) { buffer in
    guard let chunk = buffer.baseAddress else { return }
    forEachChunk(count) { start, count in
      if type.isSmallFloat {
        type.smallFloats(source + start, to: chunk, count)
      } else {
        type.smallIntegers(source + start, to: UnsafeMutableRawPointer(chunk), count)
      }
      body(start, UnsafeRawPointer(chunk), count)
    }
  }
}

/// Converts to a small type from one that is none.
private func storeCarried(
  _ source: UnsafeRawPointer, _ sourceType: ElementType, _ target: UnsafeMutableRawPointer,
  _ type: ElementType, _ count: Int, _ rounding: SmallFloatRounding
) {
  if !type.isSmallFloat {
    convertElements(source, sourceType, target, type.carrier, count)
    return type.storeSmallIntegers(target, to: target, count)
  }
  withUnsafeTemporaryAllocation(of: Double.self, capacity: chunkLength) { buffer in
    guard let chunk = buffer.baseAddress else { return }
    forEachChunk(count) { start, count in
      convertElements(source + start * sourceType.byteSize, sourceType, chunk, .float64, count)
      type.storeSmallFloats(chunk, to: target + start, count, rounding)
    }
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
  default: break
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
  default: break
  }
}
