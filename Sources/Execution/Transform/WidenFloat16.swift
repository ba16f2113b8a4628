import Graphs
import Tensors

extension Transform {
  /// Nets with float16 weights compute in float32 between values that others see: processors have fast
  /// sums in float32, and nothing is rounded in between.
  static func widenFloat16(_ graph: Graph) -> Graph {
    let hasWeights = graph.initializers.contains {
      $0.tensor.elementType == .float16 && $0.tensor.rank >= 2
    }
    guard hasWeights else { return graph }
    var widening = Float16Widening(graph)
    for node in graph.nodes { widening.add(node) }
    return widening.finish()
  }
}

/// The graph as it is being rewritten.
private struct Float16Widening {
  private let graph: Graph
  private let index: GraphIndex
  private var nodes: [Node] = []
  private var initializers: [Initializer] = []
  /// float16 values with the names of their float32 forms.
  private var wide: [String: String] = [:]
  /// Those that only exist in float32.
  private var missing: Set<String> = []
  /// Those that exist in float16 and are not constant.
  private var halves: Set<String> = []

  init(_ graph: Graph) {
    self.graph = graph
    index = GraphIndex(graph)
    for input in graph.inputs {
      if case .tensor(.float16, _) = input.type { halves.insert(input.name) }
    }
  }

  mutating func add(_ node: Node) {
    if node.domain.isEmpty, node.opType == "Cast", addCast(node) { return }
    if let widened = widened(node) {
      nodes.append(widened)
      return
    }
    var needed = Set(node.inputs)
    for (_, subgraph) in node.subgraphs { needed.formUnion(subgraph.captures) }
    for name in needed.sorted() { restore(name) }
    nodes.append(node)
  }

  mutating func finish() -> Graph {
    for output in graph.outputs { restore(output.name) }
    var result = graph
    result.nodes = nodes
    result.initializers += initializers
    return result
  }

  /// A cast to float16 makes a value that has both forms; one back to float32 is the wide form.
  private mutating func addCast(_ node: Node) -> Bool {
    guard case .int(let type)? = node.attributes["to"] else { return false }
    if type == Int64(ElementType.float32.rawValue), let source = wide[node.inputs[0]] {
      nodes.append(
        Node("Identity", inputs: [source], outputs: node.outputs, name: node.name))
      return true
    }
    guard type == Int64(ElementType.float16.rawValue), wide[node.inputs[0]] == nil else {
      return false
    }
    nodes.append(node)
    halves.insert(node.outputs[0])
    return true
  }

  /// The node in float32; nil where it is not known to work on float16, or has no such form.
  private mutating func widened(_ node: Node) -> Node? {
    guard let positions = Float16Data.positions(node) else { return nil }
    let read = positions.map { node.inputs[$0] }.filter { !$0.isEmpty }
    guard read.contains(where: { wide[$0] != nil || halves.contains($0) || isConstant($0) }),
      read.allSatisfy({ wide[$0] != nil || halves.contains($0) || isConstant($0) })
    else { return nil }
    var result = node
    for (place, name) in node.inputs.enumerated() where !name.isEmpty {
      if positions.contains(place) {
        guard let form = form(of: name) else { return nil }
        result.inputs[place] = form
      } else {
        restore(name)
      }
    }
    let count = node.opType == "Split" ? node.outputs.count : 1
    for place in 0..<min(count, node.outputs.count) where !node.outputs[place].isEmpty {
      let name = node.outputs[place]
      result.outputs[place] = name + "__wide"
      wide[name] = name + "__wide"
      missing.insert(name)
    }
    return result
  }

  private func isConstant(_ name: String) -> Bool {
    index.constant(name)?.elementType == .float16
  }

  /// The float32 form of a float16 value.
  private mutating func form(of name: String) -> String? {
    if let known = wide[name] { return known }
    let result = name + "__wide"
    if let constant = index.constant(name) {
      guard let values = try? constant.elements(as: Float16.self).map({ Float($0) }),
        let tensor = try? Tensor(values, shape: constant.shape)
      else { return nil }
      initializers.append(Initializer(result, tensor))
    } else {
      cast(name, to: result, .float32)
    }
    wide[name] = result
    return result
  }

  /// Makes a value exist in float16.
  private mutating func restore(_ name: String) {
    guard missing.remove(name) != nil, let source = wide[name] else { return }
    cast(source, to: name, .float16)
  }

  private mutating func cast(_ source: String, to name: String, _ type: ElementType) {
    nodes.append(
      Node(
        "Cast", inputs: [source], outputs: [name], attributes: ["to": .int(Int64(type.rawValue))],
        name: name + "__cast"))
  }
}
