import Base
import Graphs
import Operators
import Tensors

extension Graph {
  /// Adds the gradients of the weighted sum of some values with respect to others.
  /// - Throws: `.internalError` naming a variable that nothing flows to.
  package mutating func addGradients(
    of outputs: [Edge], weights: [Tensor], with variables: [String]
  ) throws(StackLensError) -> [Edge] {
    guard !variables.isEmpty else { return [] }
    let loss = GraphBuilder("loss", prefix: "loss")
    var terms: [Edge] = []
    for (output, weight) in zip(outputs, weights) {
      let product = loss.existing(output.name) * loss.constant(weight)
      terms.append(loss.add("ReduceSum", [product], ["keepdims": .int(0)]))
    }
    let total = loss.add("Sum", terms)
    nodes += loss.graph.nodes
    initializers += loss.graph.initializers
    let back = GraphBuilder("back", prefix: "back")
    let types = GraphTypes(of: self).values
    let found = try Differentiation(nodes, into: back, types: { types[$0] })
      .gradients(of: total.name, with: variables)
    nodes += back.graph.nodes
    initializers += back.graph.initializers
    var gradients: [Edge] = []
    for (gradient, variable) in zip(found, variables) {
      guard let gradient else { throw .internalError("nothing flows to '\(variable)'") }
      gradients.append(gradient)
    }
    return gradients
  }
}
