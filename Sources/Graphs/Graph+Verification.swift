import Base

extension Graph {
  /// Most graphs inside graphs that are accepted.
  public static let maximumDepth = 64

  /// Checks the structure: every value has one maker and is made before it is read, here or in an
  /// enclosing graph, and every output exists. Operators are not looked at.
  /// - Parameter outer: names that enclosing graphs offer.
  /// - Throws: `.formatError` naming the node and the value; `.limitExceeded` for deep nesting.
  public func verify(outer: Set<String> = []) throws(StackLensError) {
    try verify(outer: outer.isEmpty ? [] : [outer], depth: 1)
  }

  private func verify(outer: [Set<String>], depth: Int) throws(StackLensError) {
    try Self.checkDepth(depth)
    var known: Set<String> = []
    for input in inputs {
      guard !input.name.isEmpty else { throw .formatError("graph '\(name)': an input has no name") }
      guard known.insert(input.name).inserted else {
        throw .formatError("graph '\(name)': two inputs are called '\(input.name)'")
      }
    }
    var constants: Set<String> = []
    for initializer in initializers {
      guard !initializer.name.isEmpty else {
        throw .formatError("graph '\(name)': an initialiser has no name")
      }
      guard constants.insert(initializer.name).inserted else {
        throw .formatError("graph '\(name)': two initialisers are called '\(initializer.name)'")
      }
    }
    known.formUnion(constants)
    for node in nodes {
      guard !node.opType.isEmpty else { throw .formatError("\(node.label) has no operator") }
      for input in node.inputs where !input.isEmpty && !known.contains(input) {
        guard outer.contains(where: { $0.contains(input) }) else {
          throw .formatError("\(node.label) reads '\(input)', which nothing before it makes")
        }
      }
      for (attribute, graph) in node.subgraphs {
        do throws(StackLensError) {
          try graph.verify(outer: outer + [known], depth: depth + 1)
        } catch {
          throw error.within("\(node.label), attribute '\(attribute)'")
        }
      }
      for output in node.outputs where !output.isEmpty {
        guard known.insert(output).inserted else {
          throw .formatError("\(node.label) makes '\(output)', which already exists")
        }
      }
    }
    for output in outputs {
      guard known.contains(output.name) || outer.contains(where: { $0.contains(output.name) })
      else {
        throw .formatError("graph '\(name)': nothing makes the output '\(output.name)'")
      }
    }
  }

  private static func checkDepth(_ depth: Int) throws(StackLensError) {
    guard depth <= maximumDepth else {
      throw .limitExceeded("graphs are nested deeper than \(maximumDepth)")
    }
  }

  /// Puts the nodes of this graph and of the graphs inside it into an order in which every value
  /// is made before it is read; an order that already does that stays.
  /// - Throws: `.formatError` naming the nodes of a cycle, or a value made twice.
  public mutating func sortNodes() throws(StackLensError) { try sortNodes(depth: 1) }

  private mutating func sortNodes(depth: Int) throws(StackLensError) {
    try Self.checkDepth(depth)
    for index in nodes.indices where nodes[index].hasSubgraphs {
      for (key, attribute) in nodes[index].attributes {
        do throws(StackLensError) {
          switch attribute {
          case .graph(var graph):
            try graph.sortNodes(depth: depth + 1)
            nodes[index].attributes[key] = .graph(graph)
          case .graphs(var graphs):
            for place in graphs.indices { try graphs[place].sortNodes(depth: depth + 1) }
            nodes[index].attributes[key] = .graphs(graphs)
          default: break
          }
        } catch {
          throw error.within("\(nodes[index].label), attribute '\(key)'")
        }
      }
    }
    var maker: [String: Int] = [:]
    for (index, node) in nodes.enumerated() {
      for output in node.outputs where !output.isEmpty {
        if let other = maker.updateValue(index, forKey: output) {
          throw .formatError("\(nodes[other].label) and \(node.label) both make '\(output)'")
        }
      }
    }
    var needs: [[Int]] = []
    var isSorted = true
    for (index, node) in nodes.enumerated() {
      needs.append(node.reads.compactMap { maker[$0] })
      isSorted = isSorted && (needs[index].allSatisfy { $0 < index })
    }
    if !isSorted { nodes = try order(needs).map { nodes[$0] } }
  }

  /// Depth-first with a work list of its own: (node, place in its list of needs).
  private func order(_ needs: [[Int]]) throws(StackLensError) -> [Int] {
    enum Mark { case new, open, done }
    var marks = [Mark](repeating: .new, count: nodes.count)
    var order: [Int] = []
    for root in nodes.indices where marks[root] == .new {
      var work = [(node: root, next: 0)]
      marks[root] = .open
      while let (node, next) = work.last {
        guard next < needs[node].count else {
          marks[node] = .done
          order.append(node)
          work.removeLast()
          continue
        }
        work[work.count - 1].next += 1
        let need = needs[node][next]
        switch marks[need] {
        case .done: break
        case .new:
          marks[need] = .open
          work.append((need, 0))
        case .open:
          let start = work.firstIndex { $0.node == need } ?? 0
          let cycle = work[start...].reversed().map { nodes[$0.node].label }
          let shown = cycle.prefix(8).joined(separator: " -> ") + (cycle.count > 8 ? " -> …" : "")
          throw .formatError("the graph '\(name)' has a cycle: \(shown) -> \(cycle[0])")
        }
      }
    }
    return order
  }
}

extension Node {
  /// Whether an attribute is a graph.
  public var hasSubgraphs: Bool {
    attributes.values.contains {
      switch $0 {
      case .graph, .graphs: true
      default: false
      }
    }
  }
}
