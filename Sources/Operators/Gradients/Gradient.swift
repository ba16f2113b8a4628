import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The gradients of the value called `y` with respect to those called `xs`, as nodes: `xs` and
  /// `zs` name the variables of the graph around the node, its inputs are their values.
  /// ONNX Gradient-1 (preview.training).
  static let gradient = OperatorDefinition(
    "Gradient", domain: "ai.onnx.preview.training", versions: [1], inputs: 1...(.max),
    outputs: 1...(.max),
    attributes: [
      .required("xs", .strings), .required("y", .string), .optional("zs", .strings),
    ],
    nameAttributes: ["xs", "y", "zs"],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .lifted,
    lift: { (node, _, rewriter) throws(StackLensError) in
      guard case .strings(let xs)? = node.attributes["xs"],
        case .string(let y)? = node.attributes["y"]
      else { throw .invalidArgument("attributes 'xs' (strings) and 'y' (string) are needed") }
      var names = xs
      if case .strings(let zs)? = node.attributes["zs"] { names += zs }
      guard names.count == node.inputs.count, node.outputs.count <= xs.count else {
        throw .invalidArgument(
          "\(node.inputs.count) inputs for \(names.count) variables, "
            + "\(node.outputs.count) outputs for \(xs.count) gradients")
      }
      var slice = try FunctionSlice(
        rewriter.nodes, of: y, variables: names, values: node.inputs, &rewriter)
      let graph = GraphBuilder("gradient", prefix: rewriter.fresh("gradient"))
      let differentiation = Differentiation(
        rewriter.nodes + slice.copies, into: graph,
        types: { [rewriter] in rewriter.type(of: $0) })
      let inputs = Array(node.inputs.prefix(xs.count))
      let gradients = try differentiation.gradients(of: slice.target, with: inputs)
      var result: [Node] = []
      for (index, name) in node.outputs.enumerated() where !name.isEmpty {
        var edge = gradients[index]
        if edge == nil {
          edge = try differentiation.filled(0, like: graph.existing(inputs[index]))
        }
        guard let edge else { continue }
        result.append(Node("Identity", inputs: [edge.name], outputs: [name]))
      }
      for constant in graph.graph.initializers { rewriter.add(constant) }
      slice.copies += graph.graph.nodes + result
      return slice.copies
    })
}

/// The part of a graph that makes a value from variables, with other values put in their place.
private struct FunctionSlice {
  /// Copies of the nodes that depend on a variable whose value is another one.
  var copies: [Node] = []
  /// The name under which the value is made.
  let target: String

  init(
    _ nodes: [Node], of y: String, variables: [String], values: [String],
    _ rewriter: inout Rewriter
  ) throws(StackLensError) {
    var renamed: [String: String] = [:]
    for (name, value) in zip(variables, values) where name != value { renamed[name] = value }
    let fixed = Set(variables)
    for node in nodes where node.reads.contains(where: { renamed[$0] != nil }) {
      guard !node.outputs.allSatisfy({ fixed.contains($0) || $0.isEmpty }) else { continue }
      guard !node.hasSubgraphs else {
        throw .unsupported("Gradient at other values through \(node.label)")
      }
      var copy = node
      copy.name = ""
      copy.inputs = node.inputs.map { renamed[$0] ?? $0 }
      for (index, name) in node.outputs.enumerated() where !name.isEmpty {
        copy.outputs[index] = rewriter.fresh("at")
        if !fixed.contains(name) { renamed[name] = copy.outputs[index] }
      }
      copies.append(copy)
    }
    target = renamed[y] ?? y
    var needed: Set<String> = [target]
    var kept: [Node] = []
    for copy in copies.reversed() where copy.outputs.contains(where: { needed.contains($0) }) {
      needed.formUnion(copy.inputs)
      kept.append(copy)
    }
    copies = kept.reversed()
  }
}
