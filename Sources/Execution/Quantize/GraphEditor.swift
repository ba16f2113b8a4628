import Base
import Graphs
import Tensors

/// A graph under rewriting: nodes are taken one by one, and what replaces them is appended.
struct GraphEditor {
  let options: QuantizationOptions
  /// The graph as it was.
  let source: Graph
  var nodes: [Node] = []
  var initializers: [Initializer]
  private(set) var constants: [String: Tensor] = [:]
  private var taken: Set<String> = []
  /// Constants that were made once for several readers, by what they were made from.
  var shared: [String: String] = [:]

  init(_ model: Model, _ options: QuantizationOptions) throws(StackLensError) {
    self.options = options
    var graph = Transform.removeIdentities(model.graph)
    graph = try Transform.removeDeadCode(Transform.foldConstants(graph, keepsBytes: true))
    source = graph
    initializers = graph.initializers
    let inputs = Set(graph.inputs.map(\.name))
    for initializer in graph.initializers where !inputs.contains(initializer.name) {
      constants[initializer.name] = initializer.tensor
    }
    taken = inputs.union(graph.initializers.map(\.name))
    Self.collect(graph, &taken)
  }

  private static func collect(_ graph: Graph, _ names: inout Set<String>) {
    for node in graph.nodes {
      names.formUnion(node.outputs)
      for (_, inner) in node.subgraphs {
        names.formUnion(inner.inputs.map(\.name))
        names.formUnion(inner.initializers.map(\.name))
        collect(inner, &names)
      }
    }
  }

  /// Whether the caller wants a node left alone.
  func isExcluded(_ node: Node) -> Bool {
    options.exclude.contains(node.name) || options.exclude.contains(node.opType)
      || node.outputs.contains { !$0.isEmpty && options.exclude.contains($0) }
  }

  mutating func fresh(_ hint: String) -> String {
    var name = hint
    var counter = 2
    while !taken.insert(name).inserted {
      name = "\(hint)_\(counter)"
      counter += 1
    }
    return name
  }

  /// Adds a constant and returns its name.
  mutating func constant(_ tensor: Tensor, _ hint: String) -> String {
    let name = fresh(hint)
    initializers.append(Initializer(name, tensor))
    constants[name] = tensor
    return name
  }

  /// Appends a node with one output, which gets a fresh name like `hint` unless `output` is given.
  @discardableResult
  mutating func add(
    _ opType: String, _ inputs: [String], _ attributes: [String: Attribute] = [:],
    hint: String, output: String? = nil, domain: String = ""
  ) -> String {
    let output = output ?? fresh(hint)
    nodes.append(
      Node(
        opType, inputs: inputs, outputs: [output], attributes: attributes,
        name: output, domain: domain))
    return output
  }

  /// The graph as it is now, without what nobody reads any more.
  func finish() throws(StackLensError) -> Graph {
    var graph = source
    graph.nodes = nodes
    graph.initializers = initializers
    graph = Transform.removeDeadCode(graph)
    try graph.verify()
    return graph
  }

  /// A float32 matrix among the constants.
  func matrix(_ name: String) -> Tensor? {
    guard let tensor = constants[name], tensor.rank == 2, tensor.elementType == .float32,
      tensor.count > 0
    else { return nil }
    return tensor
  }
}

/// A product with constant weights, MatMul or Gemm, read alike.
struct ConstantProduct {
  let node: Node
  let x: String
  let weight: Tensor
  let weightName: String
  /// The weights are [N, K].
  let isTransposed: Bool
  /// Added to each row, "" for none.
  let bias: String

  var output: String { node.outputs[0] }
  var inner: Int { weight.shape[isTransposed ? 1 : 0] }
  var columns: Int { weight.shape[isTransposed ? 0 : 1] }

  /// Nil for other nodes, and for products that scale or transpose their data.
  init?(_ node: Node, _ editor: GraphEditor) {
    guard node.domain.isEmpty, !editor.isExcluded(node), node.inputs.count >= 2,
      let weight = editor.matrix(node.inputs[1])
    else { return nil }
    var isTransposed = false
    switch node.opType {
    case "MatMul": bias = ""
    case "Gemm":
      for key in ["alpha", "beta"] {
        if case .float(let value)? = node.attributes[key], value != 1 { return nil }
      }
      if case .int(let flag)? = node.attributes["transA"], flag != 0 { return nil }
      if case .int(let flag)? = node.attributes["transB"] { isTransposed = flag != 0 }
      bias = node.inputs.count > 2 ? node.inputs[2] : ""
    default: return nil
    }
    self.node = node
    x = node.inputs[0]
    weightName = node.inputs[1]
    self.weight = weight
    self.isTransposed = isTransposed
  }

  /// The weights as [K, N], by rows.
  func byRows() throws(StackLensError) -> [Float] {
    let values = try weight.elements(as: Float.self)
    guard isTransposed else { return values }
    let (k, n) = (inner, columns)
    var turned = [Float](repeating: 0, count: values.count)
    for column in 0..<n {
      for row in 0..<k { turned[row * n + column] = values[column * k + row] }
    }
    return turned
  }
}
