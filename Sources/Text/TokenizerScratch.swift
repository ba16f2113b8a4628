import Base

/// Memory that one caller after another may use to encode texts; not to be shared between threads.
public struct TokenizerScratch: ~Copyable {
  var run = TokenRun()
  var second = TokenRun()

  public init() {}

  /// The tokens of a run that remain after its length rule.
  struct Kept {
    var ranges: [Range<Int>]
    var isTruncated: Bool
  }

  /// The tokens of two runs that remain.
  struct KeptPair {
    var first: Range<Int>
    var second: Range<Int>
    var isTruncated: Bool
  }

  /// Finds the tokens of one text and applies the length rule.
  mutating func fill(
    _ text: UnsafeRawBufferPointer, _ configuration: TokenizerConfiguration,
    _ length: EncodingOptions.Length, _ pieces: [PostProcessor.Piece], wantsOffsets: Bool
  ) throws(StackLensError) -> Kept {
    let truncation: Truncation?
    switch length {
    case .configured: truncation = configuration.truncation
    case .truncated(let given): truncation = given
    case .unlimited: truncation = nil
    case .headAndTail(let maxLength):
      let budget = try Tokenizer.budget(maxLength, pieces)
      try run.assign(text, configuration.model, wantsOffsets: wantsOffsets)
      let count = run.ids.count
      guard count > budget else { return Kept(ranges: [0..<count], isTruncated: false) }
      let tail = budget / 2
      return Kept(ranges: [0..<(budget - tail), (count - tail)..<count], isTruncated: true)
    }
    guard let truncation else {
      try run.assign(text, configuration.model, wantsOffsets: wantsOffsets)
      return Kept(ranges: [0..<run.ids.count], isTruncated: false)
    }
    let budget = try Tokenizer.budget(truncation.maxLength, pieces)
    try run.assign(
      text, configuration.model, wantsOffsets: wantsOffsets,
      stopAbove: truncation.direction == .right ? budget : .max)
    let count = run.ids.count
    if count > budget, truncation.strategy == .onlySecond {
      throw .invalidArgument("truncation of the second text is asked for, but there is only one")
    }
    let kept = Self.range(count, min(count, budget), truncation.direction)
    return Kept(ranges: [kept], isTruncated: run.stoppedEarly || count > budget)
  }

  /// Finds the tokens of two texts and applies the length rule.
  mutating func fill(
    _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer,
    _ configuration: TokenizerConfiguration, _ length: EncodingOptions.Length,
    _ pieces: [PostProcessor.Piece], wantsOffsets: Bool
  ) throws(StackLensError) -> KeptPair {
    let truncation: Truncation?
    switch length {
    case .configured: truncation = configuration.truncation
    case .truncated(let given): truncation = given
    case .unlimited: truncation = nil
    case .headAndTail:
      throw .invalidArgument("head and tail are kept of one text, not of a pair")
    }
    guard let truncation else {
      try run.assign(first, configuration.model, wantsOffsets: wantsOffsets)
      try self.second.assign(second, configuration.model, wantsOffsets: wantsOffsets)
      return KeptPair(
        first: 0..<run.ids.count, second: 0..<self.second.ids.count, isTruncated: false)
    }
    let budget = try Tokenizer.budget(truncation.maxLength, pieces)
    // Both texts are read to their ends: which one is longer decides how they are cut.
    try run.assign(first, configuration.model, wantsOffsets: wantsOffsets)
    try self.second.assign(second, configuration.model, wantsOffsets: wantsOffsets)
    let (firstCount, secondCount) = (run.ids.count, self.second.ids.count)
    let (keepFirst, keepSecond) = try Self.lengths(firstCount, secondCount, budget, truncation)
    return KeptPair(
      first: Self.range(firstCount, keepFirst, truncation.direction),
      second: Self.range(secondCount, keepSecond, truncation.direction),
      isTruncated: keepFirst < firstCount || keepSecond < secondCount)
  }

  private static func range(_ count: Int, _ kept: Int, _ direction: TextSide) -> Range<Int> {
    direction == .right ? 0..<kept : (count - kept)..<count
  }

  /// How many tokens of each text remain.
  private static func lengths(
    _ first: Int, _ second: Int, _ budget: Int, _ truncation: Truncation
  ) throws(StackLensError) -> (Int, Int) {
    let excess = first + second - budget
    if excess <= 0 { return (first, second) }
    if budget == 0 { return (0, 0) }
    switch truncation.strategy {
    case .longestFirst:
      var shorter = min(first, second)
      var longer = shorter > budget ? shorter : max(shorter, budget - shorter)
      if shorter + longer > budget {
        shorter = budget / 2
        longer = shorter + budget % 2
      }
      return first > second ? (longer, shorter) : (shorter, longer)
    case .onlyFirst:
      guard first > excess else { throw tooShort("first", first, excess) }
      return (first - excess, second)
    case .onlySecond:
      guard second > excess else { throw tooShort("second", second, excess) }
      return (first, second - excess)
    }
  }

  private static func tooShort(_ which: String, _ count: Int, _ excess: Int) -> StackLensError {
    .invalidArgument(
      "the \(which) text has \(count) tokens; \(excess) would have to go to meet the limit")
  }
}
