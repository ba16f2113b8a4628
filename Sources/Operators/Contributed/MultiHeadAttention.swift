import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Attention over projected queries, keys and values with their biases, masks and caches.
  static let multiHeadAttention = OperatorDefinition.composed(
    "MultiHeadAttention", domain: runtimeDomain, versions: [1], inputs: 1...10, outputs: 1...4,
    attributes: [
      .required("num_heads", .int), .float("mask_filter_value", default: -10000),
      .optional("scale", .float), .int("unidirectional", default: 0),
    ],
    samples: [
      Sample(
        [
          .floats(2, 3, 8), .floats(2, 5, 8), .floats(2, 5, 4), .floats(20), mask([1, 3, 5, 2]),
          .floats(1, 2, 3, 5),
        ], ["num_heads": .int(2)]),
      Sample(
        [
          .floats(1, 2, 8), .floats(1, 2, 8), .floats(1, 2, 8), .absent, .absent, .absent,
          .floats(1, 2, 3, 4), .floats(1, 2, 3, 4),
        ], ["num_heads": .int(2), "unidirectional": .int(1)], outputs: 3),
      Sample([.floats(1, 4, 2, 3, 4)], ["num_heads": .int(2)]),
    ]
  ) { (node, rewriter) throws(StackLensError) in
    try node.requireAbsent(
      inputs: [8: "past_sequence_length", 9: "cache_indirection"], outputs: [3: "qk"])
    var work = try HeadInputs(node, &rewriter)
    try work.addBias(node.input(3), &rewriter)
    return try work.attend(
      mask: node.input(4), bias: node.input(5), pastKey: node.input(6), pastValue: node.input(7),
      &rewriter)
  }

  /// Counts of keys for two texts, or 0 and 1 for each of their keys.
  private static func mask(_ values: [Int32]) -> Sample.Input {
    .tensor { () throws(StackLensError) in
      try Tensor((0..<10).map { Int32($0 % 5 < 4 ? 1 : 0) }, shape: Shape([2, 5]))
    }
  }
}

/// Queries, keys and values of one MultiHeadAttention on their way to Attention.
private struct HeadInputs {
  private let node: ComposedNode
  private var made: Decomposition
  private let heads: Int
  private var query: String
  private var key: String
  private var value: String
  /// Whether keys and values have heads before lengths already.
  private let isSplit: Bool

  init(_ node: ComposedNode, _ rewriter: inout Rewriter) throws(StackLensError) {
    self.node = node
    heads = try node.heads()
    var nodes = Decomposition(node.node, newestOpset)
    query = try node.required(0, "query")
    func unpacked(_ packed: String, _ count: Int) throws(StackLensError) -> [String] {
      let parts = nodes.split(packed, into: count, axis: 3, &rewriter)
      let shape = try rewriter.ints([0, 0, -1], "shape")
      return parts.map { nodes.apply("Reshape", [$0, shape], &rewriter) }
    }
    var hasSplitKeys = false
    switch (node.input(1), node.input(2)) {
    case (nil, nil):
      let parts = try unpacked(query, 3)
      (query, key, value) = (parts[0], parts[1], parts[2])
    case (let packed?, nil):
      let parts = try unpacked(packed, 2)
      (key, value) = (parts[0], parts[1])
    case (nil, _?): throw .invalidArgument("value is given without key")
    case (let key?, let value?):
      (self.key, self.value) = (key, value)
      hasSplitKeys = rewriter.dims(of: key)?.count == 4
    }
    isSplit = hasSplitKeys
    made = nodes
  }

  /// Adds a bias that holds those of queries, keys and values one after the other.
  mutating func addBias(_ bias: String?, _ rewriter: inout Rewriter) throws(StackLensError) {
    guard let bias else { return }
    if let constant = rewriter.value(of: bias), constant.rank == 1,
      let width = rewriter.lastExtent(of: node.node.inputs[0]), node.input(1) != nil,
      width * 2 <= constant.count
    {
      let cuts = [0, width, 2 * width, constant.count]
      func part(_ index: Int) throws(StackLensError) -> String {
        rewriter.constant(try constant.rows(cuts[index]..<cuts[index + 1]), "bias")
      }
      query = made.apply("Add", [query, try part(0)], &rewriter)
      if isSplit { return }
      key = made.apply("Add", [key, try part(1)], &rewriter)
      value = made.apply("Add", [value, try part(2)], &rewriter)
      return
    }
    let zero = try rewriter.ints([0], "zero")
    let end = try rewriter.ints([.max], "end")
    let width = made.extent(query, -1, &rewriter)
    let twice = made.apply("Add", [width, width], &rewriter)
    func part(_ first: String, _ last: String) -> String {
      made.apply("Slice", [bias, first, last, zero], &rewriter)
    }
    query = made.apply("Add", [query, part(zero, width)], &rewriter)
    if isSplit { return }
    key = made.apply("Add", [key, part(width, twice)], &rewriter)
    value = made.apply("Add", [value, part(twice, end)], &rewriter)
  }

  mutating func attend(
    mask: String?, bias: String?, pastKey: String?, pastValue: String?,
    _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    var keyCount = made.extent(key, isSplit ? 2 : 1, &rewriter)
    var past = ""
    if let pastKey {
      past = made.extent(pastKey, 2, &rewriter)
      keyCount = made.apply("Add", [keyCount, past], &rewriter)
    }
    let added = try made.scoreBias(
      mask: mask, bias: bias, filter: try node.float("mask_filter_value"), query: query,
      past: past, keyCount: keyCount, &rewriter)
    let isCausal = try node.flag("unidirectional")
    let presents = [1, 2].map { node.makes($0) ? node.node.outputs[$0] : "" }
    let inputs = [query, key, value, added, pastKey ?? "", pastValue ?? ""]
    if !isSplit {
      made.apply(
        "Attention", inputs,
        try node.attentionAttributes(queryHeads: heads, keyHeads: heads, isCausal: isCausal),
        to: trimmed([node.node.outputs[0]] + presents))
      return made.nodes
    }
    let split = try made.splitHeads(query, heads, &rewriter)
    let mixed = rewriter.fresh("mixed")
    made.apply(
      "Attention", [split] + inputs.dropFirst(), try node.attentionAttributes(isCausal: isCausal),
      to: trimmed([mixed] + presents))
    try made.joinHeads(mixed, &rewriter)
    return made.nodes
  }
}

/// Names without the empty ones at the end.
func trimmed(_ names: [String]) -> [String] {
  var names = names
  while names.last?.isEmpty == true { names.removeLast() }
  return names
}
