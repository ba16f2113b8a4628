/// A half-open range in a text. `end` may lie before `start` where combining marks changed places.
public struct TextSpan: Sendable, Equatable {
  public var start: Int
  public var end: Int

  public init(start: Int, end: Int) {
    self.start = start
    self.end = end
  }
}

/// The tokens of one text, or of a pair of texts. All arrays have one element a token.
public struct Encoding: Sendable, Equatable {
  /// Ids in the vocabulary.
  public internal(set) var ids: [Int32] = []
  /// Which text a token belongs to, as the model wants to be told.
  public internal(set) var typeIDs: [Int32] = []
  /// 1 for a token, 0 for padding.
  public internal(set) var attentionMask: [Int32] = []
  /// 1 for tokens that come from no text: those the model wants around it, and padding.
  public internal(set) var specialTokensMask: [Int32] = []
  /// Where in its text each token stands, in characters (Unicode scalars; a bad UTF-8 sequence is
  /// one). Zero for tokens that come from no text. Empty if the options ask for no offsets.
  public internal(set) var offsets: [TextSpan] = []
  /// The same in bytes of UTF-8.
  public internal(set) var byteOffsets: [TextSpan] = []
  /// Whether tokens were left out because of the length limit.
  public internal(set) var isTruncated = false
  /// Words in the part of the text that was read.
  public internal(set) var wordCount = 0
  /// Words in that part that the vocabulary cannot spell.
  public internal(set) var unknownCount = 0

  /// Number of tokens.
  public var count: Int { ids.count }

  public init() {}

  mutating func reserve(_ count: Int, offsets wantsOffsets: Bool) {
    ids.reserveCapacity(count)
    typeIDs.reserveCapacity(count)
    attentionMask.reserveCapacity(count)
    specialTokensMask.reserveCapacity(count)
    if wantsOffsets {
      offsets.reserveCapacity(count)
      byteOffsets.reserveCapacity(count)
    }
  }

  mutating func appendSpecial(_ id: Int32, typeID: Int32, offsets wantsOffsets: Bool) {
    ids.append(id)
    typeIDs.append(typeID)
    attentionMask.append(1)
    specialTokensMask.append(1)
    if wantsOffsets {
      offsets.append(TextSpan(start: 0, end: 0))
      byteOffsets.append(TextSpan(start: 0, end: 0))
    }
  }

  /// Lengthens the encoding to `length` tokens; does nothing if it has as many.
  mutating func pad(to length: Int, _ padding: Padding) {
    let missing = length - count
    guard missing > 0 else { return }
    let wantsOffsets = offsets.count == count
    let at = padding.direction == .right ? count : 0
    func insert<Element>(_ value: Element, _ values: inout [Element]) {
      values.insert(contentsOf: repeatElement(value, count: missing), at: at)
    }
    insert(padding.id, &ids)
    insert(padding.typeID, &typeIDs)
    insert(0, &attentionMask)
    insert(1, &specialTokensMask)
    if wantsOffsets {
      insert(TextSpan(start: 0, end: 0), &offsets)
      insert(TextSpan(start: 0, end: 0), &byteOffsets)
    }
  }
}
