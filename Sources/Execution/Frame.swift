import Base
import Operators
import Tensors

/// The memory of a run: an arena, the tensors that lie in it, and what each kernel takes of them. It
/// is kept with its arena for the plan's next run, without what belonged to the last one.
final class Frame: @unchecked Sendable {  // used by one run at a time
  /// What the kernel of a step takes.
  struct Call {
    var inputs: [Tensor?]
    var outputs: [Tensor]
  }

  let plan: Plan
  let arena: Storage
  var values: [Value?]
  var calls: [Call]
  /// Memory of the caller's for some outputs, by slot.
  private var targets: [Tensor?]

  /// - Parameter arena: at least `plan.arenaByteCount` bytes.
  init(_ plan: Plan, arena: Storage) throws(StackLensError) {
    self.plan = plan
    self.arena = arena
    values = [Value?](repeating: nil, count: plan.places.count)
    targets = [Tensor?](repeating: nil, count: plan.places.count)
    calls = []
    for (slot, place) in plan.places.enumerated() {
      switch place {
      case .constant(let tensor): values[slot] = .tensor(tensor)
      case .arena(let offset, let type): values[slot] = .tensor(tensor(at: offset, type))
      default: break
      }
    }
    for (slot, place) in plan.places.enumerated() {
      guard case .alias(let source, let shape) = place,
        case .tensor(let tensor)? = values[source]
      else { continue }
      values[slot] = .tensor(try tensor.reshaped(to: shape))
    }
    calls.reserveCapacity(plan.steps.count)
    for step in plan.steps { calls.append(try call(of: step)) }
  }

  private func call(of step: Plan.Step?) throws(StackLensError) -> Call {
    var call = Call(inputs: [], outputs: [])
    guard let step else { return call }
    for input in step.operands.inputs { call.inputs.append(try tensor(input)) }
    // What changes is put in its place before the kernel runs.
    for output in step.operands.outputs { call.outputs.append(try tensor(output) ?? nothing) }
    return call
  }

  /// What stands where an output of a run goes.
  private var nothing: Tensor {
    Tensor(elementType: .uint8, shape: .scalar, storage: arena, base: arena.base)
  }

  func empty(output index: Int, ofStep step: Int) { calls[step].outputs[index] = nothing }

  private func tensor(_ operand: Plan.Operands.Operand) throws(StackLensError) -> Tensor? {
    switch operand {
    case .absent: return nil
    case .slot(let slot):
      guard case .tensor(let tensor)? = values[slot] else { return nil }
      return tensor
    case .spare(let offset, let type):
      // Strings are objects: they cannot lie in bare bytes.
      return try type.elementType == .string
        ? Tensor(uninitialized: .string, type.shape) : tensor(at: offset, type)
    }
  }

  private func tensor(at offset: Int, _ type: TensorType) -> Tensor {
    Tensor(
      elementType: type.elementType, shape: type.shape, storage: arena, base: arena.base + offset)
  }

  /// Takes the caller's memory for an output.
  func setTarget(_ slot: Int, _ tensor: Tensor) { targets[slot] = tensor }

  /// Memory for the value of a slot that is handed to the caller: his own, where he gave any.
  func fresh(_ slot: Int, _ type: TensorType) throws(StackLensError) -> Tensor {
    if let target = targets[slot], target.elementType == type.elementType,
      target.shape == type.shape
    {
      return target
    }
    return try Tensor(uninitialized: type.elementType, type.shape)
  }

  /// Lets go of what belongs to a run.
  func clear() {
    for slot in plan.changingSlots {
      values[slot] = nil
      if targets[slot] != nil { targets[slot] = nil }
    }
  }
}
