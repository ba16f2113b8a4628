import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Attention of a decoder: heads in groups, a cache whose entries have lengths of their own and
  /// which may be quantised, rotary embeddings, a window, sinks.
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
      Sample(
        [
          .floats(1, 2, 8), .floats(1, 2, 4), .floats(1, 2, 4),
          .random(.int8, [1, 1, 3, 4], low: -99, high: 99),
          .random(.int8, [1, 1, 3, 4], low: -99, high: 99), lengths([4]), lengths([5]), .absent,
          .absent, .absent, .absent, .floats(2), .number(0.02), .number(0.03),
        ],
        [
          "num_heads": .int(2), "kv_num_heads": .int(1), "kv_cache_bit_width": .int(8),
          "k_quant_type": .string("PER_TENSOR"), "v_quant_type": .string("PER_TENSOR"),
        ], outputs: 3),
    ]
  ) { (node, rewriter) throws(StackLensError) in
    try node.requireAbsent(flags: ["sliding_window_cache"])
    var work = try GroupedAttention(node, &rewriter)
    return try work.nodes(&rewriter)
  }

  private static func lengths(_ values: [Int32]) -> Sample.Input {
    .tensor { () throws(StackLensError) in try Tensor(values) }
  }
}

/// One GroupQueryAttention on its way to standard operators.
struct GroupedAttention {
  let node: ComposedNode
  var made: Decomposition
  let queryHeads: Int
  let keyHeads: Int
  /// Queries of this call and all tokens, as lists of one number.
  let length: String
  let total: String
  /// Tokens of each batch entry that came before, [batch].
  let before: String

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
    key = try cached(key, .keys, &rewriter)
    value = try cached(value, .values, &rewriter)
    let mixed =
      try needsScores
      ? mixedByScores(query, key, value, &rewriter) : mixed(query, key, value, &rewriter)
    try made.joinHeads(mixed, &rewriter)
    return made.nodes
  }

  /// What the standard's Attention makes of them.
  private mutating func mixed(
    _ query: String, _ key: String, _ value: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    let counts = made.apply("Add", [before, length], &rewriter)
    var attributes = try node.attentionAttributes(isCausal: try node.flag("causal"))
    if let window = try window { attributes["left_window_size"] = .int(Int64(window - 1)) }
    return made.apply(
      "Attention", [query, key, value, node.input(10) ?? "", "", "", counts], attributes,
      &rewriter)
  }

  /// How many keys a query sees at most, its own counted; nil where it sees all.
  var window: Int? {
    get throws(StackLensError) {
      let size = try node.int("local_window_size")
      return size > 0 ? size : nil
    }
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
}
