import Base

/// The words of a text as their shapes are told: runs of letters, digits and the signs that names, paths
/// and numbers have inside, without full stops, colons and hyphens behind them.
struct ShapedText {
  struct Word {
    /// Bytes of UTF-8.
    let bytes: Range<Int>
    let shape: WordShape
    /// What stands for it, its beginnings, its ends and its signs in a table; empty without one.
    let buckets: [Int32]
  }

  private(set) var words: [Word] = []
  /// Where runs between white space begin, in bytes.
  private(set) var starts: [Int] = []

  /// - Parameter buckets: rows of the table; 0: there is none.
  init(_ text: String, buckets: Int = 0) {
    let scalars = Array(text.unicodeScalars)
    var place = 0
    var bytes: [Int] = []
    bytes.reserveCapacity(scalars.count + 1)
    var isBehindSpace = true
    for scalar in scalars {
      bytes.append(place)
      let isSpace = scalar.properties.isWhitespace
      if isBehindSpace, !isSpace { starts.append(place) }
      isBehindSpace = isSpace
      place += UTF8.width(scalar)
    }
    bytes.append(place)
    var index = 0
    while index < scalars.count {
      guard Self.isPart(scalars[index]) else {
        index += 1
        continue
      }
      let first = index
      while index < scalars.count, Self.isPart(scalars[index]) { index += 1 }
      var last = index
      while last > first + 1, [".", ":", "-"].contains(scalars[last - 1]) { last -= 1 }
      let word = scalars[first..<last]
      let shape = WordShape(
        word, before: first > 0 ? scalars[first - 1] : nil,
        after: last < scalars.count ? scalars[last] : nil)
      words.append(
        Word(
          bytes: bytes[first]..<bytes[last], shape: shape,
          buckets: buckets > 0 ? WordBuckets.of(word, count: buckets) : []))
    }
  }

  private static func isPart(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 48...57, 65...90, 97...122: true
    case 0..<128: ["_", ".", "/", "\\", "-", ":", "$", "@", "%", "&", "#"].contains(scalar)
    default:
      switch scalar.properties.generalCategory {
      case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
        .nonspacingMark, .spacingMark, .decimalNumber, .letterNumber:
        true
      default: false
      }
    }
  }
}

/// Rows of a table of vectors for what a word consists of.
enum WordBuckets {
  /// Rows of each word.
  static let width = 8

  /// The word, and in small letters the word, its first 2, 3 and 4 and last 2 and 3 characters; and
  /// which signs follow each other in it. Row 0 stands for no word.
  static func of(_ word: ArraySlice<Unicode.Scalar>, count: Int) -> [Int32] {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: word)
    let small = Array(String(view).lowercased().unicodeScalars)
    var kinds: [Unicode.Scalar] = []
    for scalar in word {
      let kind = kind(scalar)
      if kinds.last != kind { kinds.append(kind) }
    }
    let parts: [ArraySlice<Unicode.Scalar>] = [
      word, small[...], small.prefix(2), small.prefix(3), small.prefix(4), small.suffix(2),
      small.suffix(3), kinds[...],
    ]
    return parts.enumerated().map { row($0.element, UInt64($0.offset), count) }
  }

  private static func kind(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    if scalar.properties.isUppercase { return "X" }
    if scalar.properties.isAlphabetic { return "x" }
    return ("0"..."9").contains(scalar) ? "0" : scalar
  }

  /// The hash of the scalars and what they are of the word.
  private static func row(
    _ part: ArraySlice<Unicode.Scalar>, _ kind: UInt64, _ count: Int
  ) -> Int32 {
    var hash = FNV1a()
    hash.mix(kind)
    for scalar in part { hash.mix(UInt64(scalar.value)) }
    return hash.row(of: count)
  }
}
