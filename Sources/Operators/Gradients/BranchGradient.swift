import Base
import Graphs
import Tensors

extension GradientRule {
  /// The branch that ran is run again in another If, with its gradients behind it: those of the
  /// values that the branches take from around them.
  static let branch = GradientRule { (scope) throws(StackLensError) in
    let wanted = scope.names.indices.filter { $0 > 0 && scope.wants($0) }
    var branches: [String: Attribute] = [:]
    for attribute in ["then_branch", "else_branch"] {
      guard case .graph(let graph)? = scope.node.attributes[attribute] else {
        throw .invalidArgument("attribute '\(attribute)' (a graph) is missing")
      }
      branches[attribute] = .graph(try back(graph, wanted.map { scope.names[$0] }, scope))
    }
    guard !wanted.isEmpty else { return scope.names.map { _ in nil } }
    let made = scope.graph.add("If", [try scope.input(0)], branches, outputs: wanted.count)
    var gradients: [Edge?] = scope.names.map { _ in nil }
    for (index, edge) in zip(wanted, made) { gradients[index] = edge }
    return gradients
  }

  private static func back(
    _ branch: Graph, _ variables: [String], _ scope: GradientScope
  ) throws(StackLensError) -> Graph {
    let builder = GraphBuilder("back", prefix: scope.graph.fresh("back"))
    let differentiation = Differentiation(branch.nodes, into: builder, types: scope.types)
    var seeds: [(value: String, gradient: Edge)] = []
    for (output, gradient) in zip(branch.outputs, scope.outputGradients) {
      if let gradient { seeds.append((output.name, builder.existing(gradient.name))) }
    }
    let found = try differentiation.gradients(seeds: seeds, with: variables)
    var outputs: [ValueInfo] = []
    for (name, gradient) in zip(variables, found) {
      var edge = gradient
      if edge == nil { edge = try differentiation.zeros(like: builder.existing(name)) }
      outputs.append(ValueInfo(builder.add("Identity", [edge]).name, .unknown))
    }
    var result = branch
    result.nodes += builder.graph.nodes
    result.initializers += builder.graph.initializers
    result.outputs = outputs
    return result
  }
}
