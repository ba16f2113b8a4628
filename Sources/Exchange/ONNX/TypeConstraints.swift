import Base
import Graphs
import Tensors

/// What element types an operator of the default domain takes in one version of the standard.
struct TypeConstraints: Sendable {
  /// A letter for each input and output; equal letters mean equal types.
  let inputs: Ends
  let outputs: Ends
  /// The bits of a letter's types.
  private let masks: [Character: UInt32]

  struct Ends: Sendable {
    private let letters: [Character]
    private let repeatsLast: Bool
    /// From where on equal letters say nothing of equal types.
    private let firstMixed: Int

    init(_ text: Substring) {
      repeatsLast = text.last == "*" || text.last == "+"
      letters = text.filter { $0 != "*" && $0 != "+" }
      firstMixed = text.last == "+" ? letters.count - 1 : Int.max
    }

    subscript(index: Int) -> Character? {
      if index < letters.count { return letters[index] }
      return repeatsLast ? letters.last : nil
    }

    func isMixed(_ index: Int) -> Bool { index >= firstMixed }
  }

  private init(_ ends: Substring, _ masks: ArraySlice<Substring>) {
    let sides = ends.split(separator: ">", omittingEmptySubsequences: false)
    inputs = Ends(sides[0])
    outputs = Ends(sides.count > 1 ? sides[1] : "")
    var bits: [Character: UInt32] = [:]
    for mask in masks {
      let parts = mask.split(separator: "=")
      if parts.count == 2, let letter = parts[0].first {
        bits[letter] = UInt32(parts[1], radix: 16)
      }
    }
    self.masks = bits
  }

  func allows(_ type: ElementType, as letter: Character) -> Bool {
    guard let mask = masks[letter], mask & (1 << 29 - 1) != 0 else { return true }
    return mask >> UInt32(type.rawValue) & 1 == 1
  }

  /// Whether an end of that letter may be of the type's kind; true where nothing is known.
  func allowsKind(of type: ValueType, as letter: Character) -> Bool {
    guard let mask = masks[letter] else { return true }
    switch type {
    case .tensor, .unknown: return true
    case .sequence: return mask >> 29 & 1 == 1
    case .optional: return mask >> 30 & 1 == 1
    case .map: return mask >> 31 & 1 == 1
    }
  }

  /// Whether a letter stands for sequences only.
  func isSequence(_ letter: Character) -> Bool { masks[letter] == 1 << 29 }

  /// The only element type that a letter stands for.
  func only(_ letter: Character) -> ElementType? {
    guard let mask = masks[letter], mask.nonzeroBitCount == 1, mask < 1 << 29 else { return nil }
    return ElementType(rawValue: Int32(mask.trailingZeroBitCount))
  }

  private static let table: [String: [(since: Int, constraints: TypeConstraints)]] = {
    var table: [String: [(since: Int, constraints: TypeConstraints)]] = [:]
    for line in typeConstraintTable.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count >= 3, let since = Int(words[1]) else { continue }
      table[String(words[0]), default: []].append((since, TypeConstraints(words[2], words[3...])))
    }
    return table
  }()

  /// Whether any version before `opset` let an end have a type.
  static func allowedOnce(
    _ opType: String, _ type: ElementType, at index: Int, isOutput: Bool, before opset: Int
  ) -> Bool {
    table[opType]?.contains { since, constraints in
      let letter = (isOutput ? constraints.outputs : constraints.inputs)[index]
      return since < opset && letter.map { constraints.allows(type, as: $0) } == true
    } == true
  }

  /// What holds in an opset; nil for operators that it does not have.
  static func find(_ opType: String, opset: Int) -> TypeConstraints? {
    table[opType]?.last { $0.since <= opset }?.constraints
  }

  /// The first opset from which on an input, or an output, may have a type.
  static func firstOpset(
    _ opType: String, taking type: ElementType, at index: Int, isOutput: Bool, after opset: Int
  ) -> Int? {
    table[opType]?.first { since, constraints in
      let letter = (isOutput ? constraints.outputs : constraints.inputs)[index]
      return since > opset && letter.map { constraints.allows(type, as: $0) } == true
    }?.since
  }
}
