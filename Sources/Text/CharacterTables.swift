import CUnicode

/// Character properties as the peer tokenizer sees them; see scripts/generate-unicode-tables.py.
struct CharacterTables: @unchecked Sendable {
  // Unchecked because of the pointers, which lead to constants.
  static let shared = CharacterTables()

  private let tables = slu_unicode().pointee

  static let removed = UInt8(SL_CHAR_REMOVED)
  static let space = UInt8(SL_CHAR_SPACE)
  static let ideograph = UInt8(SL_CHAR_IDEOGRAPH)
  static let mark = UInt8(SL_CHAR_MARK)
  static let punctuation = UInt8(SL_CHAR_PUNCTUATION)
  static let decomposes = UInt8(SL_CHAR_DECOMPOSES)
  static let lowers = UInt8(SL_CHAR_LOWERS)
  static let reorders = UInt8(SL_CHAR_REORDERS)

  /// The properties of a code point up to U+10FFFF, as a set of the bits above.
  @inline(__always)
  func flags(_ scalar: UInt32) -> UInt8 {
    tables.flags[Int(tables.first[Int(scalar >> 7)]) << 7 | Int(scalar & 127)]
  }

  /// Lower case of a code point that has the bit `lowers`. U+0130 is followed by U+0307, which the
  /// caller adds.
  func lowercase(_ scalar: UInt32) -> UInt32 {
    guard let index = Self.find(scalar, tables.lower_keys, Int(tables.lower_count)) else {
      return scalar
    }
    return tables.lower_values[index]
  }

  /// Canonical decomposition of a code point that has the bit `decomposes`.
  @inline(__always)
  func decomposition(_ scalar: UInt32) -> Decomposition {
    if scalar >= 0xAC00 && scalar <= 0xD7A3 {
      // Unicode 3.12: a Hangul syllable is leading consonant, vowel and perhaps trailing consonant.
      let index = scalar - 0xAC00
      return Decomposition(
        count: index % 28 > 0 ? 3 : 2, table: nil,
        syllable: (0x1100 + index / 588, 0x1161 + index % 588 / 28, 0x11A7 + index % 28))
    }
    guard let at = Self.find(scalar, tables.decomposition_keys, Int(tables.decomposition_count))
    else { return Decomposition(count: 1, table: nil, syllable: (scalar, 0, 0)) }
    let start = Int(tables.decomposition_starts[at])
    return Decomposition(
      count: Int(tables.decomposition_starts[at + 1]) - start,
      table: tables.decomposition_targets + start, syllable: (0, 0, 0))
  }

  /// The parts of a character.
  struct Decomposition {
    let count: Int
    fileprivate let table: UnsafePointer<UInt32>?
    fileprivate let syllable: (UInt32, UInt32, UInt32)

    /// The part at `index`, which is below `count`.
    subscript(_ index: Int) -> UInt32 {
      if let table { return table[index] }
      return index == 0 ? syllable.0 : index == 1 ? syllable.1 : syllable.2
    }
  }

  /// Canonical combining class of a code point that has the bit `reorders`.
  func combiningClass(_ scalar: UInt32) -> UInt8 {
    guard let at = Self.range(scalar, tables.class_ranges, Int(tables.class_count), stride: 3)
    else { return 0 }
    return UInt8(truncatingIfNeeded: tables.class_ranges[at * 3 + 2])
  }

  /// Whether the code point is part of a word for added tokens that match single words only.
  func isWord(_ scalar: UInt32) -> Bool {
    Self.range(scalar, tables.word_ranges, Int(tables.word_count), stride: 2) != nil
  }

  private static func find(_ key: UInt32, _ keys: UnsafePointer<UInt32>, _ count: Int) -> Int? {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if keys[middle] < key { low = middle + 1 } else { high = middle }
    }
    return low < count && keys[low] == key ? low : nil
  }

  private static func range(
    _ key: UInt32, _ ranges: UnsafePointer<UInt32>, _ count: Int, stride: Int
  ) -> Int? {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle * stride + 1] < key { low = middle + 1 } else { high = middle }
    }
    return low < count && ranges[low * stride] <= key ? low : nil
  }
}
