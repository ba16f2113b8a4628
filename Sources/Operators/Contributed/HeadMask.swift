import Base
import Graphs
import Tensors

/// What ONNX Runtime's attention operators have in common, written in standard operators.
extension Decomposition {
  /// The extent of one axis, as a list of one number.
  mutating func extent(_ name: String, _ axis: Int64, _ rewriter: inout Rewriter) -> String {
    var range: [String: Attribute] = ["start": .int(axis)]
    if axis != -1 { range["end"] = .int(axis + 1) }
    return apply("Shape", [name], range, &rewriter)
  }

  /// 0, 1, … below a list of one number.
  mutating func range(_ end: String, _ rewriter: inout Rewriter) throws(StackLensError) -> String {
    let limit = apply("Squeeze", [end, try rewriter.ints([0], "axes")], &rewriter)
    let zero = rewriter.constant(try Tensor(scalar: Int64(0)), "zero")
    let one = rewriter.constant(try Tensor(scalar: Int64(1)), "one")
    return apply("Range", [zero, limit, one], &rewriter)
  }

  /// [batch, length, heads * width] as [batch, heads, length, width].
  mutating func splitHeads(
    _ rows: String, _ heads: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let shape = try rewriter.ints([0, 0, Int64(heads), -1], "shape")
    return apply(
      "Transpose", [apply("Reshape", [rows, shape], &rewriter)], ["perm": .ints([0, 2, 1, 3])],
      &rewriter)
  }

  /// [batch, heads, length, width] as output 0 of shape [batch, length, heads * width].
  mutating func joinHeads(
    _ rows: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) {
    let turned = apply("Transpose", [rows], ["perm": .ints([0, 2, 1, 3])], &rewriter)
    output(0, "Reshape", [turned, try rewriter.ints([0, 0, -1], "shape")])
  }

  /// What is added to scores [batch, heads, length, keys]: `filter` at the keys that a mask of any
  /// of ONNX Runtime's forms leaves out, and a bias.
  mutating func scoreBias(
    mask: String?, bias: String?, filter: Float, query: String, past: String,
    keyCount: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    guard let mask else { return bias ?? "" }
    let kept = try keptKeys(mask, query: query, past: past, keyCount: keyCount, &rewriter)
    let (nothing, all) = (try scalar(Double(filter), &rewriter), try scalar(0, &rewriter))
    let added = apply("Where", [kept, all, nothing], &rewriter)
    guard let bias else { return added }
    return apply("Add", [added, bias], &rewriter)
  }

  /// Whether a key is kept, in a shape that broadcasts to the scores.
  private mutating func keptKeys(
    _ mask: String, query: String, past: String, keyCount: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let zero = rewriter.constant(try Tensor(scalar: Int32(0)), "zero")
    switch rewriter.dims(of: mask)?.count {
    case 2:
      let rows = apply("Unsqueeze", [mask, try rewriter.ints([1, 2], "axes")], &rewriter)
      return apply("Greater", [rows, zero], &rewriter)
    case 3:
      let rows = apply("Unsqueeze", [mask, try rewriter.ints([1], "axes")], &rewriter)
      return apply("Greater", [rows, zero], &rewriter)
    case 4:
      let first = past.isEmpty ? try rewriter.ints([0], "first") : past
      let last = apply("Add", [first, extent(query, 1, &rewriter)], &rewriter)
      let rows = apply("Slice", [mask, first, last, try rewriter.ints([2], "axes")], &rewriter)
      let cut = apply(
        "Slice",
        [rows, try rewriter.ints([0], "start"), keyCount, try rewriter.ints([3], "axes")],
        &rewriter)
      return apply("Greater", [cut, zero], &rewriter)
    case 1: return try keysWithin(mask, query: query, keyCount: keyCount, &rewriter)
    case nil: return try keysOfAnyMask(mask, query: query, keyCount: keyCount, &rewriter)
    case let rank?:
      throw .shapeMismatch("mask '\(mask)' has \(rank) axes, expected 1 to 4")
    }
  }

  /// A mask that holds the ends of the keys of each batch entry, and maybe their starts after them.
  private mutating func keysWithin(
    _ mask: String, query: String, keyCount: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let keys = try range(keyCount, &rewriter)
    let batch = extent(query, 0, &rewriter)
    let wide = apply("Cast", [mask], ["to": .int(Int64(ElementType.int64.rawValue))], &rewriter)
    // Where there are no starts they are 0.
    let zeros = apply(
      "ConstantOfShape", [batch], ["value": .tensor(try Tensor([Int64(0)]))], &rewriter)
    let bounds = apply("Concat", [wide, zeros], ["axis": .int(0)], &rewriter)
    let column = try rewriter.ints([-1, 1, 1, 1], "column")
    let (zero, axes) = (try rewriter.ints([0], "start"), try rewriter.ints([0], "axes"))
    let twice = apply("Add", [batch, batch], &rewriter)
    let ends = apply("Slice", [bounds, zero, batch, axes], &rewriter)
    let starts = apply("Slice", [bounds, batch, twice, axes], &rewriter)
    let before = apply("Less", [keys, apply("Reshape", [ends, column], &rewriter)], &rewriter)
    let after = apply(
      "GreaterOrEqual", [keys, apply("Reshape", [starts, column], &rewriter)], &rewriter)
    return apply("And", [before, after], &rewriter)
  }

  /// A mask whose axes are not known: [batch] counts of keys, [batch, keys], or
  /// [batch, length, keys]. The number of its elements tells.
  private mutating func keysOfAnyMask(
    _ mask: String, query: String, keyCount: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let keys = try range(keyCount, &rewriter)
    let batch = extent(query, 0, &rewriter)
    let isCount = apply("Equal", [apply("Size", [mask], &rewriter), batch], &rewriter)
    let last = apply("Where", [isCount, try rewriter.ints([1], "one"), keyCount], &rewriter)
    let shape = apply(
      "Concat", [batch, try rewriter.ints([1, -1], "middle"), last], ["axis": .int(0)], &rewriter)
    let wide = apply("Cast", [mask], ["to": .int(Int64(ElementType.int64.rawValue))], &rewriter)
    let rows = apply("Reshape", [wide, shape], &rewriter)
    let within = apply("Less", [keys, rows], &rewriter)
    let chosen = apply(
      "Greater", [rows, rewriter.constant(try Tensor(scalar: Int64(0)), "zero")], &rewriter)
    let counted = apply("And", [isCount, within], &rewriter)
    let flagged = apply("And", [apply("Not", [isCount], &rewriter), chosen], &rewriter)
    return apply("Or", [counted, flagged], &rewriter)
  }
}

extension ComposedNode {
  /// Refuses inputs that only matter to runtimes that write into buffers of the caller, and outputs
  /// that show scores.
  func requireAbsent(
    inputs: [Int: String] = [:], outputs: [Int: String] = [:], flags: [String] = []
  ) throws(StackLensError) {
    for (index, what) in inputs.sorted(by: { $0.key < $1.key }) where input(index) != nil {
      throw .unsupported("input \(index) (\(what)) of \(node.opType)")
    }
    for (index, what) in outputs.sorted(by: { $0.key < $1.key }) where makes(index) {
      throw .unsupported("output \(index) (\(what)) of \(node.opType)")
    }
    for name in flags where has(name) {
      let value = try int(name)
      guard value <= 0 else { throw .unsupported("\(name) = \(value) of \(node.opType)") }
    }
  }

  /// A count of heads.
  func heads(_ name: String = "num_heads") throws(StackLensError) -> Int {
    let count = try int(name)
    guard count > 0, count <= 1 << 20 else {
      throw .invalidArgument("attribute '\(name)' is \(count), expected 1 or more")
    }
    return count
  }

  /// The attributes that an Attention node takes over.
  func attentionAttributes(
    queryHeads: Int? = nil, keyHeads: Int? = nil, isCausal: Bool
  ) throws(StackLensError) -> [String: Attribute] {
    var attributes: [String: Attribute] = [:]
    if let queryHeads { attributes["q_num_heads"] = .int(Int64(queryHeads)) }
    if let keyHeads { attributes["kv_num_heads"] = .int(Int64(keyHeads)) }
    if isCausal { attributes["is_causal"] = .int(1) }
    if has("scale"), case let scale = try float("scale"), scale != 0 {
      attributes["scale"] = .float(scale)
    }
    if has("softcap"), case let cap = try float("softcap"), cap > 0 {
      attributes["softcap"] = .float(cap)
    }
    return attributes
  }
}
