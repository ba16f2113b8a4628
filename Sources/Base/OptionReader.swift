/// The members of a JSON object that are options of something: each is asked for by name, with its
/// range and default, and what nobody asked for is refused.
///
///     var options = try OptionReader(json, of: "optimizer 'adam'")
///     let rate = try options.number("learning_rate", default: 1e-3, in: 0...1)
///     let isNesterov = try options.bool("nesterov", default: false)
///     try options.finish()
package struct OptionReader {
  private let object: JSONObject
  /// What the options belong to, for messages.
  private let owner: String
  private var known: [String] = []

  /// - Parameter json: an object; null counts as an empty one.
  /// - Throws: `.invalidArgument` for anything else.
  package init(_ json: JSON, of owner: String) throws(StackLensError) {
    self.owner = owner
    switch json {
    case .object(let object): self.object = object
    case .null: object = JSONObject([])
    default: throw .invalidArgument("the options of \(owner) must be an object, found \(json.kind)")
    }
  }

  /// The member as it is; nil where it is missing or null.
  package mutating func json(_ name: String) -> JSON? {
    known.append(name)
    guard let value = object[name], !value.isNull else { return nil }
    return value
  }

  /// - Throws: `.invalidArgument` unless it is a finite number of the range.
  package mutating func number(
    _ name: String,
    in range: ClosedRange<Double> = -.greatestFiniteMagnitude
      ... .greatestFiniteMagnitude
  ) throws(StackLensError) -> Double? {
    guard let value = json(name) else { return nil }
    guard let number = value.numberValue, number.isFinite else {
      throw unfit(name, value, "a number")
    }
    guard range.contains(number) else {
      throw .invalidArgument(
        "option '\(name)' of \(owner) is \(number), expected \(Self.text(range))")
    }
    return number
  }

  package mutating func number(
    _ name: String, default fallback: Double,
    in range: ClosedRange<Double> = -.greatestFiniteMagnitude
      ... .greatestFiniteMagnitude
  ) throws(StackLensError) -> Double {
    try number(name, in: range) ?? fallback
  }

  package mutating func integer(
    _ name: String, in range: ClosedRange<Int> = 0...Int(Int32.max)
  ) throws(StackLensError) -> Int? {
    guard let value = json(name) else { return nil }
    guard let wide = value.integerValue, let number = Int(exactly: wide) else {
      throw unfit(name, value, "an integer")
    }
    guard range.contains(number) else {
      throw .invalidArgument(
        "option '\(name)' of \(owner) is \(number), expected \(range.lowerBound) to "
          + "\(range.upperBound)")
    }
    return number
  }

  package mutating func integer(
    _ name: String, default fallback: Int, in range: ClosedRange<Int> = 0...Int(Int32.max)
  ) throws(StackLensError) -> Int {
    try integer(name, in: range) ?? fallback
  }

  package mutating func bool(
    _ name: String, default fallback: Bool
  ) throws(StackLensError) -> Bool {
    guard let value = json(name) else { return fallback }
    guard let bool = value.boolValue else { throw unfit(name, value, "true or false") }
    return bool
  }

  package mutating func string(_ name: String) throws(StackLensError) -> String? {
    guard let value = json(name) else { return nil }
    guard let string = value.stringValue else { throw unfit(name, value, "a string") }
    return string
  }

  /// One of the words, the first unless given.
  package mutating func choice(
    _ name: String, _ words: [String]
  ) throws(StackLensError) -> String {
    guard let word = try string(name) else { return words[0] }
    guard words.contains(word) else {
      throw .invalidArgument(
        "option '\(name)' of \(owner) is '\(word)', expected one of "
          + words.joined(separator: ", "))
    }
    return word
  }

  /// A list of numbers; one number counts as a list of one.
  package mutating func numbers(_ name: String) throws(StackLensError) -> [Double]? {
    guard let value = json(name) else { return nil }
    var numbers: [Double] = []
    for element in value.arrayValue ?? [value] {
      guard let number = element.numberValue, number.isFinite else {
        throw unfit(name, element, "a list of numbers")
      }
      numbers.append(number)
    }
    return numbers
  }

  /// A list of strings; one string counts as a list of one.
  package mutating func strings(_ name: String) throws(StackLensError) -> [String]? {
    guard let value = json(name) else { return nil }
    var strings: [String] = []
    for element in value.arrayValue ?? [value] {
      guard let string = element.stringValue else {
        throw unfit(name, element, "a list of strings")
      }
      strings.append(string)
    }
    return strings
  }

  /// - Throws: `.invalidArgument` naming a member that nobody asked for, and those that there are.
  package func finish() throws(StackLensError) {
    for member in object.members where !known.contains(member.key) {
      throw .invalidArgument(
        "\(owner) has no option '\(member.key)'"
          + (known.isEmpty ? "" : "; its options are " + known.joined(separator: ", ")))
    }
  }

  private func unfit(_ name: String, _ value: JSON, _ expected: String) -> StackLensError {
    .invalidArgument("option '\(name)' of \(owner) must be \(expected), found \(value.kind)")
  }

  private static func text(_ range: ClosedRange<Double>) -> String {
    if range.upperBound == .greatestFiniteMagnitude { return "at least \(range.lowerBound)" }
    return "\(range.lowerBound) to \(range.upperBound)"
  }
}
