import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// A step of aggressive decoding: takes over the predicted tokens as far as they follow the
  /// source, and looks for the only place of the source that the last tokens occur at.
  /// Contributed BifurcationDetector.
  static let bifurcationDetector = OperatorDefinition(
    "BifurcationDetector", domain: "com.microsoft", versions: [1], inputs: 3...4, outputs: 1...2,
    attributes: [.int("max_ngram_size", default: 3), .int("min_ngram_size", default: 1)],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      func tokens(_ index: Int) throws(StackLensError) -> [Int64] {
        let tensor = try context.tensor(index)
        guard tensor.rank <= 1 else {
          throw .shapeMismatch("input \(index) has shape \(tensor.shape), expected one axis")
        }
        return try tensor.elements(as: Int64.self)
      }
      let source = try tokens(0)
      var current = try tokens(1)
      let start = try context.tensor(2).integer("prev_suffix_match_idx")
      guard start >= 0, start <= source.count else {
        throw .invalidArgument("input 2 is \(start), outside [0, \(source.count)]")
      }
      if context.hasInput(3) {
        let predicted = try tokens(3)
        guard predicted.count == source.count + 1 - start else {
          throw .shapeMismatch(
            "\(predicted.count) predicted tokens, expected \(source.count + 1 - start)")
        }
        var end = 0
        while end < predicted.count - 1, predicted[end] == source[start + end] { end += 1 }
        current += predicted[0...end]
      }
      let sizes = (try context.int("min_ngram_size"), try context.int("max_ngram_size"))
      guard sizes.0 > 0, sizes.0 <= sizes.1 else {
        throw .invalidArgument("n-grams of \(sizes.0) to \(sizes.1) tokens")
      }
      let match = suffixPlace(of: current, in: source, from: sizes.0, to: sizes.1)
      return [
        .tensor(try Tensor(current)), .tensor(try Tensor([Int64(match)])),
      ]
    },
    samples: [
      Sample(
        [.ints([1, 5, 3, 4, 2]), .ints([2]), .ints([0]), .ints([1, 5, 3, 4, 2, 9])], outputs: 2),
      Sample([.ints([1, 5, 1]), .ints([7, 5]), .ints([0])], outputs: 2),
    ])

  /// The place behind the only occurrence of the last tokens, -1 where there is none or several;
  /// longer n-grams are tried while shorter ones occur more than once.
  private static func suffixPlace(
    of tokens: [Int64], in source: [Int64], from least: Int, to most: Int
  ) -> Int {
    var place = -1
    for size in stride(from: least, through: min(most, tokens.count, source.count), by: 1) {
      let suffix = tokens.suffix(size)
      let found = (0...source.count - size).filter { source[$0..<$0 + size].elementsEqual(suffix) }
      guard let first = found.first else { break }
      guard found.count == 1 else { continue }
      place = first + size
      break
    }
    return place < source.count ? place : -1
  }
}
