import Base
import Graphs
import Operators
import Tensors

/// A program laid out for concrete input types: which values are already known, where each
/// intermediate lies, and a prepared kernel for every step whose types are known.
final class Plan: Sendable {
  /// Where the value of a slot lives while the plan runs.
  enum Place: Sendable {
    /// Known when the plan was made.
    case constant(Tensor)
    /// In the arena.
    case arena(offset: Int, TensorType)
    /// Handed to the caller: fresh memory in each run.
    case fresh(TensorType)
    /// The memory of another slot under another shape.
    case alias(of: Int, Shape)
    /// Given by the caller, or only known while running.
    case runtime
  }

  struct Step: Sendable {
    /// Index into `Program.steps`.
    let index: Int
    /// Nil: types, memory and kernel are found while running.
    let prepared: PreparedKernel?
    let scratchOffset: Int
    /// Outputs that the node leaves out but its kernel writes: arena offset and type.
    let spare: [(output: Int, offset: Int, type: TensorType)]
    /// Run-time slots that no later step reads.
    let releases: [Int]
  }

  let places: [Place]
  let steps: [Step]
  let arenaByteCount: Int
  private let constants: Set<ObjectIdentifier>

  /// Whether a slot holds a constant or another shape of one.
  func isConstant(_ slot: Int) -> Bool {
    switch places[slot] {
    case .constant: true
    case .alias(let source, _): isConstant(source)
    case .arena, .fresh, .runtime: false
    }
  }

  init(places: [Place], steps: [Step], arenaByteCount: Int) {
    self.places = places
    self.steps = steps
    self.arenaByteCount = arenaByteCount
    constants = Set(
      places.compactMap { place in
        guard case .constant(let tensor) = place else { return nil }
        return ObjectIdentifier(tensor.storage)
      })
  }

  /// Whether the memory is a constant of the plan.
  func owns(_ tensor: Tensor) -> Bool { constants.contains(ObjectIdentifier(tensor.storage)) }
}

extension Value {
  /// The value, with a copy of every tensor whose memory belongs to someone else.
  package func detached(from isOwner: (Tensor) -> Bool) throws(StackLensError) -> Value {
    switch self {
    case .tensor(let tensor):
      return isOwner(tensor) ? .tensor(try tensor.copied()) : self
    case .sequence(var elements):
      for index in elements.indices {
        elements[index] = try elements[index].detached(from: isOwner)
      }
      return .sequence(elements)
    case .map(let keys, let values):
      return .map(
        keys: isOwner(keys) ? try keys.copied() : keys,
        values: isOwner(values) ? try values.copied() : values)
    case .none: return self
    }
  }
}

/// The memory of one run: an arena and the tensors that lie in it.
final class Frame: @unchecked Sendable {  // used by one run at a time
  let arena: Storage
  var values: [Value?]
  /// Memory of the caller's for some outputs, by slot.
  var targets: [Int: Tensor] = [:]

  /// - Parameter arena: at least `plan.arenaByteCount` bytes.
  init(_ plan: Plan, arena: Storage) throws(StackLensError) {
    self.arena = arena
    values = [Value?](repeating: nil, count: plan.places.count)
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
  }

  /// Memory for the value of a slot that is handed to the caller: his own, where he gave any.
  func fresh(_ slot: Int, _ type: TensorType) throws(StackLensError) -> Tensor {
    if let target = targets[slot], TensorType(target) == type { return target }
    return try Tensor(uninitialized: type.elementType, type.shape)
  }

  /// Memory for an output that nothing reads.
  func spare(at offset: Int, _ type: TensorType) throws(StackLensError) -> Tensor {
    // Strings are objects: they cannot lie in bare bytes.
    try type.elementType == .string
      ? Tensor(uninitialized: .string, type.shape) : tensor(at: offset, type)
  }

  func tensor(at offset: Int, _ type: TensorType) -> Tensor {
    Tensor(
      elementType: type.elementType, shape: type.shape, storage: arena, base: arena.base + offset)
  }
}
