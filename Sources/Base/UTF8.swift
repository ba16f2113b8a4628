/// Reading UTF-8 that nobody has checked.
package enum UTF8Reader {
  /// What stands for a byte sequence that is no character.
  package static let replacement: UInt32 = 0xFFFD

  /// The character at the start of `bytes`, or U+FFFD for a bad sequence.
  ///
  /// A bad sequence is as long as it could still have become a character (the "maximal subpart" of
  /// the Unicode standard, 3.9), at least one byte, which is what Python and Rust replace too.
  /// - Parameters:
  ///   - bytes: at least `count` readable bytes.
  ///   - count: above 0.
  /// - Returns: the code point, how many bytes it takes, and whether they were well formed.
  package static func decode(
    _ bytes: UnsafePointer<UInt8>, count: Int
  ) -> (scalar: UInt32, length: Int, valid: Bool) {
    let lead = bytes[0]
    if lead < 0x80 { return (UInt32(lead), 1, true) }
    var length = 2
    var low: UInt8 = 0x80
    var high: UInt8 = 0xBF
    var scalar: UInt32
    switch lead {
    case 0xC2...0xDF: scalar = UInt32(lead & 0x1F)
    case 0xE0...0xEF:
      length = 3
      scalar = UInt32(lead & 0x0F)
      if lead == 0xE0 { low = 0xA0 }
      if lead == 0xED { high = 0x9F }
    case 0xF0...0xF4:
      length = 4
      scalar = UInt32(lead & 0x07)
      if lead == 0xF0 { low = 0x90 }
      if lead == 0xF4 { high = 0x8F }
    default: return (replacement, 1, false)
    }
    var index = 1
    while index < length {
      guard index < count, bytes[index] >= low, bytes[index] <= high else {
        return (replacement, index, false)
      }
      scalar = scalar << 6 | UInt32(bytes[index] & 0x3F)
      (low, high) = (0x80, 0xBF)
      index += 1
    }
    return (scalar, length, true)
  }

  /// The bytes of one code point, the first in the lowest eight bits, and how many there are.
  /// - Parameter scalar: no surrogate and not above U+10FFFF.
  package static func encode(_ scalar: UInt32) -> (bytes: UInt32, length: Int) {
    switch scalar {
    case 0..<0x80: return (scalar, 1)
    case 0x80..<0x800: return (0x80C0 | scalar >> 6 | (scalar & 0x3F) << 8, 2)
    case 0x800..<0x10000:
      return (0x80_80E0 | scalar >> 12 | (scalar >> 6 & 0x3F) << 8 | (scalar & 0x3F) << 16, 3)
    default:
      let low = (scalar >> 12 & 0x3F) << 8 | (scalar >> 6 & 0x3F) << 16 | (scalar & 0x3F) << 24
      return (0x8080_80F0 | (scalar >> 18 & 7) | low, 4)
    }
  }

  /// Appends one code point, which must not be a surrogate or above U+10FFFF.
  package static func append(_ scalar: UInt32, to bytes: inout [UInt8]) {
    var (packed, length) = encode(scalar)
    while length > 0 {
      bytes.append(UInt8(truncatingIfNeeded: packed))
      packed >>= 8
      length -= 1
    }
  }
}
