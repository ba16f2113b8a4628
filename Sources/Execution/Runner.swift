import Base
import Graphs
import Operators
import Tensors

/// What all plans of a session share.
struct ExecutionContext: Sendable {
  let parallel: Parallel
  let packs: PackCache
  let arenas: ArenaPool
  let memoryLimit: Int

  /// The same on the calling thread alone.
  var serial: ExecutionContext {
    ExecutionContext(parallel: .serial, packs: packs, arenas: arenas, memoryLimit: memoryLimit)
  }
}

/// What belongs to one run.
struct RunContext: Sendable {
  let execution: ExecutionContext
  let cancellation: Cancellation?
  let profiler: Profiler?
}

extension Program {
  /// Runs the program on `inputs`, given in the order of `inputSlots`.
  /// - Parameter targets: memory for outputs, in their order; nil: they get memory of their own.
  func run(
    _ inputs: [Value], _ context: RunContext, into targets: [Tensor?] = []
  ) throws(StackLensError) -> [Value] {
    let types = inputs.map { value -> TensorType? in
      guard case .tensor(let tensor) = value else { return nil }
      return TensorType(tensor)
    }
    let key = PlanKey(types: types, threadCount: context.execution.parallel.threadCount)
    let plan = try plan(for: key, context.execution)
    let arena = try context.execution.arenas.take(plan.arenaByteCount)
    defer { context.execution.arenas.giveBack(arena) }
    let frame = try Frame(plan, arena: arena)
    for (slot, target) in zip(outputSlots, targets) where target != nil {
      frame.targets[slot] = target
    }
    let outputs = try execute(plan, frame, inputs, context)
    return targets.isEmpty ? outputs : try filled(targets, from: outputs)
  }

  /// The outputs with the targets in place of what had to be made elsewhere.
  private func filled(
    _ targets: [Tensor?], from outputs: [Value]
  ) throws(StackLensError) -> [Value] {
    var results = outputs
    for (index, target) in targets.prefix(outputs.count).enumerated() {
      guard let target else { continue }
      let made = try outputs[index].tensor()
      guard TensorType(made) == TensorType(target), !target.storage.isReadOnly else {
        throw .shapeMismatch(
          "output '\(outputNames[index])' is \(TensorType(made)), its memory \(TensorType(target))")
      }
      if made.base != target.base {
        target.base.copyMemory(from: made.base, byteCount: made.byteCount)
      }
      results[index] = .tensor(target)
    }
    return results
  }

  private func plan(
    for key: PlanKey, _ context: ExecutionContext
  ) throws(StackLensError) -> Plan {
    if let plan = plans.withLock({ $0[key] }) { return plan }
    var planner = Planner(program: self, inputTypes: key.types, context: context)
    let plan = try planner.plan()
    plans.withLock { $0.insert(plan, for: key) }
    return plan
  }

  private func execute(
    _ plan: Plan, _ frame: Frame, _ inputs: [Value], _ context: RunContext
  ) throws(StackLensError) -> [Value] {
    for (slot, value) in zip(inputSlots, inputs) { frame.values[slot] = value }
    for planned in plan.steps {
      let step = steps[planned.index]
      if let cancellation = context.cancellation { try cancellation.check() }
      let start = context.profiler == nil ? 0 : monotonicNanoseconds()
      do throws(StackLensError) {
        if let prepared = planned.prepared {
          try run(step, planned, prepared, plan, frame, context)
        } else {
          try runDeferred(step, frame, context)
        }
      } catch {
        throw error.status == .cancelled ? error : error.within(step.node.label)
      }
      context.profiler?.record(step.node, from: start)
      for slot in planned.releases { frame.values[slot] = nil }
    }
    var outputs: [Value] = []
    for (slot, name) in zip(outputSlots, outputNames) {
      guard let value = frame.values[slot] else {
        throw .internalError("output '\(name)' was not computed")
      }
      outputs.append(try value.detached { plan.owns($0) || $0.storage === frame.arena })
    }
    return outputs
  }

  private func run(
    _ step: Step, _ planned: Plan.Step, _ prepared: PreparedKernel, _ plan: Plan, _ frame: Frame,
    _ context: RunContext
  ) throws(StackLensError) {
    var inputs: [Tensor?] = []
    inputs.reserveCapacity(step.inputs.count)
    for slot in step.inputs { inputs.append(try tensor(slot, frame)) }
    var outputs: [Tensor] = []
    outputs.reserveCapacity(step.outputs.count)
    var spare = planned.spare.makeIterator()
    for slot in step.outputs {
      guard slot >= 0 else {
        if let entry = spare.next() {
          outputs.append(try frame.spare(at: entry.offset, entry.type))
        }
        continue
      }
      if case .fresh(let type) = plan.places[slot] {
        let fresh = try frame.fresh(slot, type)
        frame.values[slot] = .tensor(fresh)
        outputs.append(fresh)
      } else if let tensor = try tensor(slot, frame) {
        outputs.append(tensor)
      }
    }
    while let entry = spare.next() { outputs.append(try frame.spare(at: entry.offset, entry.type)) }
    try prepared.body(
      Invocation(
        inputs: inputs, outputs: outputs, scratch: frame.arena.base + planned.scratchOffset,
        parallel: context.execution.parallel))
  }

  private func tensor(_ slot: Int, _ frame: Frame) throws(StackLensError) -> Tensor? {
    guard slot >= 0 else { return nil }
    switch frame.values[slot] {
    case .tensor(let tensor)?: return tensor
    case let other?: throw .typeMismatch("expected a tensor, found \(other.kindName)")
    case nil: throw .internalError("slot \(slot) is read before it is written")
    }
  }

  /// A step whose types only appear now.
  private func runDeferred(
    _ step: Step, _ frame: Frame, _ context: RunContext
  ) throws(StackLensError) {
    var inputs: [Value?] = []
    for slot in step.inputs {
      guard slot >= 0 else {
        inputs.append(nil)
        continue
      }
      guard let value = frame.values[slot] else {
        throw .internalError("slot \(slot) is read before it is written")
      }
      inputs.append(value)
    }
    var subgraphs: [String: Evaluation.Subgraph] = [:]
    for subgraph in step.subgraphs {
      let captured = subgraph.captures.map { frame.values[$0] ?? .none }
      subgraphs[subgraph.attribute] = entry(to: subgraph, captured: captured, context)
    }
    let outputs = try step.definition.evaluate(
      step.node, inputs: inputs, parallel: context.execution.parallel,
      memoryLimit: context.execution.memoryLimit, packs: context.execution.packs,
      subgraphs: subgraphs)
    guard outputs.count >= step.outputs.count else {
      throw .internalError("\(outputs.count) outputs were made, expected \(step.outputs.count)")
    }
    for (slot, value) in zip(step.outputs, outputs) where slot >= 0 {
      // What an operator hands on may lie in the arena, where a later step would overwrite it.
      frame.values[slot] = try value.detached { $0.storage === frame.arena }
    }
  }

  private func entry(
    to subgraph: Subgraph, captured: [Value], _ context: RunContext
  ) -> Evaluation.Subgraph {
    func run(_ arguments: [Value]) throws(StackLensError) -> [Value] {
      let expected = subgraph.program.inputNames.count - captured.count
      guard arguments.count == expected else {
        throw .invalidArgument(
          "subgraph '\(subgraph.attribute)' takes \(expected) inputs, got \(arguments.count)")
      }
      if let cancellation = context.cancellation { try cancellation.check() }
      return try subgraph.program.run(arguments + captured, context)
    }
    return run
  }
}

extension Value {
  /// The storage of all tensors inside.
  var storages: [Storage] {
    switch self {
    case .tensor(let tensor): [tensor.storage]
    case .sequence(let elements): elements.flatMap(\.storages)
    case .map(let keys, let values): [keys.storage, values.storage]
    case .none: []
    }
  }
}
