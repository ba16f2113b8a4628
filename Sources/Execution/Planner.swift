import Base
import Graphs
import Operators
import Tensors

/// Makes the plan of a program for given input types: walks the steps once with every type, and
/// every value that follows from types and constants, known.
struct Planner {
  private let program: Program
  private let key: PlanKey
  private let context: ExecutionContext
  private var types: [TensorType?]
  private var known: [Tensor?]
  private var places: [Plan.Place]
  private var layout = ArenaLayout()
  /// Step after which a slot is no longer read; aliases extend their source's life.
  private var lastUse: [Int]
  private var root: [Int]

  init(program: Program, key: PlanKey, context: ExecutionContext) {
    self.program = program
    self.key = key
    self.context = context
    types = Array(repeating: nil, count: program.slotCount)
    known = Array(repeating: nil, count: program.slotCount)
    places = Array(repeating: .runtime, count: program.slotCount)
    lastUse = Array(repeating: -1, count: program.slotCount)
    root = Array(0..<program.slotCount)
    for (slot, type) in zip(program.inputSlots, key.types) { types[slot] = type }
    for (slot, tensor) in program.constants { setKnown(slot, tensor) }
  }

  private mutating func setKnown(_ slot: Int, _ tensor: Tensor) {
    known[slot] = tensor
    types[slot] = TensorType(tensor)
    places[slot] = .constant(tensor)
  }

  /// What one step turned out to be.
  private enum Outcome {
    case folded
    case view
    case kernel(PreparedKernel, [TensorType])
    case deferred
  }

  mutating func plan() throws(StackLensError) -> Plan {
    var outcomes: [Outcome] = []
    for step in program.steps {
      do throws(StackLensError) { outcomes.append(try outcome(of: step)) } catch {
        throw error.within(step.node.label)
      }
    }
    findLastUses(outcomes)
    return try layOut(outcomes)
  }

  /// Values small enough to compute while planning: shapes, axes, indices.
  private static let foldableCount = 1 << 14

  private mutating func outcome(of step: Program.Step) throws(StackLensError) -> Outcome {
    let inputs = step.inputs.map { $0 < 0 ? nil : types[$0] }
    let isTyped = zip(step.inputs, inputs).allSatisfy { $0 < 0 || $1 != nil }
    guard isTyped else { return .deferred }
    if case .evaluate = step.definition.execution { return .deferred }
    if step.definition.isComposition { return .deferred }
    let values = step.inputs.map { $0 < 0 ? nil : known[$0] }
    let inference = Inference(
      node: step.node, definition: step.definition, inputs: inputs, values: values)
    if let valueOfTypes = step.definition.valueOfTypes {
      for (slot, tensor) in zip(step.outputs, try valueOfTypes(inference)) where slot >= 0 {
        setKnown(slot, tensor)
      }
      return .folded
    }
    let outputTypes: [TensorType]
    do throws(StackLensError) { outputTypes = try step.definition.infer(inference) } catch {
      if error == Inference.needsValue { return .deferred }
      throw error
    }
    guard outputTypes.count >= step.outputs.count else {
      throw .internalError(
        "the shape rule gave \(outputTypes.count) of \(step.outputs.count) types")
    }
    if try fold(step, values: values, outputTypes: outputTypes) { return .folded }
    for (slot, type) in zip(step.outputs, outputTypes) where slot >= 0 { types[slot] = type }
    if step.definition.execution.sharesInput { return view(step, outputTypes[0]) }
    let prepared = try step.definition.prepare(
      Preparation(
        node: step.node, definition: step.definition, inputs: inputs, outputs: outputTypes,
        constants: values, parallel: context.parallel, packs: context.packs))
    if prepared.isIdentity, step.outputs[0] >= 0 { return view(step, outputTypes[0]) }
    return .kernel(prepared, outputTypes)
  }

  /// The output is input 0 under another shape.
  private mutating func view(_ step: Program.Step, _ type: TensorType) -> Outcome {
    root[step.outputs[0]] = root[step.inputs[0]]
    places[step.outputs[0]] = .alias(of: step.inputs[0], type.shape)
    return .view
  }

  /// Runs the step now if all its inputs are known and its outputs are small.
  private mutating func fold(
    _ step: Program.Step, values: [Tensor?], outputTypes: [TensorType]
  ) throws(StackLensError) -> Bool {
    var values = values
    for index in step.definition.typeInputs where index < values.count && values[index] == nil {
      guard let type = types[step.inputs[index]]?.elementType else { continue }
      values[index] = try Tensor(zeros: type, Shape([0]))
    }
    let isKnown = zip(step.inputs, values).allSatisfy { $0 < 0 || $1 != nil }
    guard isKnown, step.definition.isDeterministic, step.subgraphs.isEmpty,
      outputTypes.allSatisfy({ $0.shape.count <= Self.foldableCount })
    else { return false }
    let results = try step.definition.evaluate(
      step.node, inputs: values.map { $0.map { .tensor($0) } })
    for (slot, value) in zip(step.outputs, results) where slot >= 0 {
      setKnown(slot, try value.tensor())
    }
    return true
  }

  private mutating func findLastUses(_ outcomes: [Outcome]) {
    func touch(_ slot: Int, _ step: Int) {
      guard slot >= 0 else { return }
      lastUse[slot] = max(lastUse[slot], step)
      lastUse[root[slot]] = max(lastUse[root[slot]], step)
    }
    for (index, step) in program.steps.enumerated() {
      // What a folded step asked of its inputs is known now: it keeps none of them alive.
      if case .folded = outcomes[index] { continue }
      for slot in step.inputs + step.outputs { touch(slot, index) }
      for subgraph in step.subgraphs { for slot in subgraph.captures { touch(slot, index) } }
    }
    for slot in program.outputSlots { touch(slot, program.steps.count) }
  }

  private mutating func layOut(_ outcomes: [Outcome]) throws(StackLensError) -> Plan {
    var steps: [Plan.Step?] = []
    var expiring: [Int: [Int]] = [:]  // step -> arena slots to release after it
    var outputRoots: Set<Int> = []
    for slot in program.outputSlots { outputRoots.insert(root[slot]) }
    var freshByteCount = 0
    for (index, outcome) in outcomes.enumerated() {
      let step = program.steps[index]
      var action = Plan.Step.Action.deferred
      var operands = Plan.Operands()
      var spares: [(offset: Int, byteCount: Int)] = []
      var scratch = (offset: 0, size: 0)
      switch outcome {
      case .folded:
        steps.append(nil)
        continue
      case .view:
        // A view of a value that only exists while running is made while running.
        let output = step.outputs[0]
        guard case .alias(_, let shape) = places[output], places[root[output]].isChanging else {
          steps.append(nil)
          continue
        }
        places[output] = .runtime
        action = .view(shape)
      case .deferred: break
      case .kernel(let kernel, let outputTypes):
        action = .kernel(kernel)
        operands.inputs = step.inputs.map { $0 < 0 ? .absent : .slot($0) }
        for (output, type) in outputTypes.enumerated() {
          let slot = output < step.outputs.count ? step.outputs[output] : -1
          let byteCount = type.shape.count * type.elementType.byteSize
          if slot >= 0 { operands.outputs.append(.slot(slot)) }
          if slot >= 0, outputRoots.contains(slot) || type.elementType == .string {
            places[slot] = .fresh(type)
            freshByteCount += byteCount
            guard freshByteCount <= context.memoryLimit else {
              throw StackLensError.limitExceeded(
                "outputs need more than the memory limit of \(context.memoryLimit) bytes"
              ).within(step.node.label)
            }
            continue
          }
          let offset: Int
          do throws(StackLensError) {
            offset = try layout.allocate(byteCount, limit: context.memoryLimit)
          } catch { throw error.within(step.node.label) }
          if slot >= 0 {
            places[slot] = .arena(offset: offset, type)
            expiring[lastUse[slot], default: []].append(slot)
          } else {
            operands.outputs.append(.spare(offset: offset, type))
            spares.append((offset, byteCount))
          }
        }
        scratch.size = kernel.scratchByteCount
        if scratch.size > 0 {
          scratch.offset = try layout.allocate(scratch.size, limit: context.memoryLimit)
        }
      }
      if scratch.size > 0 { layout.release(offset: scratch.offset, size: scratch.size) }
      for spare in spares { layout.release(offset: spare.offset, size: spare.byteCount) }
      for slot in expiring[index] ?? [] {
        if case .arena(let offset, let type) = places[slot] {
          layout.release(offset: offset, size: type.shape.count * type.elementType.byteSize)
        }
      }
      steps.append(
        Plan.Step(
          action: action, scratchOffset: scratch.offset, releases: runtimeSlotsEnding(at: index),
          operands: operands, changingInputs: changing(operands.inputs),
          changingOutputs: changing(operands.outputs)))
    }
    return Plan(
      key: key, places: places, steps: steps, arenaByteCount: layout.byteCount)
  }

  /// The operands that are other tensors in each run.
  private func changing(_ operands: [Plan.Operands.Operand]) -> [Plan.Step.Changing] {
    operands.enumerated().compactMap { (index, operand) in
      guard case .slot(let slot) = operand, places[slot].isChanging else { return nil }
      return Plan.Step.Changing(index: index, slot: slot)
    }
  }

  /// Run-time values that step `index` reads or makes last.
  private func runtimeSlotsEnding(at index: Int) -> [Int] {
    let step = program.steps[index]
    return (step.inputs + step.outputs).filter { slot in
      guard slot >= 0, lastUse[slot] == index else { return false }
      if case .arena = places[slot] { return false }
      if case .constant = places[slot] { return false }
      if case .alias = places[slot] { return false }
      return true
    }
  }
}
