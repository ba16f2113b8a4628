import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Attention of a decoder: heads in groups, a cache whose entries have lengths of their own,
  /// rotary embeddings, a window.
  static let groupQueryAttention = OperatorDefinition.composed(
    "GroupQueryAttention", domain: runtimeDomain, versions: [1], inputs: 7...16, outputs: 1...4,
    attributes: [
      .required("num_heads", .int), .required("kv_num_heads", .int), .optional("scale", .float),
      .float("softcap", default: 0), .int("do_rotary", default: 0),
      .int("rotary_interleaved", default: 0), .int("local_window_size", default: -1),
      .int("causal", default: 1), .float("qk_norm_epsilon", default: 1e-6),
      .int("smooth_softmax", default: -1), .int("qk_output", default: 0),
      .int("sliding_window_cache", default: 0), .int("kv_cache_bit_width", default: 0),
      .string("k_quant_type", default: "NONE"), .string("v_quant_type", default: "NONE"),
    ],
    samples: [
      Sample(
        [
          .floats(2, 1, 16), .floats(2, 1, 8), .floats(2, 1, 8), .floats(2, 2, 5, 4),
          .floats(2, 2, 5, 4), lengths([5, 2]), lengths([6]), .floats(8, 2), .floats(8, 2),
        ], ["num_heads": .int(4), "kv_num_heads": .int(2), "do_rotary": .int(1)], outputs: 3),
      Sample(
        [
          .floats(1, 3, 16), .absent, .absent, .floats(1, 1, 0, 4), .floats(1, 1, 0, 4),
          lengths([2]), lengths([3]),
        ], ["num_heads": .int(2), "kv_num_heads": .int(1), "local_window_size": .int(1)],
        outputs: 3),
    ]
  ) { (node, rewriter) throws(StackLensError) in
    try node.requireAbsent(
      inputs: [11: "head_sink", 12: "k_scale", 13: "v_scale"], outputs: [3: "output_qk"],
      flags: ["smooth_softmax", "sliding_window_cache", "kv_cache_bit_width"])
    var work = try GroupedAttention(node, &rewriter)
    return try work.nodes(&rewriter)
  }

  private static func lengths(_ values: [Int32]) -> Sample.Input {
    .tensor { () throws(StackLensError) in try Tensor(values) }
  }
}

private struct GroupedAttention {
  private let node: ComposedNode
  private var made: Decomposition
  private let queryHeads: Int
  private let keyHeads: Int
  /// Queries of this call and all tokens, as lists of one number.
  private let length: String
  private let total: String
  /// Tokens of each batch entry that came before, [batch].
  private let before: String

  init(_ node: ComposedNode, _ rewriter: inout Rewriter) throws(StackLensError) {
    self.node = node
    (queryHeads, keyHeads) = (try node.heads(), try node.heads("kv_num_heads"))
    var nodes = Decomposition(node.node, newestOpset)
    func wide(_ index: Int, _ what: String) throws(StackLensError) -> String {
      nodes.apply(
        "Cast", [try node.required(index, what)],
        ["to": .int(Int64(ElementType.int64.rawValue))], &rewriter)
    }
    length = nodes.extent(try node.required(0, "query"), 1, &rewriter)
    let list = try rewriter.ints([-1], "list")
    total = nodes.apply("Reshape", [try wide(6, "total_sequence_length"), list], &rewriter)
    // The lengths come less one. The first call of a text has nothing before it, and its padding
    // is behind its end, where a causal mask hides it.
    let ends = nodes.apply(
      "Reshape",
      [
        nodes.apply("Add", [try wide(5, "seqlens_k"), try rewriter.ints([1], "one")], &rewriter),
        list,
      ], &rewriter)
    let isFirst = nodes.apply("Equal", [total, length], &rewriter)
    let counted = nodes.apply("Sub", [ends, length], &rewriter)
    before = nodes.apply("Where", [isFirst, try rewriter.ints([0], "none"), counted], &rewriter)
    made = nodes
  }

  mutating func nodes(_ rewriter: inout Rewriter) throws(StackLensError) -> [Node] {
    var (query, key, value) = try split(&rewriter)
    if try node.flag("do_rotary") {
      let places = try places(&rewriter)
      query = try turned(query, places, &rewriter)
      key = try turned(key, places, &rewriter)
    }
    key = try cached(key, past: 3, present: 1, &rewriter)
    value = try cached(value, past: 4, present: 2, &rewriter)
    let counts = made.apply("Add", [before, length], &rewriter)
    var attributes = try node.attentionAttributes(isCausal: try node.flag("causal"))
    if case let window = try node.int("local_window_size"), window > 0 {
      // The window counts the query's own key.
      attributes["left_window_size"] = .int(Int64(window - 1))
    }
    let mixed = made.apply(
      "Attention", [query, key, value, node.input(10) ?? "", "", "", counts], attributes,
      &rewriter)
    try made.joinHeads(mixed, &rewriter)
    return made.nodes
  }

  /// Queries, keys and values as [batch, heads, length, width], the first two normalised if the
  /// node says so.
  private mutating func split(
    _ rewriter: inout Rewriter
  ) throws(StackLensError) -> (String, String, String) {
    let query = try node.required(0, "query")
    var parts: [String]
    if let key = node.input(1), let value = node.input(2) {
      parts = [
        try made.splitHeads(query, queryHeads, &rewriter),
        try made.splitHeads(key, keyHeads, &rewriter),
        try made.splitHeads(value, keyHeads, &rewriter),
      ]
    } else {
      let all = try made.splitHeads(query, queryHeads + 2 * keyHeads, &rewriter)
      parts = (0..<3).map { _ in rewriter.fresh("heads") }
      let sizes = try rewriter.ints([queryHeads, keyHeads, keyHeads].map(Int64.init), "sizes")
      made.apply("Split", [all, sizes], ["axis": .int(1)], to: parts)
    }
    for (part, input) in [(0, 14), (1, 15)] {
      guard let scale = node.input(input) else { continue }
      parts[part] = made.apply(
        "RMSNormalization", [parts[part], scale],
        ["epsilon": .float(try node.float("qk_norm_epsilon"))], &rewriter)
    }
    return (parts[0], parts[1], parts[2])
  }

  /// The place of every token, [batch, length].
  private mutating func places(_ rewriter: inout Rewriter) throws(StackLensError) -> String {
    let steps = try made.range(length, &rewriter)
    let column = made.apply("Unsqueeze", [before, try rewriter.ints([1], "axes")], &rewriter)
    guard let given = node.input(9) else { return made.apply("Add", [column, steps], &rewriter) }
    // The first call of a text takes its first place alone from the input.
    let first = made.apply(
      "Slice",
      [
        given, try rewriter.ints([0, 0], "start"), try rewriter.ints([1, 1], "end"),
        try rewriter.ints([0, 1], "axes"),
      ], &rewriter)
    let zeros = made.apply("Mul", [column, try rewriter.ints([0], "zero")], &rewriter)
    let counted = made.apply(
      "Add", [made.apply("Add", [first, steps], &rewriter), zeros], &rewriter)
    let isFirst = made.apply("Equal", [total, length], &rewriter)
    return made.apply("Where", [isFirst, counted, given], &rewriter)
  }

  private mutating func turned(
    _ heads: String, _ places: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let cosines = try node.required(7, "cos_cache")
    var attributes: [String: Attribute] = [
      "interleaved": .int(Int64(try node.int("rotary_interleaved")))
    ]
    // A narrower table turns a part of each head.
    if let pairs = rewriter.lastExtent(of: cosines) {
      attributes["rotary_embedding_dim"] = .int(Int64(2 * pairs))
    }
    return made.apply(
      "RotaryEmbedding", [heads, cosines, try node.required(8, "sin_cache"), places], attributes,
      &rewriter)
  }

  /// The past rows with the new ones behind those of each batch entry.
  private mutating func cached(
    _ rows: String, past: Int, present: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let result = node.makes(present) ? node.node.outputs[present] : rewriter.fresh("cache")
    guard let old = node.input(past) else {
      made.apply("Identity", [rows], to: [result])
      return result
    }
    let missing = made.apply(
      "Sub", [total, made.extent(old, 2, &rewriter)], &rewriter)
    let zero = try rewriter.ints([0], "zero")
    let room = made.apply("Max", [missing, zero], &rewriter)
    let (before, after) = (try rewriter.ints([0, 0, 0, 0, 0, 0], "before"), zero)
    let pads = made.apply("Concat", [before, room, after], ["axis": .int(0)], &rewriter)
    let wide = made.apply("Pad", [old, pads], &rewriter)
    made.apply("TensorScatter", [wide, rows, self.before], ["axis": .int(2)], to: [result])
    return result
  }
}
