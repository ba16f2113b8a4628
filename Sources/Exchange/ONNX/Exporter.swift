import Base
import Graphs
import Operators
import Tensors

/// Puts a model into the form that an opset allows.
final class Exporter {
  private let model: Model
  private let opset: Int
  private let allowsOwnOperators: Bool
  private var taken: Set<String> = []
  private var usedDomains: Set<String> = [""]
  /// Names of the main graph that training graphs read.
  private var readElsewhere: Set<String> = []
  /// What follows for the values of the model; only some conversions ask.
  private lazy var types = GraphTypes(of: model.graph)

  /// - Parameter allowsOwnOperators: whether operators of the domain `ai.stacklens`, which no other
  ///   runtime knows, may be written.
  init(_ model: Model, opset: Int, allowsOwnOperators: Bool) {
    self.model = model
    self.opset = opset
    self.allowsOwnOperators = allowsOwnOperators
  }

  /// The model with every node in the form of the target versions.
  /// - Throws: `.unsupported` naming the node and what stops it.
  func run() throws(StackLensError) -> Model {
    guard opset >= Opsets.oldest, opset <= Opsets.newest["", default: opset] else {
      throw .unsupported(
        "files can be written for opset \(Opsets.oldest) to \(Opsets.newest["", default: opset]), "
          + "not \(opset)")
    }
    try model.graph.verify()
    collectNames(model.graph)
    for training in model.training {
      for graph in [training.initialization, training.algorithm] {
        if let graph { collectNames(graph) }
      }
    }
    var result = model
    for index in result.training.indices {
      do throws(StackLensError) {
        try lower(&result.training[index].initialization)
        try lower(&result.training[index].algorithm)
      } catch {
        throw error.within("training_info[\(index)]")
      }
    }
    result.graph = try lower(model.graph, parent: nil)
    try result.graph.verify()
    result.irVersion = Opsets.irVersion(forOpset: opset)
    if !model.deviceConfigurations.isEmpty { result.irVersion = max(result.irVersion, 11) }
    result.opsetImports = [:]
    for domain in usedDomains { result.opsetImports[domain] = target(domain) }
    return result
  }

  /// The version of a domain that the file imports.
  private func target(_ domain: String) -> Int {
    switch domain {
    case "": return opset
    case "ai.onnx.ml":
      let allowed = Opsets.mlVersion(forOpset: opset)
      return min(model.opsetImports[domain] ?? allowed, allowed)
    default: return Opsets.newest[domain] ?? model.opsetImports[domain] ?? 1
    }
  }

  private func collectNames(_ graph: Graph) {
    taken.formUnion(graph.inputs.map(\.name))
    taken.formUnion(graph.initializers.map(\.name))
    for node in graph.nodes {
      taken.formUnion(node.outputs)
      if node.hasSubgraphs { for (_, graph) in node.subgraphs { collectNames(graph) } }
    }
  }

  private func lower(_ training: inout Graph?) throws(StackLensError) {
    guard let graph = training else { return }
    training = try lower(graph, parent: nil)
    readElsewhere.formUnion(graph.captures)
  }

  private func lower(_ source: Graph, parent: NameScope?) throws(StackLensError) -> Graph {
    var graph = source
    graph.nodes = []
    let inputs = Set(source.inputs.map(\.name))
    let scope = NameScope(
      parent: parent, defined: inputs.union(source.nodes.lazy.flatMap(\.outputs)))
    for constant in source.initializers {
      try checkType(.tensor(constant.tensor.elementType, nil), constant.name)
      scope.defined.insert(constant.name)
      if !inputs.contains(constant.name) { scope.constants[constant.name] = constant.tensor }
    }
    for info in source.inputs + source.outputs + source.valueInfo {
      try checkType(info.type, info.name)
      scope.types[info.name] = info.type
    }
    for node in source.nodes {
      do throws(StackLensError) {
        let (nodes, constants) = try lower(node, scope)
        graph.nodes += nodes
        graph.initializers += constants
      } catch {
        throw error.within(node.label)
      }
    }
    graph.dropForgotten(since: source, keeping: readElsewhere)
    graph.keepConstantsApart()
    return graph
  }

  /// - Throws: `.unsupported` for an element type that the opset does not have yet.
  private func checkType(_ type: ValueType, _ name: String) throws(StackLensError) {
    switch type {
    case .tensor(let elementType, _):
      do throws(StackLensError) { try elementType.check(isIn: opset) } catch {
        throw error.within("'\(name)'")
      }
    case .sequence(let element), .optional(let element), .map(_, let element):
      try checkType(element, name)
    case .unknown: break
    }
  }

  /// One node with its subgraphs.
  private func lower(
    _ source: Node, _ scope: NameScope
  ) throws(StackLensError) -> (nodes: [Node], constants: [Initializer]) {
    var node = source
    guard let definition = OperatorTable.find(node.opType, domain: node.domain) else {
      throw .unsupported("the library has no such operator")
    }
    let isOwn = definition.domain == "ai.stacklens" && !allowsOwnOperators
    guard !isOwn || definition.lower != nil else {
      throw .unsupported("operators of the domain ai.stacklens are not written into files")
    }
    try definition.verify(node)
    node.domain = definition.domain
    for (key, attribute) in node.attributes.sorted(by: { $0.key < $1.key }) {
      switch attribute {
      case .graph(let inner): node.attributes[key] = .graph(try lower(inner, parent: scope))
      case .graphs(let inner):
        var lowered: [Graph] = []
        for graph in inner { lowered.append(try lower(graph, parent: scope)) }
        node.attributes[key] = .graphs(lowered)
      case .tensor(let tensor): try checkType(.tensor(tensor.elementType, nil), key)
      default: break
      }
    }
    let version = target(node.domain)
    var stand = rewriter(node, scope)
    // What stands for a node that no other runtime knows, in nodes of the newest forms.
    if let compose = definition.isComposition ? definition.lift : isOwn ? definition.lower : nil {
      return try lower(compose(node, definition.newestVersion, &stand), stand.added, scope)
    }
    let isForeign = !node.domain.isEmpty && !node.domain.hasPrefix("ai.")
    if isForeign || version < definition.versions[0],
      let parts = try definition.expansion(of: node, &stand)
    {
      return try lower(parts, stand.added, scope)
    }
    var result = [node]
    var constants: [Initializer] = []
    if version < definition.newestVersion, let convert = definition.lower {
      var rewriter = rewriter(node, scope)
      result = try convert(node, version, &rewriter)
      constants = rewriter.added
    }
    if node.domain.isEmpty {
      result = try fit(result, version, node, constants, scope)
    }
    for made in result where made.domain == node.domain {
      let first = OperatorTable.find(made.opType, domain: made.domain)?.versions[0] ?? version
      guard version >= first else {
        throw .unsupported("\(made.opType) appears in opset \(first), the file is for \(version)")
      }
    }
    keep(result, constants, scope)
    for node in result { usedDomains.insert(node.domain) }
    return (result, constants)
  }

  /// Nodes in their newest forms that stand for another one, in the form of the file.
  private func lower(
    _ parts: [Node], _ added: [Initializer], _ scope: NameScope
  ) throws(StackLensError) -> (nodes: [Node], constants: [Initializer]) {
    var (nodes, constants) = ([Node](), added)
    keep(parts, constants, scope)
    for part in parts {
      let lowered = try lower(part, scope)
      nodes += lowered.nodes
      constants += lowered.constants
    }
    // Some became attributes.
    let read = Set(nodes.lazy.flatMap(\.reads))
    return (nodes, constants.filter { read.contains($0.name) })
  }

  private func rewriter(_ node: Node, _ scope: NameScope) -> Rewriter {
    Rewriter(
      prefix: node.outputs.first { !$0.isEmpty } ?? node.opType,
      constants: { scope.constant($0) },
      types: { [self] name in
        // What a conversion noted of a value are its elements alone.
        if let noted = scope.type(name), noted.isRankKnown { return noted }
        return types.type(of: name) ?? scope.type(name)
      },
      isTaken: { [self] in taken.contains($0) })
  }

  /// The nodes under element types that the opset allows; their types are noted.
  private func fit(
    _ nodes: [Node], _ version: Int, _ source: Node, _ constants: [Initializer],
    _ scope: NameScope
  ) throws(StackLensError) -> [Node] {
    keep(nodes, constants, scope)
    let fitter = TypeFitter(opset: version) { name in
      scope.constant(name).map { .tensor($0.elementType, $0.shape.dims.map { .fixed($0) }) }
        ?? scope.type(name)
    }
    var rewriter = rewriter(source, scope)
    var result: [Node] = []
    for node in nodes {
      for fitted in node.domain.isEmpty ? try fitter.fit(node, &rewriter) : [node] {
        for (name, type) in fitter.outputTypes(of: fitted) where scope.type(name) == nil {
          scope.types[name] = type
        }
        result.append(fitted)
      }
    }
    return result
  }

  /// Notes what a conversion made.
  private func keep(_ nodes: [Node], _ constants: [Initializer], _ scope: NameScope) {
    for constant in constants {
      scope.constants[constant.name] = constant.tensor
      taken.insert(constant.name)
    }
    for node in nodes { taken.formUnion(node.outputs) }
  }
}

extension ValueType {
  /// Whether there is more to know than the elements of a tensor.
  fileprivate var isRankKnown: Bool {
    if case .tensor(_, nil) = self { return false }
    return true
  }
}

extension Graph {
  /// Writes constants that could be taken for parameters as Constant nodes, so that who reads the
  /// file trains what was meant to be trained.
  fileprivate mutating func keepConstantsApart() {
    let given = Set(inputs.map(\.name))
    func isApart(_ constant: Initializer) -> Bool {
      constant.isConstant && !constant.isSparse && constant.tensor.count > 1
        && constant.tensor.elementType.isFloat && !given.contains(constant.name)
    }
    let apart = initializers.filter(isApart)
    guard !apart.isEmpty else { return }
    initializers.removeAll(where: isApart)
    nodes.insert(
      contentsOf: apart.map { constant in
        Node(
          "Constant", inputs: [], outputs: [constant.name],
          attributes: ["value": .tensor(constant.tensor)], documentation: constant.documentation,
          metadata: constant.metadata)
      }, at: 0)
  }
}
