/// The n-grams of characters of words, hashed into a number of buckets (Bojanowski et al., "Enriching
/// word vectors with subword information", 2017; the hash of their fastText).
struct Subwords: Sendable {
  /// Lengths of n-grams in characters.
  let lengths: ClosedRange<Int>
  let bucketCount: Int

  /// The buckets of all n-grams of a word between < and >, other than < and > alone.
  func buckets(of word: String) -> [Int] {
    let bytes = Array("<\(word)>".utf8)
    let starts = bytes.indices.filter { bytes[$0] & 0xc0 != 0x80 } + [bytes.count]
    var buckets: [Int] = []
    for first in 0..<(starts.count - 1) {
      for length in lengths where first + length < starts.count {
        let isBoundary = first == 0 || first + length == starts.count - 1
        if length == 1, isBoundary { continue }
        buckets.append(bucket(bytes[starts[first]..<starts[first + length]]))
      }
    }
    return buckets
  }

  /// FNV-1a of 32 bits, bytes taken as signed numbers.
  private func bucket(_ bytes: ArraySlice<UInt8>) -> Int {
    var hash: UInt32 = 2_166_136_261
    for byte in bytes {
      hash = (hash ^ UInt32(bitPattern: Int32(Int8(bitPattern: byte)))) &* 16_777_619
    }
    return Int(hash) % bucketCount
  }
}
