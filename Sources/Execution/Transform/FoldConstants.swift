import Base
import Graphs
import Operators
import Tensors

extension Transform {
  /// Values larger than this are not folded unless folding makes them smaller.
  private static let foldLimit = 1 << 22

  /// Computes the nodes whose inputs are all constants and turns their outputs into constants.
  /// - Parameter keepsBytes: leaves quantised constants as they are.
  static func foldConstants(
    _ graph: Graph, keepsBytes: Bool = false
  ) throws(StackLensError) -> Graph {
    var constants: [String: Tensor] = [:]
    for initializer in graph.initializers { constants[initializer.name] = initializer.tensor }
    var result = graph
    result.nodes = []
    let index = graph.nodes.contains(where: asksForLastExtent) ? GraphIndex(graph) : nil
    for node in graph.nodes {
      let isKept =
        keepsBytes && isWeightDequantization(node, node.inputs.first.flatMap { constants[$0] })
      if asksForLastExtent(node), let extent = index?.lastExtent(of: node.inputs[0]) {
        constants[node.outputs[0]] = try Tensor([Int64(extent)])
        result.initializers.append(Initializer(node.outputs[0], try Tensor([Int64(extent)])))
      } else if !isKept, let values = fold(node, constants) {
        for (name, tensor) in zip(node.outputs, values) where !name.isEmpty {
          constants[name] = tensor
          result.initializers.append(Initializer(name, tensor))
        }
      } else {
        result.nodes.append(node)
      }
    }
    return result
  }

  /// Whether a node makes the extent of a last axis, which the graph may show.
  private static func asksForLastExtent(_ node: Node) -> Bool {
    guard node.opType == "Shape", node.domain.isEmpty, case .int(-1)? = node.attributes["start"]
    else { return false }
    return node.attributes["end"] == nil && !node.inputs[0].isEmpty
  }

  /// The outputs of a foldable node. An error leaves the node where it is: it may never run.
  private static func fold(_ node: Node, _ constants: [String: Tensor]) -> [Tensor]? {
    guard let definition = OperatorTable.find(node.opType, domain: node.domain),
      definition.isDeterministic, node.subgraphs.isEmpty,
      node.inputs.allSatisfy({ $0.isEmpty || constants[$0] != nil })
    else { return nil }
    let inputs = node.inputs.map { constants[$0].map { Value.tensor($0) } }
    let inputCount = node.inputs.reduce(0) { $0 + (constants[$1]?.count ?? 0) }
    guard let outputs = try? definition.evaluate(node, inputs: inputs, memoryLimit: foldLimit * 8)
    else { return nil }
    var tensors: [Tensor] = []
    for output in outputs {
      guard case .tensor(let tensor) = output, tensor.count <= max(foldLimit, inputCount) else {
        return nil
      }
      tensors.append(tensor)
    }
    return tensors
  }
}
