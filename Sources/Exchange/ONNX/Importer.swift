import Base
import Graphs
import Operators
import Tensors

/// Turns a model as a file has it into the form of memory: every node the newest form of its
/// operator, functions expanded where they are called, Constant nodes among the initialisers, and
/// no name of an inner graph hiding an outer one.
///
/// The model must have passed `Graph.verify`.
final class Importer {
  private let model: Model
  let library: FunctionLibrary
  /// Names in use anywhere in the model.
  var taken: Set<String> = []
  /// Nodes that operators which look at their graph have seen.
  private var seenCount = 0
  private static let maximumSeenCount = 5_000_000
  private var unknown: [String: [String]] = [:]

  init(_ model: Model) throws(StackLensError) {
    self.model = model
    library = try FunctionLibrary(model.functions)
  }

  /// The model in the form of memory.
  /// - Throws: `.unsupported` with every operator that is missing from the table and the nodes
  ///   that use it; what a definition says about a node's arity and attributes.
  func run() throws(StackLensError) -> Model {
    var result = model
    result.functions = []
    collectNames(model.graph, depth: 1)
    var graph = model.graph
    if model.irVersion < 4 {
      // Every initialiser had to be an input then; none of them is meant to be fed.
      let constants = Set(graph.initializers.map(\.name))
      graph.inputs.removeAll { constants.contains($0.name) }
    }
    result.graph = try rewrite(graph, Names(), calledFrom: nil, in: nil, depth: 1)
    for (index, training) in model.training.enumerated() {
      do throws(StackLensError) {
        result.training[index].initialization = try rewrite(training.initialization)
        result.training[index].algorithm = try rewrite(training.algorithm)
      } catch {
        throw error.within("training_info[\(index)]")
      }
    }
    try reportUnknown()
    try result.graph.verify()
    return result
  }

  private func rewrite(_ training: Graph?) throws(StackLensError) -> Graph? {
    guard let training else { return nil }
    return try rewrite(training, Names(), calledFrom: nil, in: nil, depth: 1)
  }

  private func collectNames(_ graph: Graph, depth: Int) {
    taken.formUnion(graph.inputs.map(\.name))
    taken.formUnion(graph.initializers.map(\.name))
    for node in graph.nodes {
      taken.formUnion(node.outputs)
      if depth < Graph.maximumDepth, node.hasSubgraphs {
        for (_, graph) in node.subgraphs { collectNames(graph, depth: depth + 1) }
      }
    }
  }

  /// One graph with everything inside it.
  private func rewrite(
    _ source: Graph, _ outerNames: Names, calledFrom call: FunctionCall?, in parent: NameScope?,
    depth: Int
  ) throws(StackLensError) -> Graph {
    guard depth <= Graph.maximumDepth else {
      throw .limitExceeded("graphs are nested deeper than \(Graph.maximumDepth)")
    }
    var names = outerNames
    let scope = NameScope(parent: parent, defined: [])
    func define(_ name: String) throws(StackLensError) {
      guard !name.isEmpty else { return }
      var inner = try library.budget.spend(names[name])
      if let parent, parent.isVisible(inner) {
        inner = fresh(inner)
        names[name] = inner
      }
      scope.defined.insert(inner)
      taken.insert(inner)
    }
    for input in source.inputs { try define(input.name) }
    for initializer in source.initializers { try define(initializer.name) }
    for node in source.nodes { for output in node.outputs { try define(output) } }

    var graph = source
    graph.nodes = []
    graph.inputs = source.inputs.map { $0.renamed(names) }
    graph.outputs = source.outputs.map { $0.renamed(names) }
    graph.valueInfo = source.valueInfo.map { $0.renamed(names) }
    // What a file says of other values may be wrong.
    for info in graph.inputs { scope.types[info.name] = info.type }
    let overridable = Set(graph.inputs.map(\.name))
    for index in graph.initializers.indices {
      graph.initializers[index].name = names[graph.initializers[index].name]
      let constant = graph.initializers[index]
      if !overridable.contains(constant.name) { scope.constants[constant.name] = constant.tensor }
    }
    for index in graph.quantization.indices {
      graph.quantization[index].tensorName = names[graph.quantization[index].tensorName]
    }

    // Functions are expanded on a stack of their own: chains of calls can be long.
    var frames = [Frame(nodes: source.nodes, names: names, call: call)]
    while !frames.isEmpty {
      guard let node = frames[frames.count - 1].next() else {
        graph.nodes += frames.removeLast().epilogue
        continue
      }
      let frame = frames[frames.count - 1]
      do throws(StackLensError) {
        let node = try frame.resolve(node, library.budget)
        if let function = library.find(node) {
          let expansion = try library.expand(function, at: node, in: self)
          for output in expansion.definedNames {
            scope.defined.insert(output)
            taken.insert(output)
          }
          frames.append(expansion)
        } else {
          try append(node, frame, to: &graph, scope, depth)
        }
      } catch {
        throw error.within(node.label)
      }
    }
    if parent == nil, model.training.isEmpty { graph.dropForgotten(since: source, keeping: []) }
    return graph
  }

  /// Adds one node, lifted, with its subgraphs rewritten.
  private func append(
    _ source: Node, _ frame: Frame, to graph: inout Graph, _ scope: NameScope, _ depth: Int
  ) throws(StackLensError) {
    var node = source
    let imports = frame.call?.function.opsetImports ?? model.opsetImports
    if node.domain.isEmpty, node.opType == "Constant" {
      _ = try Opsets.version(of: node, in: imports, or: model.opsetImports)
      let tensor = try node.constantValue()
      guard node.outputs.count == 1, !node.outputs[0].isEmpty else {
        throw .formatError("\(node.outputs.count) outputs, expected one with a name")
      }
      graph.initializers.append(
        Initializer(
          node.outputs[0], tensor, documentation: node.documentation, metadata: node.metadata,
          isConstant: true))
      scope.constants[node.outputs[0]] = tensor
      return
    }
    guard let definition = definition(of: node) else { return }
    let version = try Opsets.version(of: node, in: imports, or: model.opsetImports)
    guard version >= definition.oldestRead else {
      throw .formatError(
        "\(node.opType) appears in opset \(definition.versions[0]), the model imports \(version)")
    }
    try rewriteSubgraphs(of: &node, frame, scope, depth)
    if version < 6, node.domain.isEmpty { node.attributes["consumed_inputs"] = nil }
    if version >= definition.newestVersion || definition.lift == nil {
      try definition.verify(node)
    }
    guard let lift = definition.lift,
      version < definition.newestVersion || definition.isComposition
    else {
      graph.nodes.append(node)
      return
    }
    // What every form has in common; the rest is checked once the node has its newest form.
    guard !node.inputs.isEmpty || definition.inputCount.lowerBound == 0 else {
      throw .invalidArgument("it has no inputs")
    }
    guard !node.outputs.isEmpty || definition.outputCount.lowerBound == 0 else {
      throw .invalidArgument("it has no outputs")
    }
    if !definition.nameAttributes.isEmpty {
      seenCount += graph.nodes.count
      guard seenCount <= Self.maximumSeenCount else {
        throw .limitExceeded("\(node.opType) is used too often in a graph of this size")
      }
    }
    var rewriter = Rewriter(
      prefix: node.outputs.first { !$0.isEmpty } ?? node.opType,
      constants: { scope.constant($0) }, types: { scope.type($0) },
      isTaken: { [self] in taken.contains($0) },
      nodes: definition.nameAttributes.isEmpty ? [] : graph.nodes)
    let lifted = try lift(node, version, &rewriter)
    for var constant in rewriter.added {
      constant.isConstant = true
      graph.initializers.append(constant)
      scope.constants[constant.name] = constant.tensor
      scope.defined.insert(constant.name)
      taken.insert(constant.name)
    }
    for node in lifted {
      for output in node.outputs where !output.isEmpty {
        scope.defined.insert(output)
        taken.insert(output)
      }
      if let definition = self.definition(of: node) {
        try definition.verify(node)
        graph.nodes.append(node)
      }
    }
  }

  private func rewriteSubgraphs(
    of node: inout Node, _ frame: Frame, _ scope: NameScope, _ depth: Int
  ) throws(StackLensError) {
    // In one order, so that fresh names are the same every time.
    for (key, attribute) in node.attributes.sorted(by: { $0.key < $1.key }) {
      switch attribute {
      case .graph(let inner):
        let inner = try rewrite(
          inner, frame.names, calledFrom: frame.call, in: scope, depth: depth + 1)
        node.attributes[key] = .graph(inner)
      case .graphs(let inner):
        var rewritten: [Graph] = []
        for graph in inner {
          try rewritten.append(
            rewrite(graph, frame.names, calledFrom: frame.call, in: scope, depth: depth + 1))
        }
        node.attributes[key] = .graphs(rewritten)
      default: break
      }
    }
  }

  /// The definition of a node's operator; a missing one is noted and reported at the end.
  private func definition(of node: Node) -> OperatorDefinition? {
    if let definition = OperatorTable.find(node.opType, domain: node.domain) { return definition }
    let name = node.domain.isEmpty ? node.opType : "\(node.domain).\(node.opType)"
    unknown[name, default: []].append(
      node.name.isEmpty ? (node.outputs.first.map { "producing '\($0)'" } ?? "?") : "'\(node.name)'"
    )
    return nil
  }

  private func reportUnknown() throws(StackLensError) {
    guard !unknown.isEmpty else { return }
    let lines = unknown.sorted { $0.key < $1.key }.prefix(100).map { name, nodes in
      let shown = nodes.prefix(5).joined(separator: ", ")
      return "\(name) (\(nodes.count == 1 ? "node" : "\(nodes.count) nodes:") \(shown)"
        + (nodes.count > 5 ? ", …)" : ")")
    }
    throw .unsupported(
      "\(unknown.count == 1 ? "an operator is" : "\(unknown.count) operators are") not supported: "
        + lines.joined(separator: "; ") + (unknown.count > lines.count ? "; …" : ""))
  }

  /// A name like `name` that nothing uses yet.
  func fresh(_ name: String) -> String {
    var counter = 2
    while taken.contains("\(name)__\(counter)") { counter += 1 }
    taken.insert("\(name)__\(counter)")
    return "\(name)__\(counter)"
  }
}

extension ValueInfo {
  fileprivate func renamed(_ names: Importer.Names) -> ValueInfo {
    var info = self
    info.name = names[name]
    return info
  }
}
