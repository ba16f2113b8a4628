import Base
import Graphs
import Tensors

/// Attention with its scores in the open, for what the standard's Attention cannot say: a sink that
/// takes a share of every row, and the scores as an output. Computed in float32.
extension GroupedAttention {
  /// Whether the scores have to be seen.
  var needsScores: Bool {
    get throws(StackLensError) {
      let isSmooth = try node.int("smooth_softmax") > 0
      return isSmooth || node.input(11) != nil || node.makes(3)
    }
  }

  /// Values mixed by the scores of queries [batch, heads, length, width] and all keys.
  mutating func mixedByScores(
    _ query: String, _ key: String, _ value: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let (scores, visible) = (
      try scores(query, key, &rewriter), try visibleKeys(key, &rewriter)
    )
    let nothing = rewriter.constant(try Tensor(scalar: -Float.infinity), "nothing")
    let masked = made.apply("Where", [visible, scores, nothing], &rewriter)
    let weights = try weights(masked, &rewriter)
    if node.makes(3) {
      let shown = try node.int("qk_output") == 1 ? scores : weights
      made.output(3, "CastLike", [shown, query])
    }
    // The heads of a group lie in one matrix with the keys that they share.
    let shape = try rewriter.ints([0, Int64(keyHeads), -1, 0], "groups")
    let rows = made.apply("Reshape", [weights, shape], &rewriter)
    let wide = made.apply("Cast", [value], Self.to(.float32), &rewriter)
    let mixed = made.apply("MatMul", [rows, wide], &rewriter)
    let heads = made.apply("Reshape", [mixed, try headShape(&rewriter)], &rewriter)
    return made.apply("CastLike", [heads, query], &rewriter)
  }

  private func headShape(_ rewriter: inout Rewriter) throws(StackLensError) -> String {
    try rewriter.ints([0, Int64(queryHeads), -1, 0], "heads")
  }

  /// Scores [batch, heads, length, keys] with their scale, cap and bias.
  private mutating func scores(
    _ query: String, _ key: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let wide = made.apply("Cast", [query], Self.to(.float32), &rewriter)
    let groups = try rewriter.ints([0, Int64(keyHeads), -1, 0], "groups")
    let rows = made.apply("Reshape", [wide, groups], &rewriter)
    let keys = made.apply("Cast", [key], Self.to(.float32), &rewriter)
    let columns = made.apply("Transpose", [keys], ["perm": .ints([0, 1, 3, 2])], &rewriter)
    let products = made.apply("MatMul", [rows, columns], &rewriter)
    var scores = made.apply("Reshape", [products, try headShape(&rewriter)], &rewriter)
    if node.has("scale"), case let scale = try node.float("scale"), scale != 0 {
      let factor = rewriter.constant(try Tensor(scalar: scale), "scale")
      scores = made.apply("Mul", [scores, factor], &rewriter)
    } else {
      let width = made.apply(
        "Cast", [made.extent(query, -1, &rewriter)], Self.to(.float32), &rewriter)
      let root = made.apply("Sqrt", [width], &rewriter)
      scores = made.apply("Div", [scores, root], &rewriter)
    }
    if case let cap = try node.float("softcap"), cap > 0 {
      let limit = rewriter.constant(try Tensor(scalar: cap), "softcap")
      let bent = made.apply("Tanh", [made.apply("Div", [scores, limit], &rewriter)], &rewriter)
      scores = made.apply("Mul", [bent, limit], &rewriter)
    }
    guard let bias = node.input(10) else { return scores }
    let added = made.apply("Cast", [bias], Self.to(.float32), &rewriter)
    return made.apply("Add", [scores, added], &rewriter)
  }

  /// Which keys a query sees, [batch, 1, length, keys].
  private mutating func visibleKeys(
    _ key: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let keys = try made.range(made.extent(key, 2, &rewriter), &rewriter)
    let first = made.apply(
      "Unsqueeze", [before, try rewriter.ints([1, 2, 3], "axes")], &rewriter)
    let steps = try made.range(length, &rewriter)
    let rows = made.apply("Unsqueeze", [steps, try rewriter.ints([-1], "axes")], &rewriter)
    let places = made.apply("Add", [first, rows], &rewriter)
    guard try node.flag("causal") else {
      let counts = made.apply("Add", [first, length], &rewriter)
      return made.apply("Less", [keys, counts], &rewriter)
    }
    let reached = made.apply("LessOrEqual", [keys, places], &rewriter)
    guard let window = try window else { return reached }
    let size = try rewriter.ints([Int64(window)], "window")
    let behind = made.apply("Sub", [places, size], &rewriter)
    let near = made.apply("Greater", [keys, behind], &rewriter)
    return made.apply("And", [reached, near], &rewriter)
  }

  /// Softmax over the keys. A sink is one more score in each row, whose share nobody gets.
  private mutating func weights(
    _ masked: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    var sink: String?
    if let given = node.input(11) {
      let wide = made.apply("Cast", [given], Self.to(.float32), &rewriter)
      sink = made.apply("Reshape", [wide, try rewriter.ints([1, -1, 1, 1], "column")], &rewriter)
    } else if try node.int("smooth_softmax") > 0 {
      sink = rewriter.constant(try Tensor([Float(0)], shape: Shape([1, 1, 1, 1])), "sink")
    }
    guard let sink else {
      return made.apply("Softmax", [masked], ["axis": .int(-1)], &rewriter)
    }
    let rows = made.apply("Shape", [masked], ["start": .int(0), "end": .int(3)], &rewriter)
    let one = try rewriter.ints([1], "one")
    let shape = made.apply("Concat", [rows, one], ["axis": .int(0)], &rewriter)
    let column = made.apply("Expand", [sink, shape], &rewriter)
    let all = made.apply("Concat", [masked, column], ["axis": .int(-1)], &rewriter)
    let shares = made.apply("Softmax", [all], ["axis": .int(-1)], &rewriter)
    return made.apply(
      "Slice",
      [
        shares, try rewriter.ints([0], "start"), try rewriter.ints([-1], "end"),
        try rewriter.ints([3], "axes"),
      ], &rewriter)
  }
}
