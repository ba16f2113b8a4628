import Base
import Graphs
import Tensors

extension Transform {
  /// Convolution nets with their channels last: each pixel's channels then lie side by side, so that
  /// a convolution is a product that reads its input in place, and vectors are full however small
  /// the image is. Images are turned round where they enter and leave such a part of the graph.
  ///
  /// The result is taken where it has three convolutions for each turn.
  static func moveChannelsLast(_ graph: Graph) -> Graph {
    var move = ChannelsLastMove(graph)
    for node in graph.nodes { move.add(node) }
    return move.finish() ?? graph
  }

  /// A convolution takes in the sum with an image that follows it, and what follows that.
  static func fuseChannelsLast(_ graph: Graph) -> Graph {
    let summed = rewrite(graph) { index, place in
      let add = graph.nodes[place]
      guard add.opType == "Add", add.domain.isEmpty else { return nil }
      for (side, other) in [(1, 0), (0, 1)] where add.inputs[0] != add.inputs[1] {
        guard
          let convolution = index.producer(
            of: add.inputs[side], "ChannelsLastConv", domain: "ai.stacklens"),
          index.onlyReader(of: add.inputs[side]) != nil, convolution.node.inputs.count < 4,
          convolution.node.attributes["activation"] == nil,
          index.constant(add.inputs[other]) == nil
        else { continue }
        var node = convolution.node
        if node.inputs.count == 2 { node.inputs.append("") }
        node.inputs.append(add.inputs[other])
        node.outputs = add.outputs
        return Replacement(at: place, removed: [convolution.index, place], nodes: [node])
      }
      return nil
    }
    let active = rewrite(summed) { index, place in
      var node = summed.nodes[place]
      guard node.opType == "ChannelsLastConv", node.attributes["activation"] == nil,
        let reader = index.onlyReader(of: node.outputs[0]), reader.node.domain.isEmpty,
        let activation = activationName(reader.node, index)
      else { return nil }
      node.attributes["activation"] = .string(activation)
      node.outputs = reader.node.outputs
      return Replacement(at: reader.index, removed: [place, reader.index], nodes: [node])
    }
    return fuseGate(active)
  }
}

/// The graph as it is being rewritten.
struct ChannelsLastMove {
  private let graph: Graph
  let index: GraphIndex
  private var nodes: [Node] = []
  private var initializers: [Initializer] = []
  /// Images that exist with their channels last: their names, by the names they had.
  private(set) var moved: [String: String] = [:]
  /// Those that do not exist as they were.
  private var missing: Set<String> = []
  /// Values that a quantising operator makes.
  let bytes: Set<String>
  private var (turns, convolutions) = (0, 0)
  /// Whether the graph goes back through convolutions.
  let isTraining: Bool

  init(_ graph: Graph) {
    self.graph = graph
    index = GraphIndex(graph)
    bytes = Self.byteValues(graph)
    isTraining = graph.nodes.contains { Self.isGradientOfConvolution($0) }
  }

  mutating func add(_ node: Node) {
    if isImageConvolution(node) { return addConvolution(node) }
    if isByteConvolution(node) { return addConvolution(node, as: "ChannelsLastQLinearConv") }
    if let gradient = followGradient(node) { return nodes.append(contentsOf: gradient) }
    if let follower = follow(node) ?? followBytes(node) {
      nodes.append(follower)
      let name = follower.outputs[0]
      if name != node.outputs[0] {
        moved[node.outputs[0]] = name
        missing.insert(node.outputs[0])
      }
      return
    }
    var needed = Set(node.inputs)
    for (_, subgraph) in node.subgraphs { needed.formUnion(subgraph.captures) }
    for name in needed.sorted() { restore(name) }
    nodes.append(node)
  }

  /// The rewritten graph; nil where it does not pay.
  mutating func finish() -> Graph? {
    guard convolutions > 0 else { return nil }
    for output in graph.outputs { restore(output.name) }
    // A step of training reads each image that was turned more than once.
    guard convolutions >= (isTraining ? 2 : 3) * turns else { return nil }
    var result = graph
    result.nodes = nodes
    result.initializers += initializers
    return result
  }

  private func isImageConvolution(_ node: Node) -> Bool {
    guard
      (node.opType == "Conv" && node.domain.isEmpty)
        || (node.opType == "FusedConv" && node.domain == "ai.stacklens"), node.inputs.count < 4,
      let weight = index.floatDims(node.inputs[1])
    else { return false }
    if index.constant(node.inputs[1]) != nil { return weight.count == 4 }
    return isTraining && isPlainTrained(node, weight)
  }

  private mutating func addConvolution(_ node: Node, as opType: String = "ChannelsLastConv") {
    var convolution = node
    convolution.opType = opType
    convolution.domain = "ai.stacklens"
    let weight = isTraining ? index.floatDims(node.inputs[1]) ?? [] : []
    convolution.inputs[0] = turned(node.inputs[0], channels: weight.count == 4 ? weight[1] : nil)
    convolution.outputs[0] = lastName(node.outputs[0])
    nodes.append(convolution)
    markMoved(node.outputs[0])
    convolutions += 1
  }

  /// A value exists with its channels last, and only so.
  mutating func markMoved(_ name: String) {
    moved[name] = lastName(name)
    missing.insert(name)
  }

  mutating func countConvolution() { convolutions += 1 }

  mutating func addInitializer(_ initializer: Initializer) { initializers.append(initializer) }

  /// A value under the name it had, turned back here if it exists with its channels last only.
  mutating func existing(_ name: String) -> String {
    restore(name)
    return name
  }

  func lastName(_ name: String) -> String { name + "__last" }

  /// The image with its channels last, turned round here if it does not exist yet.
  /// - Parameter channels: how many it has; turning few costs nothing beside a convolution.
  mutating func turned(_ name: String, channels: Int? = nil) -> String {
    if let found = moved[name] { return found }
    turn(name, to: lastName(name), [0, 2, 3, 1])
    if let channels, channels <= 4 { turns -= 1 }
    moved[name] = lastName(name)
    return lastName(name)
  }

  /// Makes an image exist as it was.
  private mutating func restore(_ name: String) {
    guard missing.remove(name) != nil, let source = moved[name] else { return }
    turn(source, to: name, [0, 3, 1, 2])
  }

  private mutating func turn(_ source: String, to name: String, _ permutation: [Int64]) {
    nodes.append(
      Node(
        "Transpose", inputs: [source], outputs: [name], attributes: ["perm": .ints(permutation)],
        name: name + "__turn"))
    turns += 1
  }

  /// The node that does the same to images with their channels last; nil where there is none.
  private mutating func follow(_ node: Node) -> Node? {
    guard node.domain.isEmpty, node.outputs.count == 1, let first = node.inputs.first,
      !bytes.contains(first)
    else { return nil }
    var result = node
    result.outputs = [lastName(node.outputs[0])]
    switch node.opType {
    case "Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Swish", "Tanh", "Elu", "Selu",
      "Gelu", "Mish", "Softplus", "Clip", "Erf", "Exp", "Sqrt", "Abs", "Neg", "Identity":
      guard let image = moved[first] else { return nil }
      result.inputs[0] = image
    case "Cast":
      guard let image = moved[first], isPartOfRounding(node) else { return nil }
      result.inputs[0] = image
    case "Add", "Sub", "Mul", "Div", "Max", "Min", "Sum":
      guard node.inputs.contains(where: { moved[$0] != nil }) else { return nil }
      for (place, name) in node.inputs.enumerated() {
        guard let operand = moved[name] ?? constant(name) else { return nil }
        result.inputs[place] = operand
      }
    case "MaxPool", "AveragePool":
      guard let image = moved[first] else { return nil }
      if case .int(let order)? = node.attributes["storage_order"], order != 0 { return nil }
      result.opType = "ChannelsLastPool"
      result.domain = "ai.stacklens"
      result.inputs = [image]
      result.attributes["storage_order"] = nil
      result.attributes["maximum"] = .int(node.opType == "MaxPool" ? 1 : 0)
    case "GlobalAveragePool", "ReduceMean":
      guard let image = moved[first] else { return nil }
      return meanOverImage(node, image)
    case "Concat":
      guard let images = joinedImages(node) else { return nil }
      result.inputs = images
      result.attributes["axis"] = .int(3)
    default: return nil
    }
    return result
  }

  /// Whether a cast narrows float32 that is wide again at once, or widens what was narrowed so: the
  /// values in between reach no other operator.
  private func isPartOfRounding(_ node: Node) -> Bool {
    func goes(_ cast: Node, to types: [ElementType]) -> Bool {
      guard case .int(let type)? = cast.attributes["to"] else { return false }
      return types.contains { Int64($0.rawValue) == type }
    }
    let halves: [ElementType] = [.bfloat16, .float16]
    if goes(node, to: halves) {
      guard let reader = index.onlyReader(of: node.outputs[0])?.node else { return false }
      return reader.opType == "Cast" && reader.domain.isEmpty && goes(reader, to: [.float32])
    }
    guard goes(node, to: [.float32]), index.onlyReader(of: node.inputs[0]) != nil,
      let source = index.producer(of: node.inputs[0], "Cast")?.node
    else { return false }
    return goes(source, to: halves)
  }

  /// What a join over channels reads, where all of it exists with its channels last.
  func joinedImages(_ node: Node) -> [String]? {
    guard case .int(let axis)? = node.attributes["axis"], axis == 1 || axis == -3 else {
      return nil
    }
    let images = node.inputs.compactMap { moved[$0] }
    return images.count == node.inputs.count ? images : nil
  }

  /// The mean over height and width; without these axes the result is no image any more.
  private mutating func meanOverImage(_ node: Node, _ image: String) -> Node? {
    var result = node
    result.opType = "ReduceMean"
    let axes = lastName(node.outputs[0]) + "__axes"
    result.inputs = [image, axes]
    if node.opType == "GlobalAveragePool" {
      result.attributes["keepdims"] = .int(1)
      result.outputs = [lastName(node.outputs[0])]
    } else {
      guard node.inputs.count == 2, let given = index.constant(node.inputs[1]),
        let values = try? given.integers(),
        Set(values.map { $0 < 0 ? $0 + 4 : $0 }) == [2, 3]
      else { return nil }
      let keeps = if case .int(0)? = node.attributes["keepdims"] { false } else { true }
      result.outputs = keeps ? [lastName(node.outputs[0])] : node.outputs
    }
    guard let tensor = try? Tensor([Int64(1), 2]) else { return nil }
    initializers.append(Initializer(axes, tensor))
    return result
  }

  /// A constant that meets images: a scalar as it is, a vector over channels turned as they are.
  private mutating func constant(_ name: String) -> String? {
    guard let tensor = index.constant(name), tensor.rank <= 4 else { return nil }
    if tensor.count == 1 { return name }
    guard tensor.rank >= 3, tensor.shape[tensor.rank - 1] == 1, tensor.shape[tensor.rank - 2] == 1,
      tensor.rank == 3 || tensor.shape[0] == 1,
      let shape = try? Shape([1, 1, 1, tensor.shape[tensor.rank - 3]]),
      let turned = try? tensor.reshaped(to: shape)
    else { return nil }
    let result = lastName(name)
    if !initializers.contains(where: { $0.name == result }) {
      initializers.append(Initializer(result, turned))
    }
    return result
  }
}
