import Base

/// An option of a layer, an initialiser or a model: what may be given, what holds otherwise, what it means.
public struct OptionSpec: Sendable {
  public enum Kind: Sendable, Equatable {
    case boolean
    case integer(ClosedRange<Int>)
    case number(ClosedRange<Double>)
    /// A list; one integer stands for a list of that integer.
    case integers(ClosedRange<Int>, words: [String])
    case choice([String])
    /// One of the initialisers, by name or as an object with its name and options.
    case initializer
    /// An object that says how wide each head is, by name.
    case heads
    case text
    /// A list of different texts that are not empty, at most so many.
    case texts(Int)
  }

  public let name: String
  public let kind: Kind
  public let isRequired: Bool
  package let fallback: JSON
  public let documentation: String

  package init(
    _ name: String, _ kind: Kind, isRequired: Bool = false, default fallback: JSON = .null,
    _ documentation: String
  ) {
    self.name = name
    self.kind = kind
    self.isRequired = isRequired
    self.fallback = fallback
    self.documentation = documentation
  }

  /// A size; nil: it follows from the input or from another option.
  package static func size(_ name: String, _ documentation: String, isRequired: Bool = false)
    -> Self
  {
    Self(name, .integer(1...Self.largest), isRequired: isRequired, documentation)
  }

  package static func integer(
    _ name: String, _ range: ClosedRange<Int> = 0...Self.largest, default fallback: Int?,
    _ documentation: String
  ) -> Self {
    let fallback = fallback.map { JSON.integer(Int64($0)) } ?? .null
    return Self(name, .integer(range), default: fallback, documentation)
  }

  package static func number(
    _ name: String, _ range: ClosedRange<Double> = Self.anyNumber, default fallback: Double,
    _ documentation: String
  ) -> Self {
    Self(name, .number(range), default: .number(fallback), documentation)
  }

  package static func flag(_ name: String, default fallback: Bool, _ documentation: String) -> Self
  {
    Self(name, .boolean, default: .bool(fallback), documentation)
  }

  package static func choice(
    _ name: String, _ words: [String], default fallback: String?, _ documentation: String
  ) -> Self {
    Self(
      name, .choice(words), default: fallback.map { .string($0) } ?? .null, documentation)
  }

  /// One of the values of an enumeration.
  package static func choice<Choice: RawRepresentable & CaseIterable>(
    _ name: String, default fallback: Choice, _ documentation: String
  ) -> Self where Choice.RawValue == String {
    choice(name, Choice.allCases.map(\.rawValue), default: fallback.rawValue, documentation)
  }

  /// An integer for each axis.
  package static func integers(
    _ name: String, _ range: ClosedRange<Int> = 0...Self.largest, words: [String] = [],
    default fallback: Int?, isRequired: Bool = false, _ documentation: String
  ) -> Self {
    let fallback = fallback.map { JSON.integer(Int64($0)) } ?? .null
    return Self(
      name, .integers(range, words: words), isRequired: isRequired, default: fallback,
      documentation)
  }

  /// A text; none unless given.
  package static func text(_ name: String, _ documentation: String) -> Self {
    Self(name, .text, documentation)
  }

  /// Different texts.
  package static func texts(
    _ name: String, most: Int, default fallback: [String], _ documentation: String
  ) -> Self {
    Self(
      name, .texts(most), default: .array(fallback.map { .string($0) }), documentation)
  }

  package static func initializer(_ name: String, _ documentation: String) -> Self {
    Self(name, .initializer, documentation)
  }

  /// The largest size, stride and so on that is taken.
  package static let largest = 1 << 31
  package static let anyNumber = -1e300...1e300
  package static let probability = 0...1.0
}

extension OptionSpec.Kind {
  /// What is expected, for messages and documentation.
  public var description: String {
    func bounds<Bound: Comparable>(
      _ range: ClosedRange<Bound>, _ least: Bound, _ most: Bound
    ) -> String {
      if range.upperBound >= most {
        return range.lowerBound <= least ? "" : " of at least \(range.lowerBound)"
      }
      return " of \(range.lowerBound) to \(range.upperBound)"
    }
    switch self {
    case .boolean: return "true or false"
    case .integer(let range):
      return "an integer" + bounds(range, -OptionSpec.largest, OptionSpec.largest)
    case .number(let range): return "a number" + bounds(range, -1e300, 1e300)
    case .integers(let range, let words):
      let range = bounds(range, -OptionSpec.largest, OptionSpec.largest)
      return "an integer\(range) or a list of them"
        + words.map { ", or \"\($0)\"" }.joined()
    case .choice(let words): return "one of " + words.map { "\"\($0)\"" }.joined(separator: ", ")
    case .initializer: return "the name of an initialiser or an object with its name and options"
    case .heads: return "an object with the width of each head"
    case .text: return "a text"
    case .texts(let count): return "a list of 1 to \(count) different texts, none of them empty"
    }
  }

  /// What is wrong with a value; nil where nothing is.
  func accepts(_ value: JSON) -> Bool {
    switch self {
    case .boolean: return value.boolValue != nil
    case .integer(let range): return value.integerValue.map { range.contains(Int($0)) } ?? false
    case .number(let range): return value.numberValue.map { range.contains($0) } ?? false
    case .integers(let range, let words):
      if let word = value.stringValue { return words.contains(word) }
      if let number = value.integerValue { return range.contains(Int(number)) }
      guard let list = value.arrayValue, !list.isEmpty, list.count <= 64 else { return false }
      return list.allSatisfy { $0.integerValue.map { range.contains(Int($0)) } ?? false }
    case .choice(let words): return value.stringValue.map { words.contains($0) } ?? false
    case .text: return value.stringValue != nil
    case .texts(let count):
      guard let list = value.arrayValue, (1...count).contains(list.count) else { return false }
      let texts = Set(list.compactMap(\.stringValue))
      return texts.count == list.count && !texts.contains("")
    case .initializer: return value.stringValue != nil || value.objectValue != nil
    case .heads:
      guard let members = value.objectValue?.members, !members.isEmpty else { return false }
      return members.allSatisfy {
        !$0.key.isEmpty
          && ($0.value.integerValue.map { (1...OptionSpec.largest).contains(Int($0)) }
            ?? false)
      }
    }
  }
}

extension OptionSpec {
  /// Everything that is said here, for documentation and for tools.
  package func described() -> JSON {
    .object(
      JSONObject([
        .init(key: "name", value: .string(name)),
        .init(key: "expects", value: .string(kind.description)),
        .init(key: "required", value: .bool(isRequired)),
        .init(key: "default", value: fallback),
        .init(key: "documentation", value: .string(documentation)),
      ]))
  }
}
