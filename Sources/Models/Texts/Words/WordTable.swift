/// Words by number in the order in which they first came, with how often they came.
struct WordTable {
  private var bytes: [UInt8] = []
  /// Where each word begins, and where the last one ends.
  private var starts = [0]
  private(set) var counts: [Int] = []
  /// Numbers of words by their hashes, found by looking further until a place is free; -1 is free.
  private var places = [Int32](repeating: -1, count: 1 << 12)

  var count: Int { counts.count }

  /// The word of a number.
  func word(_ number: Int) -> String {
    String(decoding: bytes[starts[number]..<starts[number + 1]], as: UTF8.self)
  }

  /// The number of a word that came once more.
  mutating func add(_ word: UnsafeBufferPointer<UInt8>) -> Int32 {
    if 2 * count >= places.count { grow() }
    var place = Self.hash(word) & (places.count - 1)
    while places[place] >= 0 {
      let number = Int(places[place])
      if isEqual(number, word) {
        counts[number] += 1
        return places[place]
      }
      place = (place + 1) & (places.count - 1)
    }
    places[place] = Int32(count)
    bytes.append(contentsOf: word)
    starts.append(bytes.count)
    counts.append(1)
    return places[place]
  }

  private func isEqual(_ number: Int, _ word: UnsafeBufferPointer<UInt8>) -> Bool {
    let start = starts[number]
    guard starts[number + 1] - start == word.count else { return false }
    for (index, byte) in word.enumerated() where bytes[start + index] != byte { return false }
    return true
  }

  private mutating func grow() {
    places = Array(repeating: -1, count: 2 * places.count)
    bytes.withUnsafeBufferPointer { bytes in
      for number in 0..<count {
        let word = UnsafeBufferPointer(rebasing: bytes[starts[number]..<starts[number + 1]])
        var place = Self.hash(word) & (places.count - 1)
        while places[place] >= 0 { place = (place + 1) & (places.count - 1) }
        places[place] = Int32(number)
      }
    }
  }

  /// FNV-1a, mixed once more, as its low bits depend on few others.
  private static func hash(_ word: UnsafeBufferPointer<UInt8>) -> Int {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in word { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    return Int(truncatingIfNeeded: (hash ^ (hash >> 29)) & 0x7fff_ffff)
  }
}
