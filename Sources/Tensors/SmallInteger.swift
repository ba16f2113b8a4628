extension ElementType {
  /// The values of `count` integers of 2 or 4 bits as int8 or uint8.
  package func smallIntegers(
    _ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ count: Int
  ) {
    let codes = source.assumingMemoryBound(to: UInt8.self)
    let shift = UInt8(8 - bitWidth)
    if smallIntegerCarrier == .int8 {
      let values = target.assumingMemoryBound(to: Int8.self)
      for i in 0..<count { values[i] = Int8(bitPattern: codes[i] << shift) >> Int8(shift) }
    } else {
      let values = target.assumingMemoryBound(to: UInt8.self)
      for i in 0..<count { values[i] = (codes[i] << shift) >> shift }
    }
  }

  /// Stores the low bits of `count` values of int8 or uint8 as integers of 2 or 4 bits; source and
  /// target may be the same memory.
  package func storeSmallIntegers(
    _ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ count: Int
  ) {
    let values = source.assumingMemoryBound(to: UInt8.self)
    let codes = target.assumingMemoryBound(to: UInt8.self)
    let mask = UInt8(truncatingIfNeeded: 1 << bitWidth - 1)
    for i in 0..<count { codes[i] = values[i] & mask }
  }

  /// The least and the greatest value of an integer type of 2 to 16 bits; nil for other types.
  package var smallIntegerRange: ClosedRange<Int32>? {
    guard bitWidth > 0, bitWidth <= 16 else { return nil }
    switch self {
    case .int2, .int4, .int8, .int16:
      let bound: Int32 = 1 << Int32(bitWidth - 1)
      return -bound...(bound - 1)
    case .uint2, .uint4, .uint8, .uint16: return 0...(1 << Int32(bitWidth) - 1)
    default: return nil
    }
  }
}
