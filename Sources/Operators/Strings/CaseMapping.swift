/// Changes the case of texts character by character: one character becomes one character.
enum CaseMapping: String, Sendable {
  case none = "NONE"
  case lower = "LOWER"
  case upper = "UPPER"

  /// - Parameter isTurkic: whether i and I are two letters, each with an own other case.
  func apply(_ text: String, isTurkic: Bool) -> String {
    guard self != .none else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch (self, scalar) {
      case (.lower, "I") where isTurkic: result.append("\u{131}")
      case (.upper, "i") where isTurkic: result.append("\u{130}")
      case (.lower, _): result.append(Self.lower(scalar))
      default: result.append(Self.upper(scalar))
      }
    }
    return String(result)
  }

  /// Unicode's simple lower case.
  static func lower(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    // Every full mapping to lower case begins with the simple one.
    scalar.properties.lowercaseMapping.unicodeScalars.first ?? scalar
  }

  /// Unicode's simple upper case.
  static func upper(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    // Where the upper case is several characters, the title case may be one (ᾀ, ᾈ).
    single(scalar.properties.uppercaseMapping) ?? single(scalar.properties.titlecaseMapping)
      ?? scalar
  }

  private static func single(_ text: String) -> Unicode.Scalar? {
    let scalars = text.unicodeScalars
    return scalars.count == 1 ? scalars.first : nil
  }
}
