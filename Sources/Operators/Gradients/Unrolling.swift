import Base
import Graphs
import Tensors

extension Graph {
  /// The graph with loops whose number of rounds is known written out round by round, and without
  /// sequences whose items are known: what differentiation goes back through. A Loop needs a constant
  /// count and a condition that stays true, a Scan a fixed extent of what it walks over; the others
  /// stay as they are.
  public func unrolled() throws(StackLensError) -> Graph {
    var graph = self
    // Loops inside of bodies come to light level by level.
    for _ in 0..<Self.maximumDepth {
      guard graph.nodes.contains(where: { $0.isLoop || $0.makesSequence }) else { return graph }
      let unrolling = try Unrolling(of: graph)
      let listing = try SequenceListing(of: unrolling.graph)
      guard unrolling.isChanged || listing.isChanged else { return graph }
      graph = listing.graph
    }
    return graph
  }
}

/// One level of loops written out.
struct Unrolling {
  private(set) var graph: Graph
  private(set) var isChanged = false
  private let constants: [String: Tensor]
  /// Nodes that written out loops may have together.
  static let nodeLimit = 100_000

  init(of source: Graph) throws(StackLensError) {
    graph = source
    graph.nodes = []
    constants = Self.constants(of: source)
    let types = GraphTypes(of: source).values
    for node in source.nodes {
      let before = graph
      do throws(StackLensError) {
        guard node.isLoop, try unroll(node, types) else {
          graph = before
          graph.nodes.append(node)
          continue
        }
      } catch { throw error.within(node.label) }
      isChanged = true
    }
  }

  static func constants(of graph: Graph) -> [String: Tensor] {
    var constants: [String: Tensor] = [:]
    for constant in graph.initializers { constants[constant.name] = constant.tensor }
    for input in graph.inputs { constants[input.name] = nil }
    for node in graph.nodes where node.domain.isEmpty {
      if node.opType == "Constant", case .tensor(let tensor)? = node.attributes["value"] {
        constants[node.outputs[0]] = tensor
      } else if node.opType == "Identity" {
        constants[node.outputs[0]] = constants[node.inputs[0]]
      }
    }
    return constants
  }

  /// Adds the rounds of a loop; false, with the graph in disorder, where their number is not known.
  private mutating func unroll(
    _ node: Node, _ types: [String: ValueType]
  ) throws(StackLensError) -> Bool {
    guard case .graph(let body)? = node.attributes["body"] else { return false }
    let plan =
      node.opType == "Loop"
      ? loopPlan(node, body) : try scanPlan(node, body, types)
    guard let plan, plan.rounds > 0, plan.rounds <= Self.nodeLimit / max(1, body.nodes.count)
    else { return false }
    let prefix = node.outputs.first { !$0.isEmpty } ?? node.opType
    graph.initializers += body.constants(under: prefix)
    var states = plan.states
    var stacks = [[String]](
      repeating: [], count: body.outputs.count - plan.firstState - states.count)
    for round in 0..<plan.rounds {
      let inputs = try plan.inputs(round, states, &graph, "\(prefix)/\(round)")
      let (nodes, results) = body.written(
        under: "\(prefix)/\(round)", constants: prefix, inputs: inputs)
      graph.nodes += nodes
      states = Array(results.dropFirst(plan.firstState).prefix(states.count))
      for (index, name) in results.dropFirst(plan.firstState + states.count).enumerated() {
        stacks[index].append(name)
      }
    }
    for (name, state) in zip(node.outputs, states) where !name.isEmpty {
      graph.nodes.append(Node("Identity", inputs: [state], outputs: [name]))
    }
    for (index, name) in node.outputs.dropFirst(states.count).enumerated() where !name.isEmpty {
      try stack(
        stacks[index], along: plan.stackAxis(index), isBack: plan.stacksBack(index), as: name)
    }
    return true
  }

  /// Joins slices along a new axis.
  private mutating func stack(
    _ slices: [String], along axis: Int, isBack: Bool, as name: String
  ) throws(StackLensError) {
    let axes = "\(name)/axis"
    graph.initializers.append(Initializer(axes, try Tensor([Int64(axis)]), isConstant: true))
    var parts: [String] = []
    for (index, slice) in slices.enumerated() {
      parts.append("\(name)/\(index)/row")
      graph.nodes.append(Node("Unsqueeze", inputs: [slice, axes], outputs: [parts[index]]))
    }
    graph.nodes.append(
      Node(
        "Concat", inputs: isBack ? parts.reversed() : parts, outputs: [name],
        attributes: ["axis": .int(Int64(axis))]))
  }

  /// How a loop goes round.
  private struct Plan {
    let rounds: Int
    let states: [String]
    /// Outputs of the body before the states.
    let firstState: Int
    let stackAxes: [Int]
    let stackDirections: [Int]
    /// What the body takes in a round.
    let inputs:
      (
        _ round: Int, _ states: [String], _ graph: inout Graph, _ prefix: String
      ) throws(StackLensError) -> [String]

    func stackAxis(_ index: Int) -> Int { index < stackAxes.count ? stackAxes[index] : 0 }
    func stacksBack(_ index: Int) -> Bool {
      index < stackDirections.count && stackDirections[index] != 0
    }
  }

  private func loopPlan(_ node: Node, _ body: Graph) -> Plan? {
    guard let first = node.inputs.first, let count = constants[first], count.count == 1,
      let rounds = try? count.integers()[0], node.inputs.count >= 2,
      node.inputs[1].isEmpty || isTrue(node.inputs[1]),
      body.inputs.count == node.inputs.count, body.outputs.count >= node.inputs.count - 1,
      staysTrue(body)
    else { return nil }
    return Plan(
      rounds: rounds, states: Array(node.inputs.dropFirst(2)), firstState: 1, stackAxes: [],
      stackDirections: []
    ) { (round, states, graph, prefix) throws(StackLensError) in
      let (number, condition) = ("\(prefix)/iteration", "\(prefix)/condition")
      graph.initializers.append(
        Initializer(number, try Tensor(scalar: Int64(round)), isConstant: true))
      graph.initializers.append(Initializer(condition, try Tensor(scalar: true), isConstant: true))
      return [number, condition] + states
    }
  }

  private func isTrue(_ name: String) -> Bool {
    guard let tensor = constants[name], tensor.elementType == .bool, tensor.count == 1 else {
      return false
    }
    return (try? tensor.elements(as: Bool.self)[0]) ?? false
  }

  /// Whether the condition that a body gives is always the true one that it gets.
  private func staysTrue(_ body: Graph) -> Bool {
    guard let output = body.outputs.first?.name else { return false }
    let inner = Unrolling.constants(of: body)
    var name = output
    for _ in 0...body.nodes.count {
      if name == body.inputs[1].name || isTrue(name) { return true }
      if let tensor = inner[name] {
        return tensor.elementType == .bool
          && ((try? tensor.elements(as: Bool.self)) ?? []) == [true]
      }
      guard
        let maker = body.nodes.first(where: { $0.outputs.first == name && $0.opType == "Identity" })
      else { return false }
      name = maker.inputs[0]
    }
    return false
  }

  private func scanPlan(
    _ node: Node, _ body: Graph, _ types: [String: ValueType]
  ) throws(StackLensError) -> Plan? {
    guard case .int(let wide)? = node.attributes["num_scan_inputs"],
      let scanned = Int(exactly: wide), scanned >= 1, scanned <= node.inputs.count,
      body.inputs.count == node.inputs.count,
      body.outputs.count >= node.inputs.count - scanned
    else { return nil }
    func list(_ name: String, _ count: Int) -> [Int] {
      guard case .ints(let values)? = node.attributes[name], values.count == count else {
        return [Int](repeating: 0, count: count)
      }
      return values.map { Int(truncatingIfNeeded: $0) }
    }
    let stateCount = node.inputs.count - scanned
    let sources = Array(node.inputs.dropFirst(stateCount))
    let back = list("scan_input_directions", scanned)
    var axes = list("scan_input_axes", scanned)
    var extents: Set<Int> = []
    for (index, source) in sources.enumerated() {
      guard case .tensor(_, let dims?)? = types[source] else { return nil }
      if axes[index] < 0 { axes[index] += dims.count }
      guard dims.indices.contains(axes[index]), let extent = dims[axes[index]].extent else {
        return nil
      }
      extents.insert(extent)
    }
    guard extents.count == 1, let rounds = extents.first else { return nil }
    let stackCount = body.outputs.count - stateCount
    let places = axes
    return Plan(
      rounds: rounds, states: Array(node.inputs.prefix(stateCount)), firstState: 0,
      stackAxes: list("scan_output_axes", stackCount),
      stackDirections: list("scan_output_directions", stackCount)
    ) { (round, states, graph, prefix) throws(StackLensError) in
      var slices: [String] = []
      for (index, source) in sources.enumerated() {
        let place = "\(prefix)/place\(index)"
        let number = back[index] != 0 ? rounds - 1 - round : round
        graph.initializers.append(
          Initializer(place, try Tensor(scalar: Int64(number)), isConstant: true))
        slices.append("\(prefix)/slice\(index)")
        graph.nodes.append(
          Node(
            "Gather", inputs: [source, place], outputs: [slices[index]],
            attributes: ["axis": .int(Int64(places[index]))]))
      }
      return states + slices
    }
  }
}

extension Node {
  fileprivate var isLoop: Bool { domain.isEmpty && (opType == "Loop" || opType == "Scan") }
}
