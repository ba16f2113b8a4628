/// FNV-1a of 64 bits (Fowler, Noll and Vo), of bytes or of whole words.
package struct FNV1a {
  package private(set) var value: UInt64

  /// - Parameter seed: 0 for the published hash.
  package init(seed: UInt64 = 0) { value = 0xcbf2_9ce4_8422_2325 ^ seed }

  package mutating func mix(_ word: UInt64) { value = (value ^ word) &* 0x0000_0100_0000_01b3 }

  package mutating func mix(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { mix(UInt64(byte)) }
  }

  /// The hash for a table's rows: its low bits alone depend on the low bits of what went in.
  package var folded: UInt64 { value ^ value >> 32 }

  /// One of the rows 1 to `count` - 1 of a table whose row 0 stands for nothing; 1 of shorter ones.
  package func row(of count: Int) -> Int32 { Int32(1 + folded % UInt64(max(1, count - 1))) }
}
