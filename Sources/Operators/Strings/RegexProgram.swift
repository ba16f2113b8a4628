import Base

/// One step of a pattern. Targets are relative, so that a piece of a program may be copied.
enum RegexStep: Sendable {
  /// Takes a code point of the set and goes on.
  case take(set: Int)
  /// Goes on at both places.
  case split(Int, Int)
  case jump(Int)
  /// Goes on where the place in the text is what it says.
  case assert(RegexAssertion)
  case accept
}

enum RegexAssertion: Sendable {
  case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary

  func holds(between before: RegexNeighbour, and next: RegexNeighbour) -> Bool {
    switch self {
    case .textStart: before == .edge
    case .textEnd: next == .edge
    case .lineStart: before == .edge || before == .newline
    case .lineEnd: next == .edge || next == .newline
    case .wordBoundary: (before == .word) != (next == .word)
    case .noWordBoundary: (before == .word) == (next == .word)
    }
  }
}

/// What stands beside a place in a text.
enum RegexNeighbour: UInt8, Sendable {
  case edge, word, newline, other
}

/// A pattern in RE2's syntax, ready to be matched: steps over classes of code points that the
/// pattern does not tell apart.
struct RegexProgram: Sendable {
  let steps: [RegexStep]
  /// For each set the classes in it, as ranges.
  private let sets: [[ClosedRange<Int>]]
  /// For each class what its code points are.
  let neighbours: [RegexNeighbour]
  let hasAssertions: Bool
  /// The first code point of each class.
  private let starts: [UInt32]
  private let latinClasses: [Int]

  /// - Throws: `.invalidArgument` for what is no pattern, `.limitExceeded` for one that is too long.
  init(_ pattern: String) throws(StackLensError) {
    var parser = RegexParser(pattern)
    let parsed = try parser.parse()
    steps = parsed.steps
    hasAssertions = steps.contains { if case .assert = $0 { true } else { false } }

    let word = RegexClasses.posix("word") ?? .all
    var borders: Set<UInt32> = [0, 10, 11]
    for range in (parsed.sets + [word]).flatMap(\.ranges) {
      borders.insert(range.lowerBound)
      borders.insert(range.upperBound + 1)
    }
    borders.remove(ScalarSet.last + 1)
    let starts = borders.sorted()
    self.starts = starts
    let place = { (scalar: UInt32) in firstIndex(in: starts) { $0 > scalar } - 1 }
    sets = parsed.sets.map { set in
      set.ranges.map { place($0.lowerBound)...place($0.upperBound) }
    }
    neighbours = starts.map { start in
      if start == 10 { return .newline }
      return word.ranges.contains { $0.contains(start) } ? .word : .other
    }
    latinClasses = (0..<256).map { place($0) }
  }

  var classCount: Int { starts.count }

  func set(_ set: Int, contains kind: Int) -> Bool {
    let ranges = sets[set]
    let index = firstIndex(in: ranges) { $0.upperBound >= kind }
    return index < ranges.count && ranges[index].contains(kind)
  }

  func classOf(_ scalar: UInt32) -> Int {
    scalar < 256 ? latinClasses[Int(scalar)] : firstIndex(in: starts) { $0 > scalar } - 1
  }
}
