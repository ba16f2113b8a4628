import Base

extension RegexParser {
  /// `[…]` with everything that may stand in it.
  mutating func bracket() throws(StackLensError) -> ScalarSet {
    let start = position
    position += 1
    let isNegated = skip("^")
    var ranges: [ClosedRange<UInt32>] = []
    var isFirst = true
    while let scalar = peek, scalar != "]" || isFirst {
      isFirst = false
      if looksAt("[:"), let set = try posixSet() {
        ranges += set.ranges
      } else if let set = try namedSet() {
        ranges += set.ranges
      } else {
        ranges.append(try range())
      }
    }
    guard skip("]") else { throw error("missing ']' for '['", at: start) }
    let key = "\(flags.ignoresCase) " + String(String.UnicodeScalarView(scalars[start..<position]))
    if let known = namedSets[key] { return known }
    let set = asRead(ScalarSet(ranges), isNegated: isNegated)
    namedSets[key] = set
    return set
  }

  /// One character, or two with a dash between them.
  private mutating func range() throws(StackLensError) -> ClosedRange<UInt32> {
    let start = position
    let low = try member()
    guard peek == "-", position + 1 < scalars.count, scalars[position + 1] != "]" else {
      return low...low
    }
    position += 1
    let high = try member()
    guard low <= high else { throw error("a range of characters must go up", at: start) }
    return low...high
  }

  private mutating func member() throws(StackLensError) -> UInt32 {
    guard let scalar = peek else { throw error("missing ']'") }
    if scalar == "\\" { return try escaped() }
    position += 1
    return scalar.value
  }

  /// `[:name:]`, nil where the closing part is missing.
  private mutating func posixSet() throws(StackLensError) -> ScalarSet? {
    let start = position
    var name = ""
    var index = position + 2
    guard index <= lastClosing else { return nil }
    while scalars[index] != ":" || scalars[index + 1] != "]" {
      name.unicodeScalars.append(scalars[index])
      index += 1
    }
    position = index + 2
    let isNegated = name.hasPrefix("^")
    guard let set = RegexClasses.posix(isNegated ? String(name.dropFirst()) : name) else {
      throw error("there is no class '[:\(name.prefix(32)):]'", at: start)
    }
    return asRead(set, isNegated: isNegated)
  }

  /// A set in the case that the flags ask for, turned around afterwards.
  private func asRead(_ set: ScalarSet, isNegated: Bool) -> ScalarSet {
    let folded = flags.ignoresCase ? set.folded : set
    return isNegated ? folded.inverted : folded
  }

  /// \d, \D, \pN, \p{Lu} …, nil where something else stands.
  mutating func namedSet() throws(StackLensError) -> ScalarSet? {
    guard peek == "\\", position + 1 < scalars.count else { return nil }
    let start = position
    let letter = scalars[position + 1]
    if letter == "p" || letter == "P" {
      position += 2
      return try unicodeSet(isNegated: letter == "P", from: start)
    }
    let lower = Character(CaseMapping.lower(letter))
    guard letter.isASCII, let set = RegexClasses.perl(lower) else { return nil }
    position += 2
    return asRead(set, isNegated: Character(letter) != lower)
  }

  private mutating func unicodeSet(
    isNegated: Bool, from start: Int
  ) throws(StackLensError) -> ScalarSet {
    guard let first = peek else { throw error("\\p without a name", at: start) }
    position += 1
    var name = String(first)
    var isNegated = isNegated
    if first == "{" {
      if skip("^") { isNegated.toggle() }
      name = ""
      while let scalar = peek, scalar != "}" {
        name.unicodeScalars.append(scalar)
        position += 1
      }
      guard skip("}") else { throw error("missing '}' for \\p{", at: start) }
    }
    let key = "\(isNegated) \(flags.ignoresCase) \(name)"
    if let known = namedSets[key] { return known }
    guard let set = RegexClasses.unicode(name) else {
      throw error("there is no class '\\p{\(name.prefix(32))}'", at: start)
    }
    let read = asRead(set, isNegated: isNegated)
    namedSets[key] = read
    return read
  }

  /// The character that a backslash and what follows stand for.
  mutating func escaped() throws(StackLensError) -> UInt32 {
    let start = position
    position += 1
    guard let letter = peek else { throw error("a backslash at the end", at: start) }
    position += 1
    switch letter {
    case "a": return 7
    case "f": return 12
    case "t": return 9
    case "n": return 10
    case "r": return 13
    case "v": return 11
    case "x": return try hexadecimal(from: start)
    case "0"..."7":
      let isOctal = peek.map { ("0"..."7").contains($0) } ?? false
      guard letter == "0" || isOctal else {
        throw error("references to groups are not supported", at: start)
      }
      var value = letter.value - 48
      for _ in 0..<2 {
        guard let digit = peek, ("0"..."7").contains(digit) else { break }
        value = value * 8 + digit.value - 48
        position += 1
      }
      return value
    default:
      let isWord = letter.properties.isAlphabetic || ("0"..."9").contains(letter)
      if letter.isASCII, !isWord { return letter.value }
    }
    throw error("'\\\(letter)' is not known", at: start)
  }

  private mutating func hexadecimal(from start: Int) throws(StackLensError) -> UInt32 {
    func digit(_ scalar: Unicode.Scalar?) -> UInt32? {
      guard let scalar, scalar.isASCII else { return nil }
      return Character(scalar).hexDigitValue.map { UInt32($0) }
    }
    var value: UInt32 = 0
    var count = 0
    let isBraced = skip("{")
    while let next = digit(peek), isBraced || count < 2 {
      value = value << 4 | next
      count += 1
      position += 1
      guard value <= ScalarSet.last else { break }
    }
    let isComplete = isBraced ? count > 0 && skip("}") : count == 2
    guard isComplete, value <= ScalarSet.last else {
      throw error("'\\x' must be followed by two digits or by a code point in braces", at: start)
    }
    return value
  }
}
