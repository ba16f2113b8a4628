import Base
import Graphs
import Tensors

extension Node {
  /// Whether the node makes a sequence out of anything else.
  var makesSequence: Bool {
    domain.isEmpty
      && ["SequenceConstruct", "SequenceEmpty", "SplitToSequence"].contains(opType)
  }
}

/// A graph in which sequences whose items are known by name are gone: what reads an item reads the
/// value itself. Sequences that something else reads stay beside it.
struct SequenceListing {
  private(set) var graph: Graph
  private(set) var isChanged = false
  private let constants: [String: Tensor]
  private let types: [String: ValueType]
  private var items: [String: [String]] = [:]

  init(of source: Graph) throws(StackLensError) {
    graph = source
    constants = Unrolling.constants(of: source)
    guard source.nodes.contains(where: \.makesSequence) else {
      types = [:]
      return
    }
    types = GraphTypes(of: source).values
    graph.nodes = []
    for node in source.nodes {
      do throws(StackLensError) {
        if node.domain.isEmpty, try list(node) { continue }
      } catch { throw error.within(node.label) }
      graph.nodes.append(node)
    }
    removeUnread()
  }

  /// Notes the items of a sequence that the node makes, or puts nodes on values in its place.
  /// - Returns: whether the node has been replaced.
  private mutating func list(_ node: Node) throws(StackLensError) -> Bool {
    switch node.opType {
    case "SequenceConstruct": items[node.outputs[0]] = node.inputs
    case "SequenceEmpty": items[node.outputs[0]] = []
    case "SequenceInsert", "SequenceErase": items[node.outputs[0]] = edited(node)
    case "Identity": items[node.outputs[0]] = sequence(node)
    case "SplitToSequence": items[node.outputs[0]] = try split(node)
    case "SequenceMap": return try map(node)
    case "SequenceAt":
      guard let list = sequence(node), let place = position(node, 1, below: list.count) else {
        return false
      }
      return replaced("Identity", [list[place]], node)
    case "SequenceLength":
      guard let list = sequence(node) else { return false }
      let count = "\(node.outputs[0])/count"
      try add(count, Tensor(scalar: Int64(list.count)))
      return replaced("Identity", [count], node)
    case "ConcatFromSequence": return try concatenated(node)
    default: return false
    }
    // The sequence itself stays for whoever else reads it.
    return false
  }

  private func sequence(_ node: Node) -> [String]? {
    node.inputs.first.flatMap { items[$0] }
  }

  /// A constant input as one of `count` places; negative ones count from `end`.
  private func position(
    _ node: Node, _ index: Int, from end: Int? = nil, below count: Int
  ) -> Int? {
    guard let tensor = constants[node.inputs[index]], tensor.count == 1,
      let given = try? tensor.integers()[0]
    else { return nil }
    let place = given < 0 ? given + (end ?? count) : given
    return place >= 0 && place < count ? place : nil
  }

  private func edited(_ node: Node) -> [String]? {
    guard var list = sequence(node) else { return nil }
    let isInsertion = node.opType == "SequenceInsert"
    let last = isInsertion ? 2 : 1
    let hasPlace = node.inputs.count > last && !node.inputs[last].isEmpty
    if isInsertion {
      let place =
        hasPlace ? position(node, last, from: list.count, below: list.count + 1) : list.count
      guard let place else { return nil }
      list.insert(node.inputs[1], at: place)
    } else {
      guard let place = hasPlace ? position(node, last, below: list.count) : list.count - 1,
        place >= 0
      else { return nil }
      list.remove(at: place)
    }
    return list
  }

  private mutating func add(_ name: String, _ tensor: Tensor) throws(StackLensError) {
    graph.initializers.append(Initializer(name, tensor, isConstant: true))
  }

  private mutating func replaced(
    _ opType: String, _ inputs: [String], _ node: Node, _ attributes: [String: Attribute] = [:]
  ) -> Bool {
    graph.nodes.append(
      Node(
        opType, inputs: inputs, outputs: node.outputs, attributes: attributes, name: node.name))
    isChanged = true
    return true
  }

  /// Each of some values behind an Unsqueeze or a Squeeze.
  private mutating func turned(
    _ opType: String, _ names: [String], _ axis: Int64, _ prefix: String, _ suffix: String
  ) throws(StackLensError) -> [String] {
    let axes = "\(prefix)/axis"
    try add(axes, Tensor([axis]))
    return names.indices.map { index in
      let name = "\(prefix)/\(index)/\(suffix)"
      graph.nodes.append(Node(opType, inputs: [names[index], axes], outputs: [name]))
      return name
    }
  }

  private mutating func concatenated(_ node: Node) throws(StackLensError) -> Bool {
    guard var list = sequence(node), !list.isEmpty, case .int(let axis)? = node.attributes["axis"]
    else { return false }
    if node.attributes["new_axis"]?.isTrue == true {
      list = try turned("Unsqueeze", list, axis, node.outputs[0], "row")
    }
    return replaced("Concat", list, node, ["axis": .int(axis)])
  }

  /// The parts of a tensor, made by a Split beside the node.
  private mutating func split(_ node: Node) throws(StackLensError) -> [String]? {
    var axis: Int64 = 0
    if case .int(let given)? = node.attributes["axis"] { axis = given }
    var sizes: [Int]?
    let isGiven = node.inputs.count > 1 && !node.inputs[1].isEmpty
    let given = isGiven ? constants[node.inputs[1]] : nil
    if let given, given.rank == 1 {
      sizes = try? given.integers()
    } else if case .tensor(_, let dims?)? = types[node.inputs[0]], given != nil || !isGiven {
      let place = axis < 0 ? Int(axis) + dims.count : Int(axis)
      guard dims.indices.contains(place), let extent = dims[place].extent else { return nil }
      let size = (try given?.integers()[0]) ?? 1
      guard size > 0, extent / size < Unrolling.nodeLimit else { return nil }
      sizes = stride(from: 0, to: extent, by: size).map { min(size, extent - $0) }
    }
    guard let sizes, !sizes.isEmpty else { return nil }
    let name = node.outputs[0]
    let parts = sizes.indices.map { "\(name)/\($0)" }
    let isSqueezed = !isGiven && node.attributes["keepdims"].map { !$0.isTrue } == true
    // An earlier walk may have made them already.
    if graph.initializers.contains(where: { $0.name == "\(name)/sizes" }) {
      return isSqueezed ? parts.map { "\($0)/part" } : parts
    }
    try add("\(name)/sizes", Tensor(sizes.map { Int64($0) }))
    graph.nodes.append(
      Node(
        "Split", inputs: [node.inputs[0], "\(name)/sizes"], outputs: parts,
        attributes: ["axis": .int(axis)]))
    return isSqueezed ? try turned("Squeeze", parts, axis, name, "part") : parts
  }

  /// Runs the body of a SequenceMap on every item.
  private mutating func map(_ node: Node) throws(StackLensError) -> Bool {
    guard case .graph(let body)? = node.attributes["body"], let list = sequence(node),
      !list.isEmpty, body.inputs.count == node.inputs.count,
      list.count <= Unrolling.nodeLimit / max(1, body.nodes.count)
    else { return false }
    for input in node.inputs {
      if let other = items[input] {
        guard other.count == list.count else { return false }
      } else if case .tensor? = types[input] {
      } else {
        return false
      }
    }
    let prefix = node.outputs.first { !$0.isEmpty } ?? node.opType
    graph.initializers += body.constants(under: prefix)
    var results = [[String]](repeating: [], count: body.outputs.count)
    for round in list.indices {
      let (nodes, outputs) = body.written(
        under: "\(prefix)/\(round)", constants: prefix,
        inputs: node.inputs.map { items[$0]?[round] ?? $0 })
      graph.nodes += nodes
      for (index, name) in outputs.enumerated() { results[index].append(name) }
    }
    for (output, names) in zip(node.outputs, results) where !output.isEmpty {
      items[output] = names
      graph.nodes.append(Node("SequenceConstruct", inputs: names, outputs: [output]))
    }
    isChanged = true
    return true
  }

  /// Leaves out sequences that nobody reads any more.
  private mutating func removeUnread() {
    var needed = Set(graph.outputs.map(\.name))
    var kept: [Node] = []
    for node in graph.nodes.reversed() {
      let isListed = !node.outputs.isEmpty && node.outputs.allSatisfy { items[$0] != nil }
      guard !isListed || node.outputs.contains(where: needed.contains) else { continue }
      needed.formUnion(node.reads)
      kept.append(node)
    }
    graph.nodes = kept.reversed()
  }
}
