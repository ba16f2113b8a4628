import Base

extension Tokenizer {
  /// The tokens of a text, or of a pair of texts.
  /// - Throws: `.invalidArgument` if the length limit cannot be met, `.limitExceeded` for text of
  ///   2 GiB and more.
  public func encode(
    _ text: String, pair: String? = nil, options: EncodingOptions = EncodingOptions()
  ) throws(StackLensError) -> Encoding {
    var text = text
    let result = text.withUTF8 { bytes -> Result<Encoding, StackLensError> in
      let first = UnsafeRawBufferPointer(bytes)
      guard var second = pair else {
        return Self.result { () throws(StackLensError) in
          try encode(utf8: first, options: options)
        }
      }
      return second.withUTF8 { bytes in
        Self.result { () throws(StackLensError) in
          try encode(utf8: first, pair: UnsafeRawBufferPointer(bytes), options: options)
        }
      }
    }
    return try result.get()
  }

  /// The tokens of UTF-8 text, or of a pair of texts; the bytes need not be valid.
  /// - Throws: as `encode(_:pair:options:)`.
  public func encode(
    utf8 text: UnsafeRawBufferPointer, pair: UnsafeRawBufferPointer? = nil,
    options: EncodingOptions = EncodingOptions()
  ) throws(StackLensError) -> Encoding {
    var scratch = TokenizerScratch()
    var encoding = try encode(utf8: text, pair: pair, options: options, scratch: &scratch)
    if let padding = padding(options) {
      encoding.pad(to: padding.target(longest: encoding.count), padding)
    }
    return encoding
  }

  /// The tokens of a long text in windows of at most `maxLength` tokens (special ones included),
  /// each of which repeats the last `overlap` tokens of the one before. There is at least one.
  /// - Parameter options: its length rule is not used.
  /// - Throws: `.invalidArgument` if a window has no room for more than `overlap` tokens.
  public func encodeWindows(
    utf8 text: UnsafeRawBufferPointer, maxLength: Int, overlap: Int = 32,
    options: EncodingOptions = EncodingOptions()
  ) throws(StackLensError) -> [Encoding] {
    let pieces = configuration.postProcessor.pieces(
      isPair: false, addsSpecialTokens: options.addsSpecialTokens)
    let budget = try Self.budget(maxLength, pieces)
    guard overlap >= 0, overlap < budget else {
      throw .invalidArgument(
        "windows of \(budget) tokens cannot overlap by \(overlap); 0..<\(budget) is possible")
    }
    var run = TokenRun()
    try run.assign(text, configuration.model, wantsOffsets: options.wantsOffsets)
    let characters = CharacterPositions(text, isNeeded: options.wantsOffsets)
    var windows: [Encoding] = []
    var start = 0
    repeat {
      let end = min(start + budget, run.ids.count)
      var encoding = Encoding()
      for piece in pieces {
        Self.append(piece, run, [start..<end], characters, options, &encoding)
      }
      (encoding.wordCount, encoding.unknownCount) = (run.wordCount, run.unknownCount)
      windows.append(encoding)
      if end == run.ids.count { break }
      start += budget - overlap
    } while true
    if let padding = padding(options) {
      let target = padding.target(longest: windows.reduce(0) { max($0, $1.count) })
      for index in windows.indices { windows[index].pad(to: target, padding) }
    }
    return windows
  }

  /// The tokens without padding.
  func encode(
    utf8 text: UnsafeRawBufferPointer, pair: UnsafeRawBufferPointer?, options: EncodingOptions,
    scratch: inout TokenizerScratch
  ) throws(StackLensError) -> Encoding {
    if let pair {
      return try encodePair(text, pair, options, &scratch)
    }
    let pieces = configuration.postProcessor.pieces(
      isPair: false, addsSpecialTokens: options.addsSpecialTokens)
    let kept = try scratch.fill(
      text, configuration, options.length, pieces, wantsOffsets: options.wantsOffsets)
    let characters = CharacterPositions(text, isNeeded: options.wantsOffsets)
    var encoding = Encoding()
    let content = kept.ranges.reduce(0) { $0 + $1.count }
    encoding.reserve(content + pieces.count, offsets: options.wantsOffsets)
    for piece in pieces {
      Self.append(piece, scratch.run, kept.ranges, characters, options, &encoding)
    }
    encoding.isTruncated = kept.isTruncated
    (encoding.wordCount, encoding.unknownCount) = (scratch.run.wordCount, scratch.run.unknownCount)
    return encoding
  }

  private func encodePair(
    _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, _ options: EncodingOptions,
    _ scratch: inout TokenizerScratch
  ) throws(StackLensError) -> Encoding {
    let pieces = configuration.postProcessor.pieces(
      isPair: true, addsSpecialTokens: options.addsSpecialTokens)
    let kept = try scratch.fill(
      first, second, configuration, options.length, pieces, wantsOffsets: options.wantsOffsets)
    var encoding = Encoding()
    let firstCharacters = CharacterPositions(first, isNeeded: options.wantsOffsets)
    let secondCharacters = CharacterPositions(second, isNeeded: options.wantsOffsets)
    for piece in pieces {
      if case .second(let typeID) = piece {
        Self.append(
          .first(typeID: typeID), scratch.second, [kept.second], secondCharacters, options,
          &encoding)
      } else {
        Self.append(piece, scratch.run, [kept.first], firstCharacters, options, &encoding)
      }
    }
    encoding.isTruncated = kept.isTruncated
    encoding.wordCount = scratch.run.wordCount + scratch.second.wordCount
    encoding.unknownCount = scratch.run.unknownCount + scratch.second.unknownCount
    return encoding
  }

  private static func append(
    _ piece: PostProcessor.Piece, _ run: borrowing TokenRun, _ ranges: [Range<Int>],
    _ characters: CharacterPositions, _ options: EncodingOptions, _ encoding: inout Encoding
  ) {
    switch piece {
    case .special(let id, let typeID):
      encoding.appendSpecial(id, typeID: typeID, offsets: options.wantsOffsets)
    case .first(let typeID), .second(let typeID):
      for range in ranges {
        for index in range {
          encoding.ids.append(run.ids[index])
          encoding.typeIDs.append(typeID)
          encoding.attentionMask.append(1)
          encoding.specialTokensMask.append(0)
        }
        guard options.wantsOffsets else { continue }
        for index in range {
          let span = TextSpan(start: Int(run.starts[index]), end: Int(run.ends[index]))
          encoding.byteOffsets.append(span)
          encoding.offsets.append(characters.span(span))
        }
      }
    }
  }

  func padding(_ options: EncodingOptions) -> Padding? {
    switch options.fill {
    case .configured: configuration.padding
    case .none: nil
    case .padded(let padding): padding
    }
  }

  /// Tokens of text that fit next to the special ones.
  static func budget(
    _ maxLength: Int, _ pieces: [PostProcessor.Piece]
  ) throws(StackLensError) -> Int {
    let specials = PostProcessor.specialCount(pieces)
    guard maxLength >= specials else {
      throw .invalidArgument(
        "maximum length \(maxLength) leaves no room for \(specials) special tokens")
    }
    return maxLength - specials
  }

  static func result<Value>(
    _ body: () throws(StackLensError) -> Value
  ) -> Result<Value, StackLensError> {
    do throws(StackLensError) {
      return .success(try body())
    } catch {
      return .failure(error)
    }
  }
}

/// Turns byte positions of a text into character positions.
struct CharacterPositions {
  /// Number of characters that start before each byte position; nil where every byte is one.
  private var counts: [Int32]?

  init(_ text: UnsafeRawBufferPointer, isNeeded: Bool) {
    guard isNeeded, let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
    var highBits: UInt8 = 0
    for index in 0..<text.count { highBits |= base[index] }
    if highBits < 0x80 { return }
    var counts = [Int32](repeating: 0, count: text.count + 1)
    var position = 0
    var count: Int32 = 0
    while position < text.count {
      let length = UTF8Reader.decode(base + position, count: text.count - position).length
      for index in position..<(position + length) { counts[index] = count }
      count += 1
      position += length
    }
    counts[text.count] = count
    self.counts = counts
  }

  func span(_ bytes: TextSpan) -> TextSpan {
    guard let counts else { return bytes }
    return TextSpan(start: Int(counts[bytes.start]), end: Int(counts[bytes.end]))
  }
}
