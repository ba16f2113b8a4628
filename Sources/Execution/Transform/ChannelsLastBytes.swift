import Graphs
import Operators
import Tensors

/// Quantised convolution nets with their channels last.
extension ChannelsLastMove {
  /// Values of a graph that are known to be bytes.
  static func byteValues(_ graph: Graph) -> Set<String> {
    var result: Set<String> = []
    for node in graph.nodes {
      switch node.opType {
      case "QuantizeLinear", "QLinearConv", "QLinearAdd", "QLinearMul", "ByteTable",
        "QLinearGlobalAveragePool", "QLinearAveragePool":
        result.insert(node.outputs[0])
      case "MaxPool", "Concat", "Identity":
        if node.outputs.count == 1, node.inputs.allSatisfy(result.contains) {
          result.insert(node.outputs[0])
        }
      default: break
      }
    }
    return result
  }

  /// A convolution of unsigned bytes with signed weights, all parameters constant.
  func isByteConvolution(_ node: Node) -> Bool {
    guard node.opType == "QLinearConv", node.domain.isEmpty,
      node.inputs.dropFirst().allSatisfy({ $0.isEmpty || index.constant($0) != nil }),
      let weight = index.constant(node.inputs[3]), let wZero = index.constant(node.inputs[5])
    else { return false }
    return weight.rank == 4 && weight.elementType == .int8 && wZero.bytes.allSatisfy { $0 == 0 }
      && index.constant(node.inputs[2])?.elementType == .uint8
      && index.constant(node.inputs[7])?.elementType == .uint8
  }

  /// The node that does the same to bytes with their channels last; nil where there is none.
  func followBytes(_ node: Node) -> Node? {
    guard node.outputs.count == 1, let first = node.inputs.first, let image = moved[first] else {
      return nil
    }
    var result = node
    result.outputs = [lastName(node.outputs[0])]
    result.inputs[0] = image
    switch (node.domain, node.opType) {
    case ("com.microsoft", "QLinearAdd"), ("com.microsoft", "QLinearMul"):
      guard let other = moved[node.inputs[3]] else { return nil }
      result.inputs[3] = other
    case ("com.microsoft", "QLinearGlobalAveragePool"):
      result.attributes["channels_last"] = .int(1)
    case ("ai.stacklens", "ByteTable"), ("", "Identity"): break
    case ("", "QuantizeLinear"), ("", "DequantizeLinear"):
      guard node.scalarQuantization(index) != nil else { return nil }
    case ("", "MaxPool"):
      guard bytes.contains(first), index.isUnsigned(first) else { return nil }
      if case .int(let order)? = node.attributes["storage_order"], order != 0 { return nil }
      result.opType = "ChannelsLastBytePool"
      result.domain = "ai.stacklens"
      result.attributes["storage_order"] = nil
    case ("", "Concat"):
      guard let images = joinedImages(node) else { return nil }
      result.inputs = images
      result.attributes["axis"] = .int(3)
    default: return nil
    }
    return result
  }
}

extension GraphIndex {
  /// Whether a value is made by a quantising operator with an unsigned zero point.
  fileprivate func isUnsigned(_ name: String) -> Bool {
    guard let node = producer(of: name) else { return false }
    let zero: String? =
      switch node.opType {
      case "QuantizeLinear" where node.inputs.count > 2: node.inputs[2]
      case "QLinearConv", "QLinearAdd", "QLinearMul": node.inputs.count > 7 ? node.inputs[7] : nil
      default: nil
      }
    if let zero { return constant(zero)?.elementType == .uint8 }
    guard node.opType == "ByteTable" else { return false }
    return constant(node.inputs[1])?.elementType == .uint8
  }
}

extension Transform {
  /// A convolution of bytes takes in the table that its result goes through.
  static func fuseByteTables(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      var node = graph.nodes[place]
      guard node.opType == "ChannelsLastQLinearConv", node.inputs.count < 10,
        let next = index.onlyReader(of: node.outputs[0]), next.node.opType == "ByteTable",
        let table = index.constant(next.node.inputs[1]), table.elementType == .uint8
      else { return nil }
      if node.inputs.count == 8 { node.inputs.append("") }
      node.inputs.append(next.node.inputs[1])
      node.outputs = next.node.outputs
      return Replacement(at: next.index, removed: [place, next.index], nodes: [node])
    }
  }

  /// x * f(x) of one quantised x is a function of x: another table.
  static func fuseGatedBytes(_ graph: Graph) -> Graph {
    rewrite(graph) { index, place in
      let product = graph.nodes[place]
      guard product.opType == "QLinearMul", product.domain == "com.microsoft" else { return nil }
      for (gate, value) in [(3, 0), (0, 3)] {
        guard
          let table = index.producer(
            of: product.inputs[gate], "ByteTable", domain: "ai.stacklens"),
          table.node.inputs[0] == product.inputs[value],
          let entries = index.constant(table.node.inputs[1]),
          let bytes = entries.everyByte(as: index.constant(product.inputs[value + 2])?.elementType),
          let definition = OperatorTable.find("QLinearMul", domain: "com.microsoft"),
          let results = try? definition.evaluate(
            product,
            inputs: product.inputs.enumerated().map { position, name in
              if position == gate { return .tensor(entries) }
              if position == value { return .tensor(bytes) }
              return index.constant(name).map { .tensor($0) }
            }), let combined = try? results[0].tensor()
        else { continue }
        let name = product.outputs[0] + "__table"
        let lookup = Node(
          "ByteTable", inputs: [product.inputs[value], name], outputs: product.outputs,
          name: product.name, domain: "ai.stacklens")
        var removed = [place]
        if index.onlyReader(of: product.inputs[gate]) != nil { removed.append(table.index) }
        return Replacement(
          at: place, removed: removed, nodes: [lookup],
          initializers: [Initializer(name, combined)])
      }
      return nil
    }
  }
}

extension Tensor {
  /// All bytes in the order of their bit patterns, in the shape of a table.
  fileprivate func everyByte(as type: ElementType?) -> Tensor? {
    guard let type, count == 256, let bytes = try? Tensor((0...255).map { UInt8($0) }) else {
      return nil
    }
    return Tensor(elementType: type, shape: shape, storage: bytes.storage, base: bytes.base)
  }
}
