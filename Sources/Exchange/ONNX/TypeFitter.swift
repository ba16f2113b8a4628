import Base
import Graphs
import Operators
import Tensors

/// Holds nodes against the element types that an opset lets them have. Where it allows a wider type
/// only, the node gets casts around it.
struct TypeFitter {
  let opset: Int
  /// The type of a name, as far as it is known.
  let valueType: (String) -> ValueType?

  /// The node with the casts it needs, in order.
  /// - Throws: `.unsupported` when no type that the opset allows holds the values.
  func fit(_ node: Node, _ rewriter: inout Rewriter) throws(StackLensError) -> [Node] {
    guard let constraints = TypeConstraints.find(node.opType, opset: opset) else { return [node] }
    var given: [Character: [ElementType]] = [:]
    for (index, name) in node.inputs.enumerated() where !name.isEmpty {
      guard let letter = constraints.inputs[index] else { continue }
      if let type = valueType(name), !constraints.allowsKind(of: type, as: letter) {
        throw .unsupported("\(node.opType) cannot take a \(type) in opset \(opset)")
      }
      guard let type = type(name) else { continue }
      if constraints.inputs.isMixed(index) {
        if constraints.allows(type, as: letter) { continue }
        throw refusal(node, type, index)
      }
      if !given[letter, default: []].contains(type) { given[letter, default: []].append(type) }
    }
    var wide: [Character: ElementType] = [:]
    for (letter, types) in given.sorted(by: { $0.key < $1.key }) {
      if types.count == 1, constraints.allows(types[0], as: letter) { continue }
      wide[letter] = try widened(types, letter, node, constraints)
    }
    for (index, name) in node.outputs.enumerated() where !name.isEmpty {
      if let letter = constraints.outputs[index], let type = valueType(name),
        !constraints.allowsKind(of: type, as: letter)
      {
        throw .unsupported("\(node.opType) cannot give a \(type) in opset \(opset)")
      }
      guard let letter = constraints.outputs[index], let type = type(name),
        given[letter] == nil || constraints.outputs.isMixed(index),
        !constraints.allows(type, as: letter)
      else { continue }
      throw refusal(node, type, index, isOutput: true)
    }
    return wide.isEmpty ? [node] : cast(node, wide, given, constraints, &rewriter)
  }

  /// The types of a node's outputs that follow from its inputs.
  func outputTypes(of node: Node) -> [(name: String, type: ValueType)] {
    guard let constraints = TypeConstraints.find(node.opType, opset: opset) else { return [] }
    var given: [Character: ElementType] = [:]
    for (index, name) in node.inputs.enumerated() where !name.isEmpty {
      guard let letter = constraints.inputs[index], !constraints.inputs.isMixed(index) else {
        continue
      }
      if let type = type(name) { given[letter] = type }
    }
    var found: [(name: String, type: ValueType)] = []
    for (index, name) in node.outputs.enumerated() where !name.isEmpty {
      guard let letter = constraints.outputs[index], !constraints.outputs.isMixed(index) else {
        continue
      }
      if node.opType == "ConstantOfShape" {
        var type = ElementType.float32
        if case .tensor(let value)? = node.attributes["value"] { type = value.elementType }
        found.append((name, .tensor(type, nil)))
        continue
      }
      if node.opType == "Cast", case .int(let number)? = node.attributes["to"],
        let type = Int32(exactly: number).flatMap(ElementType.init(rawValue:))
      {
        found.append((name, .tensor(type, nil)))
      } else if let type = given[letter] ?? constraints.only(letter) {
        found.append((name, .tensor(type, nil)))
      } else if constraints.isSequence(letter) {
        found.append((name, .sequence(.unknown)))
      }
    }
    return found
  }

  private func type(_ name: String) -> ElementType? {
    if case .tensor(let type, _)? = valueType(name) { type } else { nil }
  }

  private func widened(
    _ types: [ElementType], _ letter: Character, _ node: Node, _ constraints: TypeConstraints
  ) throws(StackLensError) -> ElementType {
    let casts = TypeConstraints.find("Cast", opset: opset)
    func isCastable(_ type: ElementType) -> Bool {
      casts?.allows(type, as: "a") == true && casts?.allows(type, as: "b") == true
    }
    let choices = types[0].widerTypes(forChoosing: Self.choosing.contains(node.opType))
    let fitting = ([types[0]] + choices).first { candidate in
      constraints.allows(candidate, as: letter) && isCastable(candidate)
        && types.allSatisfy { type in
          type == candidate
            || isCastable(type)
              && type.widerTypes(forChoosing: Self.choosing.contains(node.opType))
                .contains(candidate)
        }
    }
    guard let fitting, !Self.unwidened.contains(node.opType) else {
      let culprit = types.first { !constraints.allows($0, as: letter) } ?? types[0]
      let index = node.inputs.indices.first {
        constraints.inputs[$0] == letter && type(node.inputs[$0]) == culprit
      }
      throw refusal(node, culprit, index ?? 0)
    }
    return fitting
  }

  private func refusal(
    _ node: Node, _ type: ElementType, _ index: Int, isOutput: Bool = false
  ) -> StackLensError {
    let first = TypeConstraints.firstOpset(
      node.opType, taking: type, at: index, isOutput: isOutput, after: opset)
    if first == nil,
      TypeConstraints.allowedOnce(
        node.opType, type, at: index, isOutput: isOutput, before: opset)
    {
      return .unsupported(
        "\(node.opType) of \(type.name) is no longer in the standard, asked for \(opset)")
    }
    let needs = first.map { " needs opset \($0)" } ?? " is not in the standard"
    return .unsupported("\(node.opType) of \(type.name)\(needs), asked for \(opset)")
  }

  private func cast(
    _ node: Node, _ wide: [Character: ElementType], _ given: [Character: [ElementType]],
    _ constraints: TypeConstraints, _ rewriter: inout Rewriter
  ) -> [Node] {
    func cast(_ from: String, _ to: String, _ type: ElementType) -> Node {
      Node(
        "Cast", inputs: [from], outputs: [to], attributes: ["to": .int(Int64(type.rawValue))])
    }
    var (before, after) = ([Node](), [Node]())
    var inner = node
    var made: [String: String] = [:]
    for (index, name) in node.inputs.enumerated() where !name.isEmpty {
      guard let letter = constraints.inputs[index], let target = wide[letter],
        type(name) != target
      else { continue }
      if made[name] == nil {
        let fresh = rewriter.fresh("wide")
        before.append(cast(name, fresh, target))
        made[name] = fresh
      }
      inner.inputs[index] = made[name] ?? name
    }
    for (index, name) in node.outputs.enumerated() where !name.isEmpty {
      guard let letter = constraints.outputs[index], let target = wide[letter],
        let original = type(name) ?? given[letter]?.first, original != target
      else { continue }
      inner.outputs[index] = rewriter.fresh("wide")
      after.append(cast(inner.outputs[index], name, original))
    }
    return before + [inner] + after
  }

  /// Operators whose results are some of their inputs, or relations of them: exact in any type that
  /// holds the values.
  private static let choosing: Set<String> = [
    "ArgMax", "ArgMin", "Clip", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max",
    "MaxPool", "Min", "NonZero", "ReduceMax", "ReduceMin", "Relu", "Sign", "TopK", "Where",
  ]

  /// Operators that mean something else on a wider type.
  private static let unwidened: Set<String> = ["BitCast", "Cast", "CastLike", "DequantizeLinear"]
}

extension ElementType {
  /// Types that hold all its values, narrow ones first.
  /// - Parameter choosing: whether floats may stand for integers.
  fileprivate func widerTypes(forChoosing choosing: Bool) -> [ElementType] {
    switch self {
    case .float16, .bfloat16: [.float32, .float64]
    case .float32: [.float64]
    case .bool: [.uint8, .int32, .int64] + (choosing ? [.float32] : [])
    case .int8, .int16: [.int32, .int64] + (choosing ? [.float32] : [])
    case .uint8, .uint16: [.int32, .uint32, .int64] + (choosing ? [.float32] : [])
    case .int32, .uint32: [.int64] + (choosing ? [.float64] : [])
    default: []
    }
  }
}
