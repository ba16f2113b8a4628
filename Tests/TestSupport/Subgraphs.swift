import Base
import Graphs
import Operators
import Tensors

extension Node {
  /// The subgraphs of the node, run node by node as an executor would; they take nothing from around
  /// them.
  public func subgraphEntries() -> [String: Evaluation.Subgraph] {
    var entries: [String: Evaluation.Subgraph] = [:]
    for (attribute, graph) in subgraphs { entries[attribute] = graph.entry() }
    return entries
  }
}

extension Graph {
  fileprivate func entry() -> Evaluation.Subgraph {
    func run(_ arguments: [Value]) throws(StackLensError) -> [Value] {
      var values: [String: Value] = [:]
      for (input, argument) in zip(inputs, arguments) { values[input.name] = argument }
      for constant in initializers { values[constant.name] = .tensor(constant.tensor) }
      for inner in nodes {
        guard let definition = OperatorTable.find(inner.opType, domain: inner.domain) else {
          throw .unsupported(inner.label)
        }
        let results = try definition.evaluate(inner, inputs: inner.inputs.map { values[$0] })
        for (name, value) in zip(inner.outputs, results) { values[name] = value }
      }
      return outputs.map { values[$0.name] ?? .none }
    }
    return run
  }
}
