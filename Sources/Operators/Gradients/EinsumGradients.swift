import Base
import Graphs
import Tensors

extension GradientRule {
  /// The sum of products with what arrives in the operand's place. Labels that only the operand has
  /// come from ones of its shape; a label that it repeats gets a name of its own and a unit matrix.
  static let einsum = GradientRule { (scope) throws(StackLensError) in
    let terms = try EinsumTerms(try scope.string("equation"))
    guard terms.inputs.count == scope.inputs.count else {
      throw .invalidArgument("\(terms.inputs.count) terms for \(scope.inputs.count) inputs")
    }
    let g = try scope.arriving()
    var gradients: [Edge?] = []
    for index in scope.inputs.indices {
      gradients.append(scope.wants(index) ? try operand(index, terms, g, scope) : nil)
    }
    return gradients
  }

  private static func operand(
    _ index: Int, _ terms: EinsumTerms, _ g: Edge, _ scope: GradientScope
  ) throws(StackLensError) -> Edge {
    let x = try scope.input(index)
    var factors: [(edge: Edge, term: [String])] = [(g, terms.output)]
    for other in scope.inputs.indices where other != index {
      factors.append((try scope.input(other), terms.inputs[other]))
    }
    let own = terms.inputs[index]
    if own.contains("..."), own.first != "...",
      terms.inputs.filter({ $0.contains("...") }).count > 1
    {
      throw .unsupported("Einsum with '...' behind letters, which other terms have too")
    }
    let known = Set(factors.flatMap(\.term))
    if own.contains(where: { !known.contains($0) }) {
      let ones = scope.apply("Expand", try scope.scalar(1, like: x), scope.shape(of: x))
      factors.append((ones, own))
    }
    var target: [String] = []
    var free = terms.freeLetters[...]
    for (axis, label) in own.enumerated() {
      guard target.contains(label) else {
        target.append(label)
        continue
      }
      guard let letter = free.popFirst() else {
        throw .unsupported("Einsum that uses all letters and repeats one in a term")
      }
      factors.append((try unit(x, axis: axis - own.count, own, scope), [label, letter]))
      target.append(letter)
    }
    let equation =
      factors.map { $0.term.joined() }.joined(separator: ",") + "->" + target.joined()
    let product = scope.graph.add(
      "Einsum", factors.map(\.edge), ["equation": .string(equation)])
    return scope.sum(product, like: x)
  }

  /// The unit matrix of the extent of an axis, counted from the end.
  private static func unit(
    _ x: Edge, axis: Int, _ term: [String], _ scope: GradientScope
  ) throws(StackLensError) -> Edge {
    guard !term.contains("...") else {
      throw .unsupported("Einsum with '...' in a term that repeats a letter")
    }
    var ends: [String: Attribute] = ["start": .int(Int64(axis))]
    if axis != -1 { ends["end"] = .int(Int64(axis + 1)) }
    let extent = scope.apply("Shape", x, attributes: ends)
    let square = scope.graph.add("Concat", [extent, extent], ["axis": .int(0)])
    return scope.apply(
      "EyeLike", scope.apply("Expand", try scope.scalar(0, like: x), square))
  }
}

/// The terms of an equation, each a list of letters and "...".
private struct EinsumTerms {
  let inputs: [[String]]
  let output: [String]

  init(_ equation: String) throws(StackLensError) {
    let text = equation.filter { $0 != " " && $0 != "\t" }
    var sides = text.split(separator: ">", omittingEmptySubsequences: false).map(String.init)
    guard sides.count <= 2 else { throw .invalidArgument("equation '\(equation)'") }
    if sides.count == 2 {
      guard sides[0].last == "-" else { throw .invalidArgument("equation '\(equation)'") }
      sides[0].removeLast()
    }
    inputs = sides[0].split(separator: ",", omittingEmptySubsequences: false).map(Self.symbols)
    if sides.count == 2 {
      output = Self.symbols(sides[1][...])
      return
    }
    var counts: [String: Int] = [:]
    for symbol in inputs.joined() { counts[symbol, default: 0] += 1 }
    let single = counts.filter { $0.value == 1 && $0.key != "..." }.keys
    output = (counts["..."] == nil ? [] : ["..."]) + single.sorted()
  }

  private static func symbols(_ text: Substring) -> [String] {
    var (result, dots): ([String], Int) = ([], 0)
    for character in text {
      if character == "." {
        dots += 1
        if dots == 3 { result.append("...") }
      } else {
        result.append(String(character))
      }
    }
    return result
  }

  var freeLetters: [String] {
    let used = Set(inputs.joined())
    return "abcdefghijklmnopqrstuvwxyz".map { String($0) }.filter { !used.contains($0) }
  }
}
