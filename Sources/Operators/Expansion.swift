import Base
import Graphs
import Tensors

extension Graph {
  /// The graph without operators that always stand for others: what import leaves, for graphs that
  /// were built.
  public func withoutCompositions() throws(StackLensError) -> Graph {
    func definition(_ node: Node) -> OperatorDefinition? {
      OperatorTable.find(node.opType, domain: node.domain)
    }
    guard nodes.contains(where: { definition($0)?.isComposition ?? false }) else { return self }
    var result = self
    result.nodes = []
    var taken = Set(inputs.map(\.name) + initializers.map(\.name))
    for node in nodes { taken.formUnion(node.outputs) }
    var constants: [String: Tensor] = [:]
    for constant in initializers { constants[constant.name] = constant.tensor }
    for input in inputs { constants[input.name] = nil }
    let types = GraphTypes(of: self).values
    var waiting = Array(nodes.reversed())
    var count = 0
    while let node = waiting.popLast() {
      guard let definition = definition(node), definition.isComposition,
        let lift = definition.lift
      else {
        result.nodes.append(node)
        continue
      }
      count += 1
      guard count < Self.expansionLimit else {
        throw .limitExceeded("\(node.label) stands for too many nodes")
      }
      var rewriter = Rewriter(
        prefix: node.outputs.first { !$0.isEmpty } ?? node.opType, constants: { constants[$0] },
        types: { types[$0] }, isTaken: { taken.contains($0) }, nodes: result.nodes)
      let parts: [Node]
      do throws(StackLensError) {
        parts = try lift(node, definition.newestVersion, &rewriter)
      } catch { throw error.within(node.label) }
      for constant in rewriter.added {
        result.initializers.append(constant)
        constants[constant.name] = constant.tensor
        taken.insert(constant.name)
      }
      for part in parts { taken.formUnion(part.outputs) }
      waiting += parts.reversed()
    }
    return result
  }

  private static let expansionLimit = 1_000_000
}
