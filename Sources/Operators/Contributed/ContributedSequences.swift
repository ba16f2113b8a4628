import Base
import Graphs
import Tensors

extension OperatorTable {
  /// What newer language models have in place of attention or around it.
  static let contributedSequences: [OperatorDefinition] = [
    .contributedLinearAttention, .contributedCausalConvolution, .multimodalRotaryEmbedding,
  ]
}

extension OperatorDefinition {
  /// The standard's LinearAttention, with one state for each call.
  fileprivate static let contributedLinearAttention = composed(
    "LinearAttention", domain: runtimeDomain, inputs: 3...6, outputs: 1...2,
    attributes: linearAttention.attributes + [.int("state_window", default: 0)],
    samples: linearAttention.samples
  ) { (call, _) throws(StackLensError) in
    try call.requireAbsent(flags: ["state_window"])
    return [call.standard(without: ["state_window"])]
  }

  /// The standard's CausalConvWithState, along one axis and without gaps between its taps.
  fileprivate static let contributedCausalConvolution = composed(
    "CausalConvWithState", domain: runtimeDomain, inputs: 2...4, outputs: 1...2,
    attributes: causalConvWithState.attributes + [
      .int("ndim", default: 1), .int("dilation", default: 1), .int("channels_last", default: 0),
      .int("state_window", default: 0),
    ],
    samples: causalConvWithState.samples
  ) { (call, _) throws(StackLensError) in
    try call.requireAbsent(flags: ["channels_last", "state_window"])
    for name in ["ndim", "dilation"] {
      let value = try call.int(name)
      guard value == 1 else { throw .unsupported("\(name) = \(value) of CausalConvWithState") }
    }
    return [call.standard(without: ["ndim", "dilation", "channels_last", "state_window"])]
  }

  /// A RotaryEmbedding whose tokens have three places each, in time, height and width: every pair of
  /// a head turns by the angle of one of them. `mrope_layout` 0 gives the pairs to the places in
  /// three runs, 1 in turn.
  fileprivate static let multimodalRotaryEmbedding = composed(
    "MRotaryEmbedding", domain: runtimeDomain, inputs: 4...4,
    attributes: [
      .required("mrope_section", .ints), .int("num_heads", default: 0),
      .int("rotary_embedding_dim", default: 0), .int("interleaved", default: 0),
      .int("mrope_layout", default: 0), .int("is_packed_batching", default: 0),
      .float("scale", default: 1),
    ],
    samples: [
      Sample(
        [.floats(2, 2, 3, 8), places, .floats(6, 4), .floats(6, 4)],
        ["mrope_section": .ints([2, 1, 1])]),
      Sample(
        [.floats(2, 3, 16), places, .floats(6, 4), .floats(6, 4)],
        ["mrope_section": .ints([2, 1, 1]), "mrope_layout": .int(1), "num_heads": .int(2)]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    try call.requireAbsent(flags: ["is_packed_batching"])
    if case let scale = try call.float("scale"), scale != 1 {
      throw .unsupported("scale = \(scale) of MRotaryEmbedding")
    }
    var parts = Decomposition(call.node, newestOpset)
    let input = try call.required(0, "input")
    let sections = try call.ints("mrope_section") ?? []
    let marks = rewriter.constant(
      try placeOfEachPair(sections, isInterleaved: try call.flag("mrope_layout")), "marks")
    let axis = try rewriter.ints([0], "axes")
    var tables: [String] = []
    for (index, what) in [(2, "cos_cache"), (3, "sin_cache")] {
      let rows = parts.apply(
        "Gather", [try call.required(index, what), try call.required(1, "position_ids")],
        ["axis": .int(0)], &rewriter)
      let like = parts.apply("CastLike", [marks, input], &rewriter)
      let chosen = parts.apply("Mul", [rows, like], &rewriter)
      tables.append(
        parts.apply("ReduceSum", [chosen, axis], ["keepdims": .int(0)], &rewriter))
    }
    var attributes: [String: Attribute] = [
      "interleaved": .int(Int64(try call.int("interleaved"))),
      "rotary_embedding_dim": .int(Int64(try call.int("rotary_embedding_dim"))),
    ]
    var heads = try call.int("num_heads")
    if heads == 0, rewriter.rank(of: input) == 3 {
      let width = 2 * (try extentSum(sections))
      guard let hidden = rewriter.lastExtent(of: input), width > 0 else {
        throw .unsupported("MRotaryEmbedding without num_heads on rows of unknown width")
      }
      heads = hidden / width
    }
    if heads != 0 { attributes["num_heads"] = .int(Int64(heads)) }
    return parts.finish("RotaryEmbedding", [input] + tables, attributes)
  }

  /// [3, 1, 1, pairs], 1 where a pair turns by a place.
  private static func placeOfEachPair(
    _ sections: [Int], isInterleaved: Bool
  ) throws(StackLensError) -> Tensor {
    guard sections.count == 3, sections.allSatisfy({ $0 >= 0 && $0 < 1 << 20 }) else {
      throw .invalidArgument("attribute 'mrope_section' is \(sections), expected three counts")
    }
    let pairs = sections.reduce(0, +)
    let place: (Int) -> Int =
      if isInterleaved {
        { pair in pair % 3 != 0 && pair < 3 * sections[pair % 3] ? pair % 3 : 0 }
      } else {
        { pair in pair < sections[0] ? 0 : pair < sections[0] + sections[1] ? 1 : 2 }
      }
    var marks = [Float](repeating: 0, count: 3 * pairs)
    for pair in 0..<pairs { marks[place(pair) * pairs + pair] = 1 }
    return try Tensor(marks, shape: Shape([3, 1, 1, pairs]))
  }

  private static let places = Sample.Input.tensor { () throws(StackLensError) in
    try Tensor((0..<18).map { Int64($0 % 6) }, shape: Shape([3, 2, 3]))
  }
}

extension ComposedNode {
  /// The standard's operator of the same name, less some attributes.
  fileprivate func standard(without names: Set<String>) -> Node {
    var node = node
    node.domain = ""
    node.attributes = node.attributes.filter { !names.contains($0.key) }
    return node
  }
}
