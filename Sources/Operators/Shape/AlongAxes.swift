import Base
import Graphs
import Tensors

extension Decomposition {
  /// A list with one number for each axis of `input` (`copies` such lists one behind the other):
  /// `values` at `axes`, those of `base` elsewhere. For operators that could not name axes yet.
  /// - Parameter base: a name, or nil for the same constant everywhere.
  mutating func alongAxes(
    _ values: String, at axes: String, of input: String, base: String?, else constant: Tensor,
    copies: Int = 1, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    guard targetOpset >= 11 else {
      throw .unsupported("axes as an input take opset 11 at least, asked for \(targetOpset)")
    }
    let shape = apply("Shape", [input], &rewriter)
    let rank = apply("Shape", [shape], &rewriter)
    let raised = apply("Add", [axes, rank], &rewriter)
    let first = apply("Mod", [raised, rank], &rewriter)
    var (places, count) = (first, rank)
    for _ in 1..<copies {
      let next = apply("Add", [first, count], &rewriter)
      places = apply("Concat", [places, next], ["axis": .int(0)], &rewriter)
      count = apply("Add", [count, rank], &rewriter)
    }
    let whole =
      base
      ?? apply("ConstantOfShape", [count], ["value": .tensor(constant)], &rewriter)
    return apply("ScatterElements", [whole, places, values], &rewriter)
  }
}
