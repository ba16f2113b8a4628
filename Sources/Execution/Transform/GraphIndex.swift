import Graphs
import Tensors

/// Who makes and who reads each value of a graph: what patterns are matched on.
struct GraphIndex {
  let graph: Graph
  private let producers: [String: Int]
  private let readers: [String: [Int]]
  private let constants: [String: Tensor]
  /// Values that leave the graph, or that a subgraph reads: they must stay.
  private let kept: Set<String>
  /// Declared extents of inputs and inner values.
  private let declared: [String: [Dimension]]
  /// Extents of float32 inputs that fit no others.
  private let fixedInputs: [String: [Int]]

  init(_ graph: Graph) {
    self.graph = graph
    var producers: [String: Int] = [:]
    var readers: [String: [Int]] = [:]
    var kept = Set(graph.outputs.map(\.name))
    for (index, node) in graph.nodes.enumerated() {
      for name in node.outputs where !name.isEmpty { producers[name] = index }
      for name in node.inputs where !name.isEmpty { readers[name, default: []].append(index) }
      for (_, subgraph) in node.subgraphs { kept.formUnion(subgraph.captures) }
    }
    var constants: [String: Tensor] = [:]
    for initializer in graph.initializers { constants[initializer.name] = initializer.tensor }
    for input in graph.inputs { constants[input.name] = nil }
    self.producers = producers
    self.readers = readers
    self.constants = constants
    self.kept = kept
    var declared: [String: [Dimension]] = [:]
    for value in graph.valueInfo + graph.inputs {
      if case .tensor(_, let dims?) = value.type { declared[value.name] = dims }
    }
    self.declared = declared
    var fixedInputs: [String: [Int]] = [:]
    for input in graph.inputs {
      guard case .tensor(.float32, let dims?) = input.type else { continue }
      let extents = dims.compactMap { dim -> Int? in
        guard case .fixed(let extent) = dim else { return nil }
        return extent
      }
      if extents.count == dims.count { fixedInputs[input.name] = extents }
    }
    self.fixedInputs = fixedInputs
  }

  /// The extents of a float32 constant, or of an input of which they are declared.
  func floatDims(_ name: String) -> [Int]? {
    if let constant = constants[name] {
      return constant.elementType == .float32 ? constant.shape.dims : nil
    }
    return fixedInputs[name]
  }

  /// Where the node that makes a value stands.
  func place(of name: String) -> Int? { producers[name] }

  /// The extent of a value's last axis, where the graph shows it.
  func lastExtent(of name: String, depth: Int = 16) -> Int? {
    if let constant = constants[name] { return constant.shape.dims.last }
    if case .fixed(let extent)? = declared[name]?.last { return extent }
    guard depth > 0, let node = producer(of: name), node.domain.isEmpty,
      let first = node.inputs.first
    else { return nil }
    switch node.opType {
    case "Add", "Sub", "Mul", "Div":
      // An extent other than 1 is the result's, whatever the other side has.
      let extents = node.inputs.map { lastExtent(of: $0, depth: depth - 1) }
      if let large = extents.compactMap({ $0 }).first(where: { $0 != 1 }) { return large }
      return extents.contains(nil) ? nil : 1
    case "MatMul":
      guard let weight = constants[node.inputs[1]], weight.rank > 1 else { return nil }
      return weight.shape.dims.last
    case "Gather":
      if case .int(let axis)? = node.attributes["axis"], axis != 0 { return nil }
      guard let table = constants[first], table.rank > 1 else { return nil }
      return table.shape.dims.last
    case "Reshape":
      guard let dims = constants[node.inputs[1]].flatMap({ try? $0.integers() }),
        let extent = dims.last, extent > 0
      else { return nil }
      return extent
    case "LayerNormalization", "Gelu", "Relu", "Tanh", "Sigmoid", "Erf", "Sqrt", "Softmax":
      return lastExtent(of: first, depth: depth - 1)
    default: return nil
    }
  }

  /// What a Gemm of float32 adds to each row as it is, empty where it adds nothing; nil where it adds
  /// something else.
  func rowBias(ofGeneral product: Node) -> String? {
    guard let dims = floatDims(product.inputs[1]), dims.count == 2 else { return nil }
    if case .float(let beta)? = product.attributes["beta"], beta != 1 { return nil }
    guard product.inputs.count > 2, !product.inputs[2].isEmpty else { return "" }
    let columns = product.isSet("transB") ? dims[0] : dims[1]
    return floatDims(product.inputs[2]) == [columns] ? product.inputs[2] : nil
  }

  /// How many axes a value has, where the graph shows it.
  func rank(of name: String, depth: Int = 4) -> Int? {
    if let constant = constants[name] { return constant.rank }
    if let dims = declared[name] { return dims.count }
    guard depth > 0, let node = producer(of: name), node.domain.isEmpty else { return nil }
    switch node.opType {
    case "Transpose":
      guard case .ints(let permutation)? = node.attributes["perm"] else { return nil }
      return permutation.count
    case "Concat":
      return node.inputs.lazy.compactMap { rank(of: $0, depth: depth - 1) }.first
    default: return nil
    }
  }

  /// The node that makes a value, if it is the operator asked for.
  func producer(of name: String, _ opType: String, domain: String = "") -> (index: Int, node: Node)?
  {
    guard let index = producers[name], graph.nodes[index].opType == opType,
      graph.nodes[index].domain == domain
    else { return nil }
    return (index, graph.nodes[index])
  }

  /// The node that makes a value.
  func producer(of name: String) -> Node? { producers[name].map { graph.nodes[$0] } }

  /// The nodes that read a value which nothing outside needs.
  func readers(of name: String) -> [(index: Int, node: Node)] {
    guard !kept.contains(name) else { return [] }
    return readers[name, default: []].map { ($0, graph.nodes[$0]) }
  }

  /// The one node that reads a value which nothing else needs.
  func onlyReader(of name: String) -> (index: Int, node: Node)? {
    guard let readers = readers[name], readers.count == 1, !kept.contains(name) else { return nil }
    return (readers[0], graph.nodes[readers[0]])
  }

  /// The one node that reads a value which nothing else needs, if it is the operator asked for.
  func onlyReader(of name: String, _ opType: String) -> (index: Int, node: Node)? {
    guard let reader = onlyReader(of: name), reader.node.opType == opType,
      reader.node.domain.isEmpty
    else { return nil }
    return reader
  }

  func constant(_ name: String) -> Tensor? { constants[name] }

  /// The value of a float32 constant with one element.
  /// - Parameter rank: the most axes it may have: those of what it is combined with, so that it
  ///   adds none.
  func scalar(_ name: String, rank: Int) -> Float? {
    guard let tensor = constants[name], tensor.count == 1, tensor.rank <= rank,
      tensor.elementType == .float32
    else { return nil }
    return tensor.base.assumingMemoryBound(to: Float.self)[0]
  }

  /// What a piece of a shape is: the extent of one axis of a value, as `Unsqueeze(Gather(Shape(x),
  /// axis), 0)` reads it, with the places of these nodes.
  func extent(_ name: String) -> (of: String, axis: Int, nodes: [Int])? {
    guard let piece = producer(of: name, "Unsqueeze"), piece.node.inputs.count == 2,
      let axes = constant(piece.node.inputs[1]), (try? axes.integers()) == [0],
      let gather = producer(of: piece.node.inputs[0], "Gather"),
      gather.node.attributes["axis"].map({ !$0.isTrue }) ?? true,
      let place = constant(gather.node.inputs[1]), place.rank == 0,
      let axis = (try? place.integers())?.first, axis >= 0,
      let shape = producer(of: gather.node.inputs[0], "Shape"), shape.node.attributes.isEmpty
    else { return nil }
    return (shape.node.inputs[0], axis, [shape.index, gather.index, piece.index])
  }

  /// Of a node with two inputs: the one that is not a scalar constant, with that constant.
  func scalarOperand(_ node: Node, rank: Int) -> (other: String, scalar: Float)? {
    guard node.inputs.count == 2 else { return nil }
    if let value = scalar(node.inputs[1], rank: rank) { return (node.inputs[0], value) }
    if let value = scalar(node.inputs[0], rank: rank) { return (node.inputs[1], value) }
    return nil
  }
}

/// What a match found: nodes to take out and what stands in their place.
struct Replacement {
  /// Where the new node goes; the place of the last removed one.
  let at: Int
  let removed: [Int]
  let nodes: [Node]
  var initializers: [Initializer] = []
}

extension Transform {
  /// Tries `match` at every node and replaces what it finds; matches never overlap.
  static func rewrite(
    _ graph: Graph, _ match: (GraphIndex, Int) -> Replacement?
  ) -> Graph {
    let index = GraphIndex(graph)
    var replacements: [Int: Replacement] = [:]
    var removed: Set<Int> = []
    for place in graph.nodes.indices where !removed.contains(place) {
      guard let found = match(index, place), removed.isDisjoint(with: found.removed) else {
        continue
      }
      removed.formUnion(found.removed)
      replacements[found.at] = found
    }
    guard !replacements.isEmpty else { return graph }
    var result = graph
    result.nodes = []
    for (place, node) in graph.nodes.enumerated() {
      if let found = replacements[place] {
        result.nodes += found.nodes
        result.initializers += found.initializers
      } else if !removed.contains(place) {
        result.nodes.append(node)
      }
    }
    return result
  }
}
