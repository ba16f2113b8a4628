import Base

/// Reads a pattern in RE2's syntax into steps. Groups lie on a list of their own, so that depth
/// costs no stack.
struct RegexParser {
  struct Flags {
    var ignoresCase = false
    var isMultiline = false
    var dotTakesNewline = false
  }

  /// A group that is still open.
  private struct Group {
    var alternatives: [[RegexStep]] = []
    var steps: [RegexStep] = []
    /// Where the last piece begins that a repetition may follow.
    var atom: Int?
    /// Whether that piece is a repetition itself, which may not be repeated at once.
    var isRepeated = false
    /// What holds again behind the group.
    var flags: Flags
    let position: Int
  }

  /// Steps of a program, and groups within one another.
  private static let stepLimit = 50_000
  private static let depthLimit = 1000
  private static let repetitionLimit = 1000

  private let pattern: String
  let scalars: [Unicode.Scalar]
  var position = 0
  var flags = Flags()
  private var groups: [Group] = []
  private var sets: [ScalarSet] = []
  private var numbers: [ScalarSet: Int] = [:]
  private var stepCount = 0
  /// Classes by how they are written, with the flags they were read under.
  var namedSets: [String: ScalarSet] = [:]
  /// The last place of `:]`, so that no search for one runs to the end again and again.
  let lastClosing: Int

  init(_ pattern: String) {
    self.pattern = pattern
    scalars = Array(pattern.unicodeScalars)
    lastClosing =
      zip(scalars, scalars.dropFirst()).enumerated().reversed()
      .first { $0.element.0 == ":" && $0.element.1 == "]" }?.offset ?? -1
    groups = [Group(flags: flags, position: 0)]
  }

  var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  func looksAt(_ text: String) -> Bool { scalars[position...].starts(with: text.unicodeScalars) }

  mutating func skip(_ scalar: Unicode.Scalar) -> Bool {
    guard peek == scalar else { return false }
    position += 1
    return true
  }

  func error(_ message: String, at place: Int? = nil) -> StackLensError {
    .invalidArgument(
      "pattern '\(pattern.prefix(200))': \(message) at character \(place ?? position)")
  }

  mutating func parse() throws(StackLensError) -> (steps: [RegexStep], sets: [ScalarSet]) {
    while let scalar = peek {
      let start = position
      switch scalar {
      case "(": try open()
      case ")": try close()
      case "|":
        position += 1
        groups[groups.count - 1].alternatives.append(groups[groups.count - 1].steps)
        groups[groups.count - 1].steps = []
        groups[groups.count - 1].atom = nil
        groups[groups.count - 1].isRepeated = false
        try count(2)
      case "*", "+", "?":
        position += 1
        try repeatAtom(scalar == "+" ? 1 : 0, scalar == "?" ? 1 : nil, from: start)
      case "{":
        if let (low, high) = try repetition() {
          try repeatAtom(low, high, from: start)
        } else {
          position += 1
          try take(literal(scalar.value))
        }
      case "[": try take(bracket())
      case ".":
        position += 1
        try take(flags.dotTakesNewline ? .all : ScalarSet(10).inverted)
      case "^":
        position += 1
        try append([.assert(flags.isMultiline ? .lineStart : .textStart)])
      case "$":
        position += 1
        try append([.assert(flags.isMultiline ? .lineEnd : .textEnd)])
      case "\\": try backslash()
      default:
        position += 1
        try take(literal(scalar.value))
      }
    }
    guard groups.count == 1 else {
      throw error("missing ')' for '('", at: groups[groups.count - 1].position)
    }
    return (finished(groups[0]) + [.accept], sets)
  }

  // MARK: - Pieces

  func literal(_ scalar: UInt32) -> ScalarSet {
    let set = ScalarSet(scalar)
    return flags.ignoresCase ? set.folded : set
  }

  private mutating func count(_ steps: Int) throws(StackLensError) {
    stepCount += steps
    guard stepCount <= Self.stepLimit else {
      throw .limitExceeded(
        "pattern '\(pattern.prefix(200))' needs more than \(Self.stepLimit) steps")
    }
  }

  private mutating func append(_ steps: [RegexStep]) throws(StackLensError) {
    try count(steps.count)
    groups[groups.count - 1].atom = groups[groups.count - 1].steps.count
    groups[groups.count - 1].steps += steps
    groups[groups.count - 1].isRepeated = false
  }

  private mutating func take(_ set: ScalarSet) throws(StackLensError) {
    if numbers[set] == nil {
      try count(set.ranges.count / 16)  // a set of many ranges is long, too
      numbers[set] = sets.count
      sets.append(set)
    }
    try append([.take(set: numbers[set, default: 0])])
  }

  /// The alternatives of a group one after another, each with a way past the others.
  private func finished(_ group: Group) -> [RegexStep] {
    guard !group.alternatives.isEmpty else { return group.steps }
    var rest = group.steps.count
    var pieces: [[RegexStep]] = [group.steps]
    for alternative in group.alternatives.reversed() {
      pieces.append(
        [.split(1, alternative.count + 2)] + alternative + [.jump(rest + 1)])
      rest += alternative.count + 2
    }
    return Array(pieces.reversed().joined())
  }

  /// - Parameter high: nil where there is no end.
  private mutating func repeatAtom(
    _ low: Int, _ high: Int?, from start: Int
  ) throws(StackLensError) {
    _ = skip("?")  // Whether few or many are preferred does not matter to a match of the whole.
    let index = groups.count - 1
    guard let place = groups[index].atom else {
      throw error("nothing to repeat", at: start)
    }
    guard !groups[index].isRepeated else {
      throw error("a repetition is repeated", at: start)
    }
    let atom = Array(groups[index].steps[place...])
    let copies = max(low, high ?? 1) + (high == nil && low > 0 ? 0 : 1)
    try count(copies * (atom.count + 1) - atom.count)
    groups[index].steps.removeSubrange(place...)
    for _ in 0..<low { groups[index].steps += atom }
    if let high {
      // Every further one may be left out, and all behind it.
      for remaining in stride(from: high - low, to: 0, by: -1) {
        groups[index].steps.append(.split(1, remaining * (atom.count + 1)))
        groups[index].steps += atom
      }
    } else if low > 0 {
      groups[index].steps.append(.split(-atom.count, 1))
    } else {
      groups[index].steps.append(.split(1, atom.count + 2))
      groups[index].steps += atom
      groups[index].steps.append(.jump(-atom.count - 1))
    }
    groups[index].isRepeated = true
  }

  /// What stands between braces, nil when it is no repetition.
  private mutating func repetition() throws(StackLensError) -> (Int, Int?)? {
    let start = position
    position += 1
    guard let low = number() else {
      position = start
      return nil
    }
    var high: Int? = low
    if skip(",") { high = peek == "}" ? nil : number() ?? -1 }
    guard high != -1, skip("}") else {
      position = start
      return nil
    }
    guard low <= high ?? low, max(low, high ?? low) <= Self.repetitionLimit else {
      throw error("a repetition must go up, to \(Self.repetitionLimit) at most", at: start)
    }
    return (low, high)
  }

  /// Decimal digits without a zero in front, at most one more than the limit.
  private mutating func number() -> Int? {
    let start = position
    var value = 0
    while let digit = peek, ("0"..."9").contains(digit) {
      value = min(Self.repetitionLimit + 1, value * 10 + Int(digit.value - 48))
      position += 1
    }
    guard position > start, position == start + 1 || scalars[start] != "0" else { return nil }
    return value
  }

  // MARK: - Groups

  private mutating func open() throws(StackLensError) {
    let start = position
    position += 1
    let outer = flags
    if looksAt("?P<") || looksAt("?<") && !looksAt("?<=") && !looksAt("?<!") {
      try readName()
    } else if skip("?") {
      if try !readFlags(from: start) {
        groups[groups.count - 1].isRepeated = false
        return
      }
    }
    guard groups.count < Self.depthLimit else {
      throw .limitExceeded(
        "pattern '\(pattern.prefix(200))' nests more than \(Self.depthLimit) groups")
    }
    groups.append(Group(flags: outer, position: start))
  }

  private mutating func readName() throws(StackLensError) {
    let start = position
    position += looksAt("?P") ? 3 : 2
    let first = position
    while let scalar = peek, scalar != ">" {
      let isWord =
        scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
      guard isWord else { throw error("a group's name may not contain '\(scalar)'") }
      position += 1
    }
    guard position > first, skip(">") else {
      throw error("a group's name is not complete", at: start)
    }
  }

  /// Flags up to `)` or `:`. Whether a group begins.
  private mutating func readFlags(from start: Int) throws(StackLensError) -> Bool {
    var isOff = false
    var isEmpty = false
    while let scalar = peek {
      position += 1
      switch scalar {
      case "i": flags.ignoresCase = !isOff
      case "m": flags.isMultiline = !isOff
      case "s": flags.dotTakesNewline = !isOff
      case "U": break  // Swaps few and many, which does not matter here.
      case "-" where !isOff:
        (isOff, isEmpty) = (true, true)
        continue
      case ":" where !isEmpty: return true
      case ")" where !isEmpty: return false
      default: throw error("what follows '(?' is not understood", at: start)
      }
      isEmpty = false
    }
    throw error("missing ')' for '('", at: start)
  }

  private mutating func close() throws(StackLensError) {
    guard groups.count > 1, let group = groups.popLast() else {
      throw error("')' without '('")
    }
    position += 1
    flags = group.flags
    let index = groups.count - 1
    groups[index].atom = groups[index].steps.count
    groups[index].steps += finished(group)
    groups[index].isRepeated = false
  }

  // MARK: - Backslash

  private mutating func backslash() throws(StackLensError) {
    let start = position
    if looksAt("\\Q") {
      position += 2
      while let scalar = peek, !looksAt("\\E") {
        position += 1
        try take(literal(scalar.value))
      }
      if peek != nil { position += 2 }
      return
    }
    guard position + 1 < scalars.count else { throw error("a backslash at the end") }
    switch scalars[position + 1] {
    case "A", "z", "b", "B":
      let assertions: [Unicode.Scalar: RegexAssertion] = [
        "A": .textStart, "z": .textEnd, "b": .wordBoundary, "B": .noWordBoundary,
      ]
      guard let assertion = assertions[scalars[position + 1]] else { return }
      position += 2
      try append([.assert(assertion)])
    case "C":
      throw error("\\C, a single byte, is not supported", at: start)
    default:
      if let set = try namedSet() {
        try take(set)
      } else {
        try take(literal(escaped()))
      }
    }
  }
}
