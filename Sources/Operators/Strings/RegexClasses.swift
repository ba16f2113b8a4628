import CUnicode

/// The named classes of characters of a pattern.
enum RegexClasses {
  /// \d, \s and \w, which know ASCII alone.
  static func perl(_ letter: Character) -> ScalarSet? {
    switch letter {
    case "d": posix("digit")
    case "s": ScalarSet([9...10, 12...13, 32...32])
    case "w": posix("word")
    default: nil
    }
  }

  /// What stands between `[:` and `:]`.
  static func posix(_ name: String) -> ScalarSet? {
    let (digits, upper, lower): (ClosedRange<UInt32>, ClosedRange<UInt32>, ClosedRange<UInt32>) =
      (0x30...0x39, 0x41...0x5A, 0x61...0x7A)
    switch name {
    case "alnum": return ScalarSet([digits, upper, lower])
    case "alpha": return ScalarSet([upper, lower])
    case "ascii": return ScalarSet([0...0x7F])
    case "blank": return ScalarSet([9...9, 32...32])
    case "cntrl": return ScalarSet([0...0x1F, 0x7F...0x7F])
    case "digit": return ScalarSet([digits])
    case "graph": return ScalarSet([0x21...0x7E])
    case "lower": return ScalarSet([lower])
    case "print": return ScalarSet([0x20...0x7E])
    case "punct": return ScalarSet([0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E])
    case "space": return ScalarSet([9...13, 32...32])
    case "upper": return ScalarSet([upper])
    case "word": return ScalarSet([digits, upper, 0x5F...0x5F, lower])
    case "xdigit": return ScalarSet([digits, 0x41...0x46, 0x61...0x66])
    default: return nil
    }
  }

  /// \p{…}: a general category by its short name or first letter, or a script.
  static func unicode(_ name: String) -> ScalarSet? {
    if name == "Any" { return .all }
    let found = categories.filter { $0.key == name || $0.key.prefix(1) == name }
    return found.isEmpty ? script(name) : ScalarSet(found.values.flatMap { $0 })
  }

  private static func script(_ name: String) -> ScalarSet? {
    let tables = slu_scripts().pointee
    let names = (0..<Int(tables.name_count)).lazy.map { tables.names[$0] }
    guard let script = names.firstIndex(where: { $0.map { String(cString: $0) } == name }) else {
      return nil
    }
    let ranges = UnsafeBufferPointer(start: tables.ranges, count: Int(tables.range_count))
    return ScalarSet(ranges.filter { $0.script == script }.map { $0.first...$0.last })
  }

  /// The code points of every general category but the unassigned.
  private static let categories: [String: [ClosedRange<UInt32>]] = {
    var result: [String: [ClosedRange<UInt32>]] = [:]
    var start: (name: String, first: UInt32)?
    for value in 0...ScalarSet.last + 1 {
      let name = Unicode.Scalar(value).flatMap { short($0.properties.generalCategory) }
      if let open = start, open.name != name {
        result[open.name, default: []].append(open.first...value - 1)
        start = nil
      }
      if start == nil, let name { start = (name, value) }
    }
    return result
  }()

  private static func short(_ category: Unicode.GeneralCategory) -> String? {
    switch category {
    case .uppercaseLetter: "Lu"
    case .lowercaseLetter: "Ll"
    case .titlecaseLetter: "Lt"
    case .modifierLetter: "Lm"
    case .otherLetter: "Lo"
    case .nonspacingMark: "Mn"
    case .spacingMark: "Mc"
    case .enclosingMark: "Me"
    case .decimalNumber: "Nd"
    case .letterNumber: "Nl"
    case .otherNumber: "No"
    case .connectorPunctuation: "Pc"
    case .dashPunctuation: "Pd"
    case .openPunctuation: "Ps"
    case .closePunctuation: "Pe"
    case .initialPunctuation: "Pi"
    case .finalPunctuation: "Pf"
    case .otherPunctuation: "Po"
    case .mathSymbol: "Sm"
    case .currencySymbol: "Sc"
    case .modifierSymbol: "Sk"
    case .otherSymbol: "So"
    case .spaceSeparator: "Zs"
    case .lineSeparator: "Zl"
    case .paragraphSeparator: "Zp"
    case .control: "Cc"
    case .format: "Cf"
    case .privateUse: "Co"
    case .surrogate: "Cs"
    case .unassigned: nil
    @unknown default: nil
    }
  }
}
