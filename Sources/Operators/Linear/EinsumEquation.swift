import Base
import Tensors

/// An Einsum equation bound to shapes. Labels are numbered: the letters, then the axes that `...`
/// stands for.
struct EinsumEquation: Sendable {
  /// Extent of each label.
  let extents: [Int]
  /// Labels of the output in order.
  let output: [Int]
  /// For each operand, its step along each label; 0 where it has no such label or repeats, the sum
  /// of the steps where a label occurs twice (a diagonal).
  let strides: [[Int]]
  /// For each operand, which labels it mentions.
  let mentions: [[Bool]]

  var outputShape: Shape { get throws(StackLensError) { try Shape(output.map { extents[$0] }) } }
  /// Labels that are summed over.
  var summed: [Int] { extents.indices.filter { !output.contains($0) } }

  private static let ellipsis: UInt8 = 0

  init(_ equation: String, _ shapes: [Shape]) throws(StackLensError) {
    let (terms, outputText) = try Self.split(equation, shapes.count)
    var ellipsisRank = 0
    var letterCounts: [UInt8: Int] = [:]
    for (term, shape) in zip(terms, shapes) {
      let letters = term.filter { $0 != Self.ellipsis }
      let hasEllipsis = letters.count != term.count
      guard hasEllipsis ? letters.count <= shape.rank : letters.count == shape.rank else {
        throw .shapeMismatch("a term of equation '\(equation)' does not fit shape \(shape)")
      }
      if hasEllipsis { ellipsisRank = max(ellipsisRank, shape.rank - letters.count) }
      for letter in letters { letterCounts[letter, default: 0] += 1 }
    }
    let letters = letterCounts.keys.sorted()
    let number = Dictionary(
      letters.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { first, _ in first })

    var outputTerm: [UInt8]
    if let outputText {
      outputTerm = try Self.symbols(outputText, equation)
    } else {
      outputTerm = [Self.ellipsis] + letters.filter { letterCounts[$0] == 1 }
    }
    var output: [Int] = []
    for symbol in outputTerm {
      if symbol == Self.ellipsis {
        output += (0..<ellipsisRank).map { letters.count + $0 }
      } else if let label = number[symbol], !output.contains(label) {
        output.append(label)
      } else {
        throw .invalidArgument(
          "the output of equation '\(equation)' has an unknown or repeated letter")
      }
    }

    self.output = output
    let labelCount = letters.count + ellipsisRank
    (extents, strides, mentions) = try Self.bind(terms, shapes, number, labelCount, equation)
  }

  /// Extents of the labels, and each operand's steps along them.
  private static func bind(
    _ terms: [[UInt8]], _ shapes: [Shape], _ number: [UInt8: Int], _ labelCount: Int,
    _ equation: String
  ) throws(StackLensError) -> (extents: [Int], strides: [[Int]], mentions: [[Bool]]) {
    var extents = [Int](repeating: 1, count: labelCount)
    var allStrides: [[Int]] = []
    var allMentions: [[Bool]] = []
    for (term, shape) in zip(terms, shapes) {
      var labels: [Int] = []
      for symbol in term {
        if symbol == ellipsis {
          let rank = shape.rank - (term.count - 1)
          labels += (labelCount - rank)..<labelCount
        } else {
          labels.append(number[symbol] ?? 0)
        }
      }
      var strides = [Int](repeating: 0, count: labelCount)
      var mentions = [Bool](repeating: false, count: labelCount)
      let own = shape.strides
      for (axis, label) in labels.enumerated() {
        mentions[label] = true
        let extent = shape[axis]
        if extent != 1 {
          guard extents[label] == 1 || extents[label] == extent else {
            throw .shapeMismatch(
              "equation '\(equation)' meets the extents \(extents[label]) and \(extent) in one "
                + "label")
          }
          extents[label] = extent
          strides[label] += own[axis]
        }
      }
      allStrides.append(strides)
      allMentions.append(mentions)
    }
    return (extents, allStrides, allMentions)
  }

  /// The terms of the inputs, and what follows the arrow, nil without one.
  private static func split(
    _ equation: String, _ count: Int
  ) throws(StackLensError) -> (terms: [[UInt8]], output: ArraySlice<UInt8>?) {
    let text = equation.utf8.filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
    var inputText = text[...]
    var outputText: ArraySlice<UInt8>?
    if let arrow = text.firstIndex(of: UInt8(ascii: "-")) {
      guard arrow + 1 < text.count, text[arrow + 1] == UInt8(ascii: ">") else {
        throw .invalidArgument("equation '\(equation)' has '-' without '>'")
      }
      inputText = text[..<arrow]
      outputText = text[(arrow + 2)...]
    }
    let parts = inputText.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
    guard parts.count == count else {
      throw .invalidArgument(
        "equation '\(equation)' has \(parts.count) terms for \(count) inputs")
    }
    var terms: [[UInt8]] = []
    for part in parts { terms.append(try symbols(part, equation)) }
    return (terms, outputText)
  }

  /// The letters of one term, with 0 for `...`.
  private static func symbols(
    _ text: ArraySlice<UInt8>, _ equation: String
  ) throws(StackLensError) -> [UInt8] {
    var result: [UInt8] = []
    var rest = text
    while let byte = rest.first {
      let isLetter = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
      if isLetter {
        result.append(byte)
        rest = rest.dropFirst()
      } else if rest.starts(with: [46, 46, 46]), !result.contains(ellipsis) {
        result.append(ellipsis)
        rest = rest.dropFirst(3)
      } else {
        throw .invalidArgument(
          "equation '\(equation)' may hold letters, commas, one '...' for each term and '->'")
      }
    }
    return result
  }
}
