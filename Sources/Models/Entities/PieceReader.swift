import Base
import Tensors
import Text

/// Texts to windows of pieces, with what the tagger sees of each piece beside its id.
struct PieceReader: Sendable {
  /// What the labels of a text are of.
  enum Words: String, CaseIterable, Sendable {
    /// Runs without white space, each punctuation character a word of its own.
    case punctuation
    /// Runs without white space.
    case space
  }

  let tokenizer: Tokenizer
  let words: Words
  /// Pieces of a window, special ones included, and how many of them two neighbours share.
  let length, overlap: Int
  /// Rows of the table of words; 0: there is none.
  let buckets: Int

  /// - Throws: what the tokenizer says, naming the row.
  func read(_ texts: [String]) throws(StackLensError) -> [PieceWindow] {
    var options = EncodingOptions()
    options.length = .unlimited
    options.fill = .none
    var windows: [PieceWindow] = []
    for (row, text) in texts.enumerated() {
      do throws(StackLensError) {
        windows += try self.windows(row, text, tokenizer.encode(text, options: options))
      } catch { throw error.within("row \(row)") }
    }
    return windows
  }

  private func windows(
    _ row: Int, _ text: String, _ encoding: Encoding
  ) throws(StackLensError) -> [PieceWindow] {
    let isSpecial = encoding.specialTokensMask.map { $0 != 0 }
    let head = isSpecial.prefix { $0 }.count
    let tail = head < isSpecial.count ? isSpecial.reversed().prefix { $0 }.count : 0
    let room = length - head - tail
    guard overlap < room else {
      throw .invalidArgument("windows of \(room) pieces cannot overlap by \(overlap)")
    }
    // A tokenizer without special pieces makes nothing of an empty text.
    guard encoding.count > 0 else { return [] }
    let content = head..<encoding.count - tail
    let pieces = self.pieces(text, encoding, content)
    let (first, last) = (Array(encoding.ids.prefix(head)), Array(encoding.ids.suffix(tail)))
    let none = PieceWindow.Piece(buckets: buckets > 0)
    var windows: [PieceWindow] = []
    var start = 0
    repeat {
      let end = min(start + room, pieces.count)
      let inner = content.lowerBound + start..<content.lowerBound + end
      windows.append(
        PieceWindow(
          row: row, content: start..<end, textPieceCount: pieces.count, head: head,
          ids: first + encoding.ids[inner] + last,
          pieces: [PieceWindow.Piece](repeating: none, count: head) + pieces[start..<end]
            + [PieceWindow.Piece](repeating: none, count: tail)))
      if end == pieces.count { return windows }
      start += room - overlap
    } while true
  }

  private func pieces(
    _ text: String, _ encoding: Encoding, _ content: Range<Int>
  ) -> [PieceWindow.Piece] {
    let shaped = ShapedText(text, buckets: buckets)
    let bytes = Array(text.utf8)
    var (word, run, lastRun) = (0, 0, -1)
    return content.map { place in
      let span = encoding.byteOffsets[place]
      while word < shaped.words.count, shaped.words[word].bytes.upperBound <= span.start {
        word += 1
      }
      while run < shaped.starts.count, shaped.starts[run] <= span.start { run += 1 }
      var piece = PieceWindow.Piece(buckets: buckets > 0)
      if word < shaped.words.count, shaped.words[word].bytes.lowerBound <= span.start {
        piece.shape = shaped.words[word].shape
        if buckets > 0 { piece.buckets = shaped.words[word].buckets }
      }
      // Invalid or decomposed text must not cut a character in two.
      piece.bytes = bytes.wholeCharacters(span.start..<max(span.start, span.end))
      switch words {
      case .space: piece.isWordStart = run != lastRun
      case .punctuation:
        let token = tokenizer.token(ofID: encoding.ids[place]) ?? ""
        piece.isWordStart = run != lastRun || !token.hasPrefix("##")
      }
      lastRun = run
      return piece
    }
  }
}

extension [UInt8] {
  /// A range of UTF-8 with all bytes of the characters that it touches.
  func wholeCharacters(_ range: Range<Int>) -> Range<Int> {
    func isInside(_ place: Int) -> Bool { indices.contains(place) && self[place] & 0xC0 == 0x80 }
    var (start, end) = (Swift.min(range.lowerBound, count), Swift.min(range.upperBound, count))
    while isInside(start), start > 0 { start -= 1 }
    while isInside(end) { end += 1 }
    return start..<end
  }
}

/// Some pieces of a text that the network sees at once.
struct PieceWindow: Sendable {
  struct Piece: Sendable {
    /// Where it stands in the text, in bytes of UTF-8; empty for a special one.
    var bytes = 0..<0
    /// Whether a word begins with it.
    var isWordStart = false
    var shape: WordShape = []
    /// Rows of the table of words; empty without one.
    var buckets: [Int32]

    init(buckets hasBuckets: Bool) {
      buckets = hasBuckets ? [Int32](repeating: 0, count: WordBuckets.width) : []
    }
  }

  /// Which text it is of.
  let row: Int
  /// Which of the text's pieces it holds, special ones not counted.
  let content: Range<Int>
  let textPieceCount: Int
  /// Special pieces in front.
  let head: Int
  /// Special ones included.
  let ids: [Int32]
  let pieces: [Piece]

  var count: Int { ids.count }

  /// The pieces that words begin with.
  var wordStarts: [Int] { pieces.indices.filter { pieces[$0].isWordStart } }

  /// Where words stand, in pieces of the window: each up to where the next one begins.
  var words: [Range<Int>] {
    let starts = wordStarts
    let end = head + content.count
    return starts.indices.map { place in
      starts[place]..<(place + 1 < starts.count ? starts[place + 1] : end)
    }
  }

  /// The bytes from the beginning of one word to the end of another.
  func bytes(_ pieces: Range<Int>) -> Range<Int> {
    let inner = self.pieces[pieces]
    guard let first = inner.first?.bytes.lowerBound else { return 0..<0 }
    return first..<max(first, inner.map(\.bytes.upperBound).max() ?? first)
  }
}
