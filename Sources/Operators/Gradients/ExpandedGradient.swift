import Base
import Graphs
import Tensors

extension GradientRule {
  /// The rule of an operator that files can have in other operators' words: what flows back
  /// through those.
  static let expanded = GradientRule { (scope) throws(StackLensError) in
    try scope.flow { (scope) throws(StackLensError) in
      try scope.made { (node, definition, rewriter) throws(StackLensError) in
        guard let expand = definition.expand else {
          throw .internalError("\(node.opType) has no expansion")
        }
        return try expand(ComposedNode(node: node, definition: definition), &rewriter)
      }
    }
  }

  /// Operators that always stand for others.
  static let lifted = GradientRule { (scope) throws(StackLensError) in
    try scope.flow { (scope) throws(StackLensError) in
      try scope.made { (node, definition, rewriter) throws(StackLensError) in
        guard let lift = definition.lift else {
          throw .internalError("\(node.opType) has no composition")
        }
        return try lift(node, definition.newestVersion, &rewriter)
      }
    }
  }
}

extension GradientScope {
  /// The values of the outputs, made by the nodes that stand for this one.
  fileprivate func made(
    _ nodes: (Node, OperatorDefinition, inout Rewriter) throws(StackLensError) -> [Node]
  ) throws(StackLensError) -> [Edge?] {
    let prefix = graph.fresh(node.opType)
    var copy = node
    copy.inputs = inputs.prefix(node.inputs.count).map { $0?.name ?? "" }
    copy.outputs = node.outputs.enumerated().map { $1.isEmpty ? "" : "\(prefix).y\($0)" }
    // The variables that stand for the inputs have their types.
    var sources: [String: String] = [:]
    for (own, name) in zip(copy.inputs, node.inputs) { sources[own] = name }
    let types = types
    var rewriter = Rewriter(
      prefix: prefix, constants: { _ in nil }, types: { types(sources[$0] ?? $0) },
      isTaken: { _ in false })
    var waiting = Array(try nodes(copy, definition, &rewriter).reversed())
    var steps = 0
    while let part = waiting.popLast() {
      steps += 1
      guard steps < 10_000 else { throw .limitExceeded("\(node.opType) stands for itself") }
      let made = OperatorTable.find(part.opType, domain: part.domain)
      guard let made, made.isComposition, let lift = made.lift else {
        graph.add(part)
        continue
      }
      waiting += try lift(part, made.newestVersion, &rewriter).reversed()
    }
    for constant in rewriter.added { _ = graph.constant(constant.name, constant.tensor) }
    return copy.outputs.map { $0.isEmpty ? nil : graph.existing($0) }
  }
}
