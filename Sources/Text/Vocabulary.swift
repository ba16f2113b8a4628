import Base

/// The tokens of a WordPiece model: id to text, and longest match from text to id.
///
/// Tokens lie in one block of bytes. An open-addressing table finds a token by the hash of its
/// bytes; it holds a token that starts with the continuing prefix a second time without the prefix,
/// under another hash seed. For the first two bytes of a word a small table tells which token
/// lengths can occur at all, so that a match probes few lengths.
final class Vocabulary: @unchecked Sendable {
  // Unchecked because of the pointers: they are written by `init` and only read afterwards.

  private struct Slot {
    var tag: UInt32
    /// Index into `entries` plus one; 0 marks a free slot.
    var entry: UInt32
  }

  fileprivate struct Entry {
    var start: UInt32
    var length: UInt32
    var id: Int32
  }

  private static let wordSeed: UInt64 = 0xcbf2_9ce4_8422_2325
  private static let continuingSeed: UInt64 = 0x9ae1_6a3b_2f90_404f
  private static let pairCount = 4096
  /// Lengths from here on share one bit.
  private static let longLength = 31

  private let bytes: UnsafeMutablePointer<UInt8>
  private let byteCount: Int
  private let entries: UnsafeMutablePointer<Entry>
  private let entryCount: Int
  private let slots: UnsafeMutablePointer<Slot>
  private let slotMask: Int
  /// Bit L: some token with these first two bytes is L bytes long. Word starts, then continuing.
  private let lengths: UnsafeMutablePointer<UInt32>
  /// Ids of the one-byte tokens, -1 for none. Word starts, then continuing.
  private let singles: UnsafeMutablePointer<Int32>
  /// Entry index plus one by id.
  private let entryOfID: UnsafeMutablePointer<UInt32>
  private let prefixLength: Int
  private let longest: Int

  /// One more than the largest id.
  let idLimit: Int
  /// How many different tokens there are.
  private(set) var count = 0

  /// Collects tokens for a vocabulary.
  struct Builder {
    fileprivate var bytes: [UInt8] = []
    fileprivate var entries: [Entry] = []
    fileprivate var largestID: Int64 = -1

    init(byteCapacity: Int) {
      bytes.reserveCapacity(byteCapacity)
      entries.reserveCapacity(byteCapacity / 8)
    }

    /// Adds a token; the last of equal ones counts.
    mutating func add(
      _ token: UnsafeBufferPointer<UInt8>, id: Int64
    ) throws(StackLensError) {
      guard id >= 0, id < Int64(Int32.max) else {
        throw .formatError("vocabulary: id \(id) is not in 0..<2^31-1")
      }
      guard bytes.count + token.count < Int(UInt32.max), entries.count < Int(Int32.max) else {
        throw .limitExceeded("vocabulary is larger than 4 GiB")
      }
      entries.append(
        Entry(
          start: UInt32(bytes.count), length: UInt32(token.count),
          id: Int32(truncatingIfNeeded: id)))
      bytes.append(contentsOf: token)
      largestID = max(largestID, id)
    }
  }

  init(_ builder: Builder, continuingPrefix: [UInt8]) throws(StackLensError) {
    let entryTotal = builder.entries.count
    guard builder.largestID < Int64(8 * entryTotal + 1_000_000) else {
      throw .formatError(
        "vocabulary: id \(builder.largestID) is far beyond its \(entryTotal) tokens")
    }
    entryCount = entryTotal
    byteCount = builder.bytes.count
    bytes = .allocate(capacity: max(byteCount, 1))
    entries = .allocate(capacity: max(entryTotal, 1))
    for index in 0..<byteCount { bytes[index] = builder.bytes[index] }
    for index in 0..<entryTotal { entries[index] = builder.entries[index] }
    prefixLength = continuingPrefix.count
    idLimit = Int(builder.largestID + 1)
    entryOfID = .allocate(capacity: max(idLimit, 1))
    entryOfID.initialize(repeating: 0, count: idLimit)

    var keys = entryTotal
    var longest = 0
    for index in 0..<entryTotal {
      longest = max(longest, Int(entries[index].length))
      if Self.starts(
        bytes + Int(entries[index].start), Int(entries[index].length), continuingPrefix)
      {
        keys += 1
      }
    }
    self.longest = longest
    var capacity = 64
    while capacity < keys * 2 { capacity *= 2 }
    slotMask = capacity - 1
    slots = .allocate(capacity: capacity)
    slots.initialize(repeating: Slot(tag: 0, entry: 0), count: capacity)
    lengths = .allocate(capacity: 2 * Self.pairCount)
    lengths.initialize(repeating: 0, count: 2 * Self.pairCount)
    singles = .allocate(capacity: 512)
    singles.initialize(repeating: -1, count: 512)

    for index in 0..<entryTotal {
      let entry = entries[index]
      let token = bytes + Int(entry.start)
      let length = Int(entry.length)
      let replaced = insert(token, length, index, continuing: false)
      if replaced == 0 { count += 1 } else { entryOfID[Int(entries[replaced - 1].id)] = 0 }
      if length > prefixLength, Self.starts(token, length, continuingPrefix) {
        _ = insert(token + prefixLength, length - prefixLength, index, continuing: true)
      }
      entryOfID[Int(entry.id)] = UInt32(index + 1)
    }
  }

  deinit {
    bytes.deallocate()
    entries.deallocate()
    slots.deallocate()
    lengths.deallocate()
    singles.deallocate()
    entryOfID.deallocate()
  }

  /// The id of exactly this token.
  func id(of token: UnsafePointer<UInt8>, _ length: Int) -> Int32? {
    let found = find(token, length, Self.hash(token, length, Self.wordSeed), continuing: false)
    return found < 0 ? nil : found
  }

  /// The bytes of the token with that id.
  func token(_ id: Int32) -> UnsafeBufferPointer<UInt8>? {
    guard id >= 0, Int(id) < idLimit, entryOfID[Int(id)] > 0 else { return nil }
    let entry = entries[Int(entryOfID[Int(id)]) - 1]
    return UnsafeBufferPointer(start: bytes + Int(entry.start), count: Int(entry.length))
  }

  /// The longest token that `text` begins with.
  /// - Parameters:
  ///   - count: readable bytes at `text`, above 0.
  ///   - continuing: whether tokens with the continuing prefix are meant, without their prefix.
  ///   - hashes: scratch for 32 values.
  /// - Returns: id and length, or a negative id.
  @inline(__always)
  func longestMatch(
    _ text: UnsafePointer<UInt8>, _ count: Int, continuing: Bool,
    _ hashes: UnsafeMutablePointer<UInt64>
  ) -> (id: Int32, length: Int) {
    if count >= 2 {
      var mask = lengths[Self.pair(text) + (continuing ? Self.pairCount : 0)]
      if count < Self.longLength { mask &= (2 << UInt32(count)) &- 1 }
      if mask >> UInt32(Self.longLength) != 0 {
        let found = longMatch(text, count, continuing: continuing)
        if found.id >= 0 { return found }
        mask &= (1 << UInt32(Self.longLength)) &- 1
      }
      if mask != 0 {
        let top = 31 - mask.leadingZeroBitCount
        var hash = continuing ? Self.continuingSeed : Self.wordSeed
        for index in 0..<top {
          hash = (hash ^ UInt64(text[index])) &* 0x0000_0100_0000_01b3
          hashes[index] = hash
        }
        while mask != 0 {
          let length = 31 - mask.leadingZeroBitCount
          let id = find(text, length, hashes[length - 1], continuing: continuing)
          if id >= 0 { return (id, length) }
          mask &= ~(1 << UInt32(length))
        }
      }
    }
    return (singles[Int(text[0]) + (continuing ? 256 : 0)], 1)
  }

  private func longMatch(
    _ text: UnsafePointer<UInt8>, _ count: Int, continuing: Bool
  ) -> (id: Int32, length: Int) {
    // Hashes of every prefix would cost memory; the running hash is enough going up.
    var hash = continuing ? Self.continuingSeed : Self.wordSeed
    var best: (id: Int32, length: Int) = (-1, 0)
    for index in 0..<min(count, longest) {
      hash = (hash ^ UInt64(text[index])) &* 0x0000_0100_0000_01b3
      if index + 1 >= Self.longLength {
        let id = find(text, index + 1, hash, continuing: continuing)
        if id >= 0 { best = (id, index + 1) }
      }
    }
    return best
  }

  /// Puts a key in the table.
  /// - Returns: the entry (plus one) that held the key before, 0 for none.
  private func insert(
    _ key: UnsafePointer<UInt8>, _ length: Int, _ index: Int, continuing: Bool
  ) -> Int {
    if length == 1 { singles[Int(key[0]) + (continuing ? 256 : 0)] = entries[index].id }
    if length >= 2 {
      let bit = UInt32(1) << UInt32(min(length, Self.longLength))
      lengths[Self.pair(key) + (continuing ? Self.pairCount : 0)] |= bit
    }
    let hash = Self.hash(key, length, continuing ? Self.continuingSeed : Self.wordSeed)
    let tag = Self.tag(hash, continuing)
    var at = Self.place(hash) & slotMask
    while slots[at].entry != 0 {
      if slots[at].tag == tag, matches(slots[at].entry, key, length, continuing: continuing) {
        let replaced = Int(slots[at].entry)
        slots[at].entry = UInt32(index + 1)
        return replaced
      }
      at = (at + 1) & slotMask
    }
    slots[at] = Slot(tag: tag, entry: UInt32(index + 1))
    return 0
  }

  @inline(__always)
  private func find(
    _ key: UnsafePointer<UInt8>, _ length: Int, _ hash: UInt64, continuing: Bool
  ) -> Int32 {
    let tag = Self.tag(hash, continuing)
    var at = Self.place(hash) & slotMask
    while slots[at].entry != 0 {
      if slots[at].tag == tag, matches(slots[at].entry, key, length, continuing: continuing) {
        return entries[Int(slots[at].entry) - 1].id
      }
      at = (at + 1) & slotMask
    }
    return -1
  }

  @inline(__always)
  private func matches(
    _ entry: UInt32, _ key: UnsafePointer<UInt8>, _ length: Int, continuing: Bool
  ) -> Bool {
    let skip = continuing ? prefixLength : 0
    let candidate = entries[Int(entry) - 1]
    guard Int(candidate.length) == length + skip else { return false }
    let token = bytes + Int(candidate.start) + skip
    for index in 0..<length where token[index] != key[index] { return false }
    return true
  }

  private static func starts(
    _ token: UnsafePointer<UInt8>, _ length: Int, _ prefix: [UInt8]
  ) -> Bool {
    guard length > prefix.count else { return false }
    for index in prefix.indices where token[index] != prefix[index] { return false }
    return true
  }

  private static func hash(
    _ key: UnsafePointer<UInt8>, _ length: Int, _ seed: UInt64
  ) -> UInt64 {
    var hash = seed
    for index in 0..<length { hash = (hash ^ UInt64(key[index])) &* 0x0000_0100_0000_01b3 }
    return hash
  }

  @inline(__always)
  private static func place(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: ((hash ^ hash >> 29) &* 0x9e37_79b9_7f4a_7c15) >> 32)
  }

  @inline(__always)
  private static func tag(_ hash: UInt64, _ continuing: Bool) -> UInt32 {
    UInt32(truncatingIfNeeded: hash ^ hash >> 32) & ~1 | (continuing ? 1 : 0)
  }

  @inline(__always)
  private static func pair(_ text: UnsafePointer<UInt8>) -> Int {
    Int(truncatingIfNeeded: ((UInt32(text[0]) | UInt32(text[1]) << 8) &* 0x9E37_79B1) >> 20)
  }
}
