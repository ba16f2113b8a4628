import Base
import Graphs
import Tensors

/// A lift for integer lists that were attributes before `opset` and are inputs since: each moves
/// to the input position behind those before it.
func liftAttributes(before opset: Int, _ names: [String]) -> OperatorDefinition.Convert {
  { (node, version, rewriter) throws(StackLensError) in
    guard version < opset else { return [node] }
    var node = node
    for name in names {
      switch node.attributes.removeValue(forKey: name) {
      case nil: node.inputs.append("")
      case .ints(let values): node.inputs.append(try rewriter.ints(values, name))
      case let found?:
        throw .formatError("attribute '\(name)' must be ints, found \(found.kindName)")
      }
    }
    while node.inputs.last == "" { node.inputs.removeLast() }
    return [node]
  }
}

/// The inverse of `liftAttributes`: the inputs after the first become attributes, which takes
/// their values to be constant.
func lowerInputs(before opset: Int, _ names: [String]) -> OperatorDefinition.Convert {
  { (node, version, rewriter) throws(StackLensError) in
    guard version < opset else { return [node] }
    var node = node
    for (index, name) in names.enumerated() {
      if let values = try constantInts(node, index + 1, name, version, rewriter) {
        node.attributes[name] = .ints(values)
      }
    }
    node.inputs = Array(node.inputs.prefix(1))
    return [node]
  }
}

/// `lowerInputs` for `axes`, which count from the front below opset 11.
/// - Parameter rank: Of the value whose axes they are, from the number of axes of the input and of
///   those listed.
func lowerAxes(
  rank: @escaping @Sendable (_ input: Int, _ listed: Int) -> Int
) -> OperatorDefinition.Convert {
  { (node, version, rewriter) throws(StackLensError) in
    var node = try lowerInputs(before: 13, ["axes"])(node, version, &rewriter)[0]
    guard version < 11, case .ints(let axes)? = node.attributes["axes"],
      axes.contains(where: { $0 < 0 })
    else { return [node] }
    guard let input = rewriter.rank(of: node.inputs[0]) else {
      throw .unsupported(
        "\(node.opType) with axes \(axes) of '\(node.inputs[0])', whose number of axes is not"
          + " known, needs opset 11, not \(version)")
    }
    let count = Int64(rank(input, axes.count))
    node.attributes["axes"] = .ints(axes.map { $0 < 0 ? $0 &+ count : $0 })
    return [node]
  }
}

/// The integers of a constant input; nil when it is left out.
/// - Throws: `.unsupported` when the value is only known while running.
func constantInts(
  _ node: Node, _ index: Int, _ name: String, _ opset: Int, _ rewriter: Rewriter
) throws(StackLensError) -> [Int64]? {
  guard index < node.inputs.count, !node.inputs[index].isEmpty else { return nil }
  guard let tensor = rewriter.value(of: node.inputs[index]) else {
    throw .unsupported("\(node.opType) with computed \(name) cannot be written for opset \(opset)")
  }
  return try tensor.integers().map(Int64.init)
}

/// A lower that drops an attribute below `opset` while it holds its default there.
func dropAttribute(
  _ name: String, before opset: Int, unless isDefault: @escaping @Sendable (Attribute) -> Bool
) -> OperatorDefinition.Convert {
  { (node, version, _) throws(StackLensError) in
    guard version < opset, let found = node.attributes[name] else { return [node] }
    guard isDefault(found) else {
      throw .unsupported(
        "\(node.opType) with this '\(name)' needs opset \(opset), not \(version)")
    }
    var node = node
    node.attributes[name] = nil
    return [node]
  }
}

/// A lift that gives an attribute the value it had by default before `opset`.
func liftDefault(
  before opset: Int, _ name: String, _ value: Attribute
) -> OperatorDefinition.Convert {
  { (node, version, _) throws(StackLensError) in
    guard version < opset, node.attributes[name] == nil else { return [node] }
    var node = node
    node.attributes[name] = value
    return [node]
  }
}

/// A lift that leaves an attribute of no effect out.
func liftWithout(before opset: Int, _ names: [String]) -> OperatorDefinition.Convert {
  { (node, version, _) throws(StackLensError) in
    var node = node
    if version < opset { for name in names { node.attributes[name] = nil } }
    return [node]
  }
}
