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
    let plan = try plan(for: inputs, context.execution)
    let frame = try context.execution.arenas.take(for: plan)
    for (index, target) in targets.prefix(outputSlots.count).enumerated() {
      if let target { frame.setTarget(outputSlots[index], target) }
    }
    let outputs = try execute(frame, inputs, context)
    context.execution.arenas.giveBack(frame)
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
    for inputs: [Value], _ context: ExecutionContext
  ) throws(StackLensError) -> Plan {
    let threadCount = context.parallel.threadCount
    if let plan = plans.withLock({ $0.plan(for: inputs, threadCount: threadCount) }) { return plan }
    let key = PlanKey(inputs, threadCount: threadCount)
    var planner = Planner(program: self, key: key, context: context)
    let plan = try planner.plan()
    plans.withLock { $0.insert(plan) }
    return plan
  }

  private func execute(
    _ frame: Frame, _ inputs: [Value], _ context: RunContext
  ) throws(StackLensError) -> [Value] {
    let plan = frame.plan
    for (slot, value) in zip(inputSlots, inputs) { frame.values[slot] = value }
    for index in plan.steps.indices {
      guard let planned = plan.steps[index] else { continue }
      if let cancellation = context.cancellation { try cancellation.check() }
      let start = context.profiler == nil ? 0 : monotonicNanoseconds()
      do throws(StackLensError) {
        switch planned.action {
        case .kernel(let kernel): try run(index, planned, kernel, frame, context)
        case .view(let shape): try view(steps[index], shape, frame)
        case .deferred: try runDeferred(steps[index], frame, context)
        }
      } catch {
        throw error.status == .cancelled ? error : error.within(steps[index].node.label)
      }
      context.profiler?.record(steps[index].node, from: start)
      for slot in planned.releases { frame.values[slot] = nil }
    }
    var outputs: [Value] = []
    outputs.reserveCapacity(outputSlots.count)
    for (slot, name) in zip(outputSlots, outputNames) {
      guard let value = frame.values[slot] else {
        throw .internalError("output '\(name)' was not computed")
      }
      if case .fresh = plan.places[slot] {
        outputs.append(value)
      } else {
        outputs.append(try value.detached { plan.owns($0) || $0.storage === frame.arena })
      }
    }
    return outputs
  }

  /// A step whose kernel is known. What belongs to this run alone is put among the kernel's tensors
  /// and taken away again.
  private func run(
    _ index: Int, _ planned: Plan.Step, _ kernel: PreparedKernel, _ frame: Frame,
    _ context: RunContext
  ) throws(StackLensError) {
    for input in planned.changingInputs {
      frame.calls[index].inputs[input.index] = try tensor(input.slot, frame)
    }
    for output in planned.changingOutputs {
      guard case .fresh(let type) = frame.plan.places[output.slot] else { continue }
      let fresh = try frame.fresh(output.slot, type)
      frame.values[output.slot] = .tensor(fresh)
      frame.calls[index].outputs[output.index] = fresh
    }
    try call(index, planned, kernel, frame, context)
    for input in planned.changingInputs { frame.calls[index].inputs[input.index] = nil }
    for output in planned.changingOutputs { frame.empty(output: output.index, ofStep: index) }
  }

  private func call(
    _ index: Int, _ planned: Plan.Step, _ kernel: PreparedKernel, _ frame: Frame,
    _ context: RunContext
  ) throws(StackLensError) {
    let call = frame.calls[index]
    try kernel.body(
      Invocation(
        inputs: call.inputs, outputs: call.outputs,
        scratch: frame.arena.base + planned.scratchOffset, parallel: context.execution.parallel))
  }

  /// A view of a value that only exists while running.
  private func view(
    _ step: Step, _ shape: Shape, _ frame: Frame
  ) throws(StackLensError) {
    guard let source = try tensor(step.inputs[0], frame) else {
      throw .internalError("a view of nothing")
    }
    frame.values[step.outputs[0]] = .tensor(try source.reshaped(to: shape))
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
