/// Which end of a text something happens at.
public enum TextSide: Sendable, Equatable {
  case left
  case right
}

/// How texts are cut to a length.
public struct Truncation: Sendable, Equatable {
  /// Which of two texts is cut.
  public enum Strategy: Sendable, Equatable {
    /// The longer one, then both alike.
    case longestFirst
    case onlyFirst
    case onlySecond
  }

  /// Most tokens that remain, special ones included.
  public var maxLength: Int
  public var strategy: Strategy
  /// The end that is cut off.
  public var direction: TextSide

  public init(
    maxLength: Int, strategy: Strategy = .longestFirst, direction: TextSide = .right
  ) {
    self.maxLength = maxLength
    self.strategy = strategy
    self.direction = direction
  }
}

/// How encodings are lengthened.
public struct Padding: Sendable, Equatable {
  /// The length to reach; nil for that of the longest encoding of a batch.
  public var length: Int?
  /// The length reached is rounded up to a multiple of this.
  public var multiple: Int?
  public var direction: TextSide
  public var id: Int32
  public var typeID: Int32

  public init(
    length: Int? = nil, multiple: Int? = nil, direction: TextSide = .right, id: Int32 = 0,
    typeID: Int32 = 0
  ) {
    self.length = length
    self.multiple = multiple
    self.direction = direction
    self.id = id
    self.typeID = typeID
  }

  func target(longest: Int) -> Int {
    let target = length ?? longest
    guard let multiple, multiple > 0, target % multiple > 0 else { return target }
    return target + multiple - target % multiple
  }
}

/// What `Tokenizer.encode` does besides finding the tokens.
public struct EncodingOptions: Sendable, Equatable {
  /// How long the result may be.
  public enum Length: Sendable, Equatable {
    /// As the tokenizer's file says.
    case configured
    case unlimited
    case truncated(Truncation)
    /// The first and the last half of what fits into so many tokens. For one text only.
    case headAndTail(maxLength: Int)
  }

  /// What fills short results.
  public enum Fill: Sendable, Equatable {
    /// As the tokenizer's file says.
    case configured
    case none
    case padded(Padding)
  }

  /// Whether the tokens that the model wants around a text are added.
  public var addsSpecialTokens = true
  public var length = Length.configured
  public var fill = Fill.configured
  /// Whether the result says where in the text the tokens stand.
  public var wantsOffsets = true

  public init() {}

  /// At most `maxLength` tokens, the rest cut off at the end, no padding.
  public static func truncated(to maxLength: Int) -> EncodingOptions {
    var options = EncodingOptions()
    options.length = .truncated(Truncation(maxLength: maxLength))
    options.fill = .none
    return options
  }
}
