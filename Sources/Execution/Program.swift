import Base
import Graphs
import Operators
import Tensors

/// A graph with names resolved to slots: what plans are made from. Subgraphs are programs of their
/// own whose captured outer values are extra inputs.
final class Program: Sendable {
  /// A class: who walks the steps copies none of them.
  final class Step: Sendable {
    let node: Node
    let definition: OperatorDefinition
    /// Slot of each input, -1 where it is left out.
    let inputs: [Int]
    /// Slot of each output, -1 where it is left out.
    let outputs: [Int]
    let subgraphs: [Subgraph]

    init(
      node: Node, definition: OperatorDefinition, inputs: [Int], outputs: [Int],
      subgraphs: [Subgraph]
    ) {
      self.node = node
      self.definition = definition
      self.inputs = inputs
      self.outputs = outputs
      self.subgraphs = subgraphs
    }
  }

  struct Subgraph: Sendable {
    let attribute: String
    let program: Program
    /// Slots of the enclosing program that the subgraph reads, in the order of its extra inputs.
    let captures: [Int]
  }

  let inputNames: [String]
  let inputSlots: [Int]
  let outputNames: [String]
  let outputSlots: [Int]
  let steps: [Step]
  let slotCount: Int
  let constants: [Int: Tensor]
  let plans = Mutex(PlanCache())

  /// - Parameters:
  ///   - graph: verified, nodes in topological order.
  ///   - captured: outer names the graph reads; they become inputs after its own.
  ///   - outerConstants: outer values that never change; they are constants here too.
  init(
    graph: Graph, captured: [String] = [], outerConstants: [String: Tensor] = [:],
    freeInputs: Set<String> = []
  ) throws(StackLensError) {
    var slots: [String: Int] = [:]
    var constants: [Int: Tensor] = [:]
    var count = 0
    func define(_ name: String) -> Int {
      let slot = count
      count += 1
      slots[name] = slot
      return slot
    }
    for (name, tensor) in outerConstants { constants[define(name)] = tensor }
    let free = captured.filter { outerConstants[$0] == nil }
    var inputNames: [String] = []
    var inputSlots: [Int] = []
    let initialized = Set(graph.initializers.map(\.name)).subtracting(freeInputs)
    for name in graph.inputs.map(\.name).filter({ !initialized.contains($0) }) + free {
      inputNames.append(name)
      inputSlots.append(define(name))
    }
    for initializer in graph.initializers where !freeInputs.contains(initializer.name) {
      constants[define(initializer.name)] = initializer.tensor
    }
    var steps: [Step] = []
    for node in graph.nodes {
      guard let definition = OperatorTable.find(node.opType, domain: node.domain) else {
        throw .unsupported("\(node.label): the library has no such operator")
      }
      var inputs: [Int] = []
      for name in node.inputs {
        if name.isEmpty {
          inputs.append(-1)
          continue
        }
        guard let slot = slots[name] else {
          throw .formatError("\(node.label) reads '\(name)', which nothing before it makes")
        }
        inputs.append(slot)
      }
      var subgraphs: [Subgraph] = []
      for (attribute, subgraph) in node.subgraphs {
        let captures = subgraph.captures
        var fixed: [String: Tensor] = [:]
        for name in captures {
          guard let slot = slots[name] else {
            throw .formatError("\(node.label): its subgraph reads '\(name)', which is not defined")
          }
          if let tensor = constants[slot] { fixed[name] = tensor }
        }
        let program = try Program(graph: subgraph, captured: captures, outerConstants: fixed)
        let slotsOfFree = captures.filter { fixed[$0] == nil }.compactMap { slots[$0] }
        subgraphs.append(
          Subgraph(attribute: attribute, program: program, captures: slotsOfFree))
      }
      let outputs = node.outputs.map { $0.isEmpty ? -1 : define($0) }
      steps.append(
        Step(
          node: node, definition: definition, inputs: inputs, outputs: outputs,
          subgraphs: subgraphs))
    }
    var outputSlots: [Int] = []
    for output in graph.outputs {
      guard let slot = slots[output.name] else {
        throw .formatError("graph output '\(output.name)' is made by no node")
      }
      outputSlots.append(slot)
    }
    self.inputNames = inputNames
    self.inputSlots = inputSlots
    outputNames = graph.outputs.map(\.name)
    self.outputSlots = outputSlots
    self.steps = steps
    slotCount = count
    self.constants = constants
  }

  /// Tells a cache which constants live as long as the program.
  func keepConstants(in packs: PackCache) {
    for tensor in constants.values { packs.keep(tensor) }
    for step in steps {
      for subgraph in step.subgraphs { subgraph.program.keepConstants(in: packs) }
    }
  }

  /// Drops all plans with their memory, here and in the subgraphs.
  func trim() {
    plans.withLock { $0 = PlanCache() }
    for step in steps { for subgraph in step.subgraphs { subgraph.program.trim() } }
  }
}

/// What a plan depends on.
struct PlanKey: Hashable, Sendable {
  let types: [TensorType?]
  let threadCount: Int

  init(_ inputs: [Value], threadCount: Int) {
    types = inputs.map { value in
      guard case .tensor(let tensor) = value else { return nil }
      return TensorType(tensor)
    }
    self.threadCount = threadCount
  }
}

/// The plans of one program, the oldest leaving first.
struct PlanCache {
  static let capacity = 64
  private var plans: [PlanKey: Plan] = [:]
  private var order: [PlanKey] = []
  /// The plan that was asked for last: runs tend to repeat.
  private var last: Plan?

  /// The plan for inputs of these types.
  mutating func plan(for inputs: [Value], threadCount: Int) -> Plan? {
    if let last, last.fits(inputs, threadCount: threadCount) { return last }
    let found = plans[PlanKey(inputs, threadCount: threadCount)]
    if let found { last = found }
    return found
  }

  mutating func insert(_ plan: Plan) {
    last = plan
    guard plans[plan.key] == nil else { return }
    plans[plan.key] = plan
    order.append(plan.key)
    if order.count > Self.capacity { plans[order.removeFirst()] = nil }
  }
}
