import Base

/// The tokens of one text before special tokens, truncation and padding; reusable scratch.
struct TokenRun: ~Copyable {
  private(set) var ids = Column<Int32>()
  /// Source bytes of each token; empty unless offsets are asked for.
  private(set) var starts = Column<Int32>()
  private(set) var ends = Column<Int32>()
  /// Tokens that stand for words the vocabulary cannot spell.
  private(set) var unknownCount = 0
  /// Words and added tokens.
  private(set) var wordCount = 0
  /// Whether the run stopped early because it had enough tokens.
  private(set) var stoppedEarly = false

  private var wantsOffsets = false
  private var stopAbove = Int.max
  private var normalized = NormalizedText()
  private var word = Column<UInt8>()
  private let hashes = Column<UInt64>(capacity: 32)

  /// Fills the run with the tokens of `text`, which replaces what it held.
  /// - Parameter stopAbove: the run may stop after the first word with which it has more tokens.
  /// - Throws: `.limitExceeded` for text of 2 GiB and more.
  mutating func assign(
    _ text: UnsafeRawBufferPointer, _ model: WordPieceModel, wantsOffsets: Bool,
    stopAbove: Int = .max
  ) throws(StackLensError) {
    ids.truncate(to: 0)
    starts.truncate(to: 0)
    ends.truncate(to: 0)
    (unknownCount, wordCount, stoppedEarly) = (0, 0, false)
    self.wantsOffsets = wantsOffsets
    self.stopAbove = stopAbove
    guard text.count < Int(Int32.max) else {
      throw .limitExceeded("text has \(text.count) bytes; at most \(Int32.max - 1) are read")
    }
    guard let base = text.baseAddress?.assumingMemoryBound(to: UInt8.self), !text.isEmpty else {
      return
    }
    guard !model.rawTokens.isEmpty else {
      return addSection(base, 0..<text.count, model)
    }
    var position = 0
    for match in model.rawTokens.matches(base, 0..<text.count) {
      if position < match.start { addSection(base, position..<match.start, model) }
      if stoppedEarly { return }
      addToken(match.id, match.start, match.end)
      position = match.end
    }
    if position < text.count { addSection(base, position..<text.count, model) }
  }

  /// Tokens of text between raw added tokens.
  private mutating func addSection(
    _ text: UnsafePointer<UInt8>, _ range: Range<Int>, _ model: WordPieceModel
  ) {
    if model.normalizedTokens.isEmpty {
      scan(text, range, model)
    } else {
      addNormalized(text, range, model)
    }
  }

  // MARK: Plain ASCII

  /// Reads ASCII words where they stand and hands stretches with anything else to the normaliser.
  private mutating func scan(
    _ text: UnsafePointer<UInt8>, _ range: Range<Int>, _ model: WordPieceModel
  ) {
    let end = range.upperBound
    let classes = model.ascii.classes
    let mapped = model.ascii.mapped
    var position = range.lowerBound
    while position < end, !stoppedEarly {
      let kind = classes[Int(text[position])]
      if kind == ASCIIClasses.space {
        position += 1
        continue
      }
      var wordEnd = position
      if kind == ASCIIClasses.punctuation {
        wordEnd += 1
      } else {
        while wordEnd < end, classes[Int(text[wordEnd])] == ASCIIClasses.word { wordEnd += 1 }
        if wordEnd < end, classes[Int(text[wordEnd])] == ASCIIClasses.other {
          // An ASCII space is a border that no normalisation reaches across.
          while wordEnd < end, classes[Int(text[wordEnd])] != ASCIIClasses.space { wordEnd += 1 }
          addNormalized(text, position..<wordEnd, model)
          position = wordEnd
          continue
        }
      }
      let count = wordEnd - position
      word.reserve(count)
      for index in 0..<count { word[index] = mapped[Int(text[position + index])] }
      addWord(count, source: position, model)
      position = wordEnd
    }
  }

  /// Tokens of the ASCII word in `word`, whose bytes stand side by side from `source`.
  private mutating func addWord(_ count: Int, source: Int, _ model: WordPieceModel) {
    let first = ids.count
    var position = count <= model.longestWord ? 0 : count + 1
    while position < count {
      let match = model.vocabulary.longestMatch(
        word.base + position, count - position, continuing: position > 0, hashes.base)
      if match.id < 0 {
        position = count + 1
      } else {
        ids.append(match.id)
        if wantsOffsets {
          starts.append(Int32(truncatingIfNeeded: source + position))
          ends.append(Int32(truncatingIfNeeded: source + position + match.length))
        }
        position += match.length
      }
    }
    if position > count { replaceByUnknown(first, source, source + count, model) }
    finishWord()
  }

  // MARK: Everything else

  private mutating func addNormalized(
    _ text: UnsafePointer<UInt8>, _ range: Range<Int>, _ model: WordPieceModel
  ) {
    normalized.assign(text, range, model.normalizer)
    let bytes = UnsafePointer(normalized.bytes.base)
    let count = normalized.bytes.count
    guard !model.normalizedTokens.isEmpty else {
      return addNormalizedWords(bytes, 0..<count, model)
    }
    var position = 0
    for match in model.normalizedTokens.matches(bytes, 0..<count) {
      if position < match.start { addNormalizedWords(bytes, position..<match.start, model) }
      if stoppedEarly { return }
      addToken(
        match.id, Int(normalized.starts[match.start]), Int(normalized.ends[match.end - 1]))
      position = match.end
    }
    if position < count { addNormalizedWords(bytes, position..<count, model) }
  }

  /// Cuts normalised text at white space and around punctuation.
  private mutating func addNormalizedWords(
    _ text: UnsafePointer<UInt8>, _ range: Range<Int>, _ model: WordPieceModel
  ) {
    let tables = CharacterTables.shared
    var position = range.lowerBound
    var wordStart = position
    var characters = 0
    while position < range.upperBound, !stoppedEarly {
      let (scalar, length, _) = UTF8Reader.decode(
        text + position, count: range.upperBound - position)
      let flags = tables.flags(scalar)
      if flags & (CharacterTables.space | CharacterTables.punctuation) == 0 {
        characters += 1
        position += length
        continue
      }
      addNormalizedWord(text, wordStart..<position, characters, model)
      if flags & CharacterTables.punctuation != 0, !stoppedEarly {
        addNormalizedWord(text, position..<(position + length), 1, model)
      }
      position += length
      (wordStart, characters) = (position, 0)
    }
    if !stoppedEarly { addNormalizedWord(text, wordStart..<range.upperBound, characters, model) }
  }

  private mutating func addNormalizedWord(
    _ text: UnsafePointer<UInt8>, _ range: Range<Int>, _ characters: Int, _ model: WordPieceModel
  ) {
    if range.isEmpty { return }
    let first = ids.count
    let end = range.upperBound
    var position = characters <= model.longestWord ? range.lowerBound : end + 1
    while position < end {
      let match = model.vocabulary.longestMatch(
        text + position, end - position, continuing: position > range.lowerBound, hashes.base)
      if match.id < 0 {
        position = end + 1
      } else {
        ids.append(match.id)
        if wantsOffsets {
          starts.append(normalized.starts[position])
          ends.append(normalized.ends[position + match.length - 1])
        }
        position += match.length
      }
    }
    if position > end {
      replaceByUnknown(
        first, Int(normalized.starts[range.lowerBound]), Int(normalized.ends[end - 1]), model)
    }
    finishWord()
  }

  // MARK: Bookkeeping

  /// Puts one unknown token in the place of the tokens from `first` on.
  private mutating func replaceByUnknown(
    _ first: Int, _ start: Int, _ end: Int, _ model: WordPieceModel
  ) {
    ids.truncate(to: first)
    ids.append(model.unknownID)
    unknownCount += 1
    if wantsOffsets {
      starts.truncate(to: first)
      ends.truncate(to: first)
      starts.append(Int32(truncatingIfNeeded: start))
      ends.append(Int32(truncatingIfNeeded: end))
    }
  }

  private mutating func addToken(_ id: Int32, _ start: Int, _ end: Int) {
    ids.append(id)
    wordCount += 1
    if wantsOffsets {
      starts.append(Int32(truncatingIfNeeded: start))
      ends.append(Int32(truncatingIfNeeded: end))
    }
  }

  private mutating func finishWord() {
    wordCount += 1
    if ids.count > stopAbove { stoppedEarly = true }
  }
}
