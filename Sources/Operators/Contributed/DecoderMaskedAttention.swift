import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// MultiHeadAttention of one token, with its inputs in another order, and with caches that have
  /// room for more tokens than they hold. Searches over several beams are not made here.
  static let decoderMaskedAttention = OperatorDefinition.composed(
    "DecoderMaskedMultiHeadAttention", domain: runtimeDomain, versions: [1], inputs: 1...11,
    outputs: 1...4,
    attributes: [
      .required("num_heads", .int), .float("mask_filter_value", default: -10000),
      .optional("scale", .float), .int("past_present_share_buffer", default: 0),
      .int("output_qk", default: 0),
    ],
    samples: [
      Sample(
        [
          .floats(2, 1, 8), .floats(2, 1, 8), .floats(2, 1, 8), .absent, .absent,
          .floats(2, 2, 3, 4), .floats(2, 2, 3, 4),
        ], ["num_heads": .int(2)], outputs: 3),
      Sample(
        [
          .floats(2, 1, 8), .floats(2, 1, 8), .floats(2, 1, 8), .absent, .absent,
          .floats(2, 2, 6, 4), .floats(2, 2, 6, 4),
          .tensor { () throws(StackLensError) in try Tensor([Int32(3)]) },
        ], ["num_heads": .int(2), "past_present_share_buffer": .int(1)], outputs: 3),
      Sample([.floats(1, 1, 8), .floats(1, 1, 8), .floats(1, 1, 8)], ["num_heads": .int(2)]),
    ]
  ) { (node, rewriter) throws(StackLensError) in
    try node.requireAbsent(
      inputs: [9: "cache_indirection"], outputs: [3: "qk"], flags: ["output_qk"])
    func name(_ index: Int) -> String { node.input(index) ?? "" }
    if node.input(5) != nil, try node.flag("past_present_share_buffer") {
      return try attentionInBuffers(node, &rewriter)
    }
    var plain = node.node
    plain.inputs = trimmed([0, 1, 2, 10, 3, 4, 5, 6].map(name))
    plain.attributes["past_present_share_buffer"] = nil
    plain.attributes["output_qk"] = nil
    return try multiHeadAttention.lift?(plain, 1, &rewriter) ?? []
  }

  /// The new row goes behind those that the caches hold; the rest of them is not looked at.
  private static func attentionInBuffers(
    _ node: ComposedNode, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    var made = Decomposition(node.node, newestOpset)
    let heads = try node.heads()
    let projected = try made.biased(node, &rewriter)
    var parts: [String] = []
    for part in projected { parts.append(try made.splitHeads(part, heads, &rewriter)) }
    let batch = made.extent(parts[0], 0, &rewriter)
    let held = made.apply(
      "Cast", [try node.required(7, "past_sequence_length")],
      ["to": .int(Int64(ElementType.int64.rawValue))], &rewriter)
    let count = made.apply("Reshape", [held, try rewriter.ints([-1], "list")], &rewriter)
    let places = made.apply("Expand", [count, batch], &rewriter)
    for (index, past) in [(1, 5), (2, 6)] {
      let present = node.makes(index) ? node.node.outputs[index] : rewriter.fresh("cache")
      made.apply(
        "TensorScatter", [try node.required(past, "a cache"), parts[index], places],
        ["axis": .int(2)], to: [present])
      parts[index] = present
    }
    let total = made.apply("Add", [count, try rewriter.ints([1], "one")], &rewriter)
    let added = try made.scoreBias(
      mask: node.input(3), bias: node.input(4), filter: try node.float("mask_filter_value"),
      query: projected[0], past: count, keyCount: total, &rewriter)
    let mixed = made.apply(
      "Attention",
      parts + [added, "", "", made.apply("Expand", [total, batch], &rewriter)],
      try node.attentionAttributes(isCausal: false), &rewriter)
    try made.joinHeads(mixed, &rewriter)
    return made.nodes
  }
}

extension Decomposition {
  /// Queries, keys and values of one token, side by side or apart, with their bias.
  fileprivate mutating func biased(
    _ node: ComposedNode, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [String] {
    let query = try node.required(0, "query")
    guard let key = node.input(1), let value = node.input(2) else {
      var all = query
      if let bias = node.input(10) { all = apply("Add", [all, bias], &rewriter) }
      return split(all, into: 3, axis: -1, &rewriter)
    }
    var parts = [query, key, value]
    guard let bias = node.input(10) else { return parts }
    let axis = try rewriter.ints([0], "axes")
    var start = axis
    for index in parts.indices {
      let end = apply("Add", [start, extent(parts[index], -1, &rewriter)], &rewriter)
      let piece = apply("Slice", [bias, start, end, axis], &rewriter)
      parts[index] = apply("Add", [parts[index], piece], &rewriter)
      start = end
    }
    return parts
  }
}
