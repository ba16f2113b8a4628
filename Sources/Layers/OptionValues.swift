import Base

/// The options of one layer, initialiser or model, checked and complete.
public struct OptionValues: Sendable {
  private var values: [String: JSON] = [:]

  /// - Parameter given: an object, or null for none.
  /// - Throws: `.invalidArgument` for an option that is not known, missing or not of its kind, naming
  ///   what is known or expected.
  package init(_ given: JSON, _ specs: [OptionSpec]) throws(StackLensError) {
    let members: [JSONObject.Member]
    switch given {
    case .null: members = []
    case .object(let object): members = object.members
    default: throw .invalidArgument("the options are \(given.kind), expected an object")
    }
    for spec in specs { values[spec.name] = spec.fallback }
    for member in members {
      guard let spec = specs.first(where: { $0.name == member.key }) else {
        let names = specs.map(\.name).joined(separator: ", ")
        throw .invalidArgument(
          "there is no option '\(member.key)'; known are: \(names.isEmpty ? "none" : names)")
      }
      // Null stands for "not given".
      if member.value.isNull { continue }
      guard spec.kind.accepts(member.value) else {
        let text = String(decoding: member.value.encoded().prefix(80), as: UTF8.self)
        throw .invalidArgument(
          "option '\(spec.name)' is \(text), expected \(spec.kind.description)")
      }
      values[spec.name] = member.value
    }
    for spec in specs where spec.isRequired && values[spec.name]?.isNull ?? true {
      throw .invalidArgument("option '\(spec.name)' is missing: \(spec.kind.description)")
    }
  }

  private func value<Value>(
    _ name: String, _ read: (JSON) -> Value?
  ) throws(StackLensError) -> Value {
    guard let value = values[name].flatMap(read) else {
      throw .internalError("option '\(name)' was not declared")
    }
    return value
  }

  /// Whether the option has a value.
  package func has(_ name: String) -> Bool { !(values[name]?.isNull ?? true) }

  package func integer(_ name: String) throws(StackLensError) -> Int {
    try value(name) { $0.integerValue.map { Int($0) } }
  }

  package func integerIfAny(_ name: String) throws(StackLensError) -> Int? {
    has(name) ? try integer(name) : nil
  }

  package func number(_ name: String) throws(StackLensError) -> Double {
    try value(name, \.numberValue)
  }

  package func flag(_ name: String) throws(StackLensError) -> Bool { try value(name, \.boolValue) }

  package func text(_ name: String) throws(StackLensError) -> String {
    try value(name, \.stringValue)
  }

  /// A choice that was declared from the cases of an enumeration.
  package func choice<Choice: RawRepresentable>(
    _ name: String, as type: Choice.Type = Choice.self
  ) throws(StackLensError) -> Choice where Choice.RawValue == String {
    try value(name) { $0.stringValue.flatMap { Choice(rawValue: $0) } }
  }

  /// A list of `count` integers, nil when nothing or a word was given.
  /// - Throws: `.invalidArgument` for another count.
  package func integers(_ name: String, _ count: Int) throws(StackLensError) -> [Int]? {
    guard let list = try list(name) else { return nil }
    guard list.count == count || list.count == 1 else {
      throw .invalidArgument("option '\(name)' has \(list.count) numbers, expected \(count)")
    }
    return list.count == count ? list : [Int](repeating: list[0], count: count)
  }

  /// A list of integers as it was given, nil when nothing or a word was given.
  package func list(_ name: String) throws(StackLensError) -> [Int]? {
    guard let value = values[name], !value.isNull, value.stringValue == nil else { return nil }
    if let number = value.integerValue { return [Int(number)] }
    return (value.arrayValue ?? []).compactMap { $0.integerValue.map { Int($0) } }
  }

  /// The word that was given in place of numbers.
  package func word(_ name: String) -> String? { values[name]?.stringValue }

  package func texts(_ name: String) throws(StackLensError) -> [String] {
    try value(name) { $0.arrayValue?.compactMap(\.stringValue) }
  }

  /// The initialiser that was given; nil leaves it to the layer.
  func initializer(_ name: String) throws(StackLensError) -> WeightInitializer? {
    guard let value = values[name], !value.isNull else { return nil }
    do throws(StackLensError) { return try WeightInitializer(value) } catch {
      throw error.within("option '\(name)'")
    }
  }

  /// Names and widths of heads, in the order in which they were given.
  func heads(_ name: String) throws(StackLensError) -> [(name: String, width: Int)] {
    let object = try value(name, \.objectValue)
    var heads: [(name: String, width: Int)] = []
    for member in object.members {
      guard !heads.contains(where: { $0.name == member.key }) else {
        throw .invalidArgument("option '\(name)' names '\(member.key)' twice")
      }
      heads.append((member.key, Int(member.value.integerValue ?? 0)))
    }
    return heads
  }
}
