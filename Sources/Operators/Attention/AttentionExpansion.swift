import Base
import Graphs
import Tensors

/// Attention in operators that older opsets have.
@Sendable func expandAttention(
  _ node: ComposedNode, _ rewriter: inout Rewriter
) throws(StackLensError) -> [Node] {
  var work = try AttentionExpansion(node, rewriter)
  return try work.nodes(&rewriter)
}

private struct AttentionExpansion {
  private let node: ComposedNode
  private var made: Decomposition
  /// Whether heads lie beside each other in the last of three axes.
  private let isFlat: Bool
  private let queryHeads: Int?
  private let keyHeads: Int?
  private var query = ""
  private var key = ""
  private var value = ""

  init(_ node: ComposedNode, _ rewriter: Rewriter) throws(StackLensError) {
    self.node = node
    made = Decomposition(node.node, newestOpset)
    isFlat = node.has("q_num_heads")
    if isFlat {
      (queryHeads, keyHeads) = (try node.int("q_num_heads"), try node.int("kv_num_heads"))
    } else {
      func heads(_ index: Int) throws(StackLensError) -> Int? {
        let dims = rewriter.dims(of: try node.required(index, "an input"))
        return dims?.count == 4 ? dims?[1] : nil
      }
      (queryHeads, keyHeads) = (try heads(0), try heads(1))
    }
  }

  mutating func nodes(_ rewriter: inout Rewriter) throws(StackLensError) -> [Node] {
    query = try split(try node.required(0, "query"), queryHeads, &rewriter)
    key = try joined(1, past: 4, present: 1, &rewriter)
    value = try joined(2, past: 5, present: 2, &rewriter)
    try coverMask(&rewriter)
    var scores = try scaledScores(&rewriter)
    show(0, scores)
    if case let cap = try node.float("softcap"), cap > 0 {
      let scalar = try made.scalar(Double(cap), &rewriter)
      scores = made.apply("Div", [scores, scalar], &rewriter)
      scores = made.apply("Mul", [made.apply("Tanh", [scores], &rewriter), scalar], &rewriter)
    }
    show(1, scores)
    let (masked, isMasked) = try maskedScores(scores, &rewriter)
    show(2, masked)
    let weights = try weights(masked, isMasked: isMasked, &rewriter)
    show(3, weights)
    var mixed = try grouped(weights, &rewriter)
    mixed = made.apply("MatMul", [mixed, value], &rewriter)
    mixed = try ungrouped(mixed, &rewriter)
    guard isFlat else { return made.finish("Identity", [mixed]) }
    let turned = made.apply("Transpose", [mixed], ["perm": .ints([0, 2, 1, 3])], &rewriter)
    return made.finish("Reshape", [turned, try rewriter.ints([0, 0, -1], "shape")])
  }

  private var scoreMode: Int { (try? node.int("qk_matmul_output_mode")) ?? 0 }

  /// Makes the scores an output, at the stage that the node asks for.
  private mutating func show(_ stage: Int, _ scores: String) {
    if node.makes(3), scoreMode == stage { made.output(3, "Identity", [scores]) }
  }

  /// [batch, heads, length, width].
  private mutating func split(
    _ input: String, _ heads: Int?, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    guard isFlat, let heads else { return input }
    let shape = try rewriter.ints([0, 0, Int64(heads), -1], "shape")
    let parts = made.apply("Reshape", [input, shape], &rewriter)
    return made.apply("Transpose", [parts], ["perm": .ints([0, 2, 1, 3])], &rewriter)
  }

  private mutating func joined(
    _ index: Int, past: Int, present: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    var rows = try split(try node.required(index, "an input"), keyHeads, &rewriter)
    if let old = node.input(past) {
      rows = made.apply("Concat", [old, rows], ["axis": .int(2)], &rewriter)
    }
    if node.makes(present) { made.output(present, "Identity", [rows]) }
    return rows
  }

  /// Drops the keys that a mask does not reach, where there may be some: with counts of keys.
  private mutating func coverMask(_ rewriter: inout Rewriter) throws(StackLensError) {
    guard let mask = node.input(3), !node.makes(3) else { return }
    let covered = rewriter.dims(of: mask)?.last ?? nil
    guard node.input(6) != nil || covered == 1 else { return }
    let end = made.apply("Shape", [mask], ["start": .int(-1)], &rewriter)
    let (start, axes) = (try rewriter.ints([0], "start"), try rewriter.ints([2], "axes"))
    key = made.apply("Slice", [key, start, end, axes], &rewriter)
    value = made.apply("Slice", [value, start, end, axes], &rewriter)
  }

  private var isGrouped: Bool {
    guard let queryHeads, let keyHeads else { return true }
    return queryHeads != keyHeads
  }

  /// The heads that share a key head, one below the other.
  private mutating func grouped(
    _ rows: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    isGrouped ? try regrouped(rows, keyHeads, like: key, &rewriter) : rows
  }

  private mutating func ungrouped(
    _ rows: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    isGrouped ? try regrouped(rows, queryHeads, like: query, &rewriter) : rows
  }

  private mutating func regrouped(
    _ rows: String, _ heads: Int?, like other: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    if let heads {
      let shape = try rewriter.ints([0, Int64(heads), -1, 0], "shape")
      return made.apply("Reshape", [rows, shape], &rewriter)
    }
    let count = made.apply("Shape", [other], ["start": .int(1), "end": .int(2)], &rewriter)
    // A width of nothing would leave a -1 open.
    let extents = made.apply("Shape", [rows], ["start": .int(1), "end": .int(3)], &rewriter)
    let product = made.apply("ReduceProd", [extents], &rewriter)
    let divisor = made.apply("Max", [count, try rewriter.ints([1], "one")], &rewriter)
    let length = made.apply("Div", [product, divisor], &rewriter)
    let zero = try rewriter.ints([0], "zero")
    let shape = made.apply("Concat", [zero, count, length, zero], ["axis": .int(0)], &rewriter)
    return made.apply("Reshape", [rows, shape], &rewriter)
  }

  private mutating func scaledScores(
    _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let turned = made.apply("Transpose", [key], ["perm": .ints([0, 1, 3, 2])], &rewriter)
    let left = try grouped(query, &rewriter)
    var scores = made.apply("MatMul", [left, turned], &rewriter)
    scores = try ungrouped(scores, &rewriter)
    if node.has("scale") {
      let scale = try made.scalar(Double(try node.float("scale")), &rewriter)
      return made.apply("Mul", [scores, scale], &rewriter)
    }
    let dims = rewriter.dims(of: node.node.inputs[0])
    if let last = dims?.last, let width = last, let queryHeads, queryHeads > 0 {
      let size = isFlat ? width / queryHeads : width
      let root = try made.scalar(Double(size).squareRoot(), &rewriter)
      return made.apply("Div", [scores, root], &rewriter)
    }
    let size = made.apply("Shape", [query], ["start": .int(3)], &rewriter)
    let wide = made.apply(
      "Cast", [size], ["to": .int(Int64(ElementType.float32.rawValue))], &rewriter)
    let root = made.apply("Sqrt", [wide], &rewriter)
    let divisor = made.apply("CastLike", [root, scores], &rewriter)
    return made.apply("Div", [scores, divisor], &rewriter)
  }

  /// Scores with the mask added, and -infinity at the keys that a query does not see.
  private mutating func maskedScores(
    _ scores: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> (scores: String, isMasked: Bool) {
    var (scores, conditions) = (scores, try windows(&rewriter))
    var isMasked = !conditions.isEmpty
    if let mask = node.input(3) {
      isMasked = true
      guard let type = rewriter.elementType(of: mask) else {
        throw .unsupported("the element type of attn_mask '\(mask)' is not known")
      }
      if type == .bool {
        conditions.append(mask)
      } else {
        let added =
          type.isFloat ? mask : made.apply("CastLike", [mask, scores], &rewriter)
        scores = made.apply("Add", [scores, added], &rewriter)
      }
    }
    guard var seen = conditions.first else { return (scores, isMasked) }
    for other in conditions.dropFirst() { seen = made.apply("And", [seen, other], &rewriter) }
    let nothing = try made.scalar(-Double.infinity, &rewriter)
    return (made.apply("Where", [seen, scores, nothing], &rewriter), true)
  }

  /// Conditions on the places of queries and keys, [L, M] or [B, 1, L, M].
  private mutating func windows(_ rewriter: inout Rewriter) throws(StackLensError) -> [String] {
    let (left, right) = (try node.int("left_window_size"), try node.int("right_window_size"))
    let isCausal = try node.flag("is_causal")
    let counts = node.input(6)
    guard isCausal || left >= 0 || right >= 0 || counts != nil else { return [] }
    let keys = try range(key, &rewriter)
    var conditions: [String] = []
    var counted = ""
    if let counts {
      counted = made.apply(
        "Reshape", [counts, try rewriter.ints([-1, 1, 1, 1], "shape")], &rewriter)
      conditions.append(made.apply("Less", [keys, counted], &rewriter))
    }
    guard isCausal || left >= 0 || right >= 0 else { return conditions }
    var places = try range(query, &rewriter)
    places = made.apply("Unsqueeze", [places, try rewriter.ints([1], "axes")], &rewriter)
    if counts != nil {
      let length = made.apply("Shape", [query], ["start": .int(2), "end": .int(3)], &rewriter)
      let offset = made.apply("Sub", [counted, length], &rewriter)
      places = made.apply("Add", [places, offset], &rewriter)
    } else if let past = node.input(4) {
      let offset = made.apply("Shape", [past], ["start": .int(2), "end": .int(3)], &rewriter)
      places = made.apply("Add", [places, offset], &rewriter)
    }
    func shifted(_ distance: Int) throws(StackLensError) -> String {
      if distance == 0 { return places }
      return try made.apply("Add", [places, rewriter.ints([Int64(distance)], "window")], &rewriter)
    }
    if left >= 0 {
      conditions.append(
        made.apply("GreaterOrEqual", [keys, try shifted(-left)], &rewriter))
    }
    if isCausal || right >= 0 {
      conditions.append(
        made.apply("LessOrEqual", [keys, try shifted(isCausal ? 0 : right)], &rewriter))
    }
    return conditions
  }

  /// 0, 1, … along axis 2 of a value.
  private mutating func range(
    _ rows: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let length = made.apply("Shape", [rows], ["start": .int(2), "end": .int(3)], &rewriter)
    let end = made.apply("Squeeze", [length, try rewriter.ints([0], "axes")], &rewriter)
    let zero = rewriter.constant(try Tensor(scalar: Int64(0)), "zero")
    let one = rewriter.constant(try Tensor(scalar: Int64(1)), "one")
    return made.apply("Range", [zero, end, one], &rewriter)
  }

  /// The softmax, with zeros for a query that sees no key.
  private mutating func weights(
    _ scores: String, isMasked: Bool, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    var wide = scores
    if node.has("softmax_precision") {
      let code = Int64(try node.int("softmax_precision"))
      wide = made.apply("Cast", [scores], ["to": .int(code)], &rewriter)
    }
    var weights = made.apply("Softmax", [wide], ["axis": .int(-1)], &rewriter)
    if wide != scores { weights = made.apply("CastLike", [weights, scores], &rewriter) }
    guard isMasked else { return weights }
    let largest = made.apply(
      "ReduceMax", [scores, try rewriter.ints([-1], "axes")], &rewriter)
    let nothing = try made.scalar(-Double.infinity, &rewriter)
    let isEmpty = made.apply("Equal", [largest, nothing], &rewriter)
    let zero = try made.scalar(0, &rewriter)
    return made.apply("Where", [isEmpty, zero, weights], &rewriter)
  }
}
