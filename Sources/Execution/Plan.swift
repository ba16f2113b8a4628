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

  /// A step as it runs. A class: who walks the plan copies none of it.
  final class Step: Sendable {
    enum Action: Sendable {
      case kernel(PreparedKernel)
      /// Input 0 under another shape, where that is only there while running.
      case view(Shape)
      /// Types, memory and kernel are found while running.
      case deferred
    }

    /// An operand that is another tensor in each run: its place among its kind, and its slot.
    struct Changing: Sendable {
      let index: Int
      let slot: Int
    }

    let action: Action
    let scratchOffset: Int
    /// Run-time slots that no later step reads.
    let releases: [Int]
    /// What a kernel takes that lies where the plan says; nil where that changes.
    let operands: Operands
    let changingInputs: [Changing]
    let changingOutputs: [Changing]

    init(
      action: Action, scratchOffset: Int, releases: [Int], operands: Operands,
      changingInputs: [Changing], changingOutputs: [Changing]
    ) {
      self.action = action
      self.scratchOffset = scratchOffset
      self.releases = releases
      self.operands = operands
      self.changingInputs = changingInputs
      self.changingOutputs = changingOutputs
    }
  }

  /// Where a kernel finds its tensors.
  struct Operands: Sendable {
    enum Operand: Sendable {
      case absent
      case slot(Int)
      /// An output that the node leaves out but its kernel writes.
      case spare(offset: Int, TensorType)
    }
    var inputs: [Operand] = []
    var outputs: [Operand] = []
  }

  let key: PlanKey
  let places: [Place]
  /// One for each step of the program, nil for what was done while planning.
  let steps: [Step?]
  let arenaByteCount: Int
  /// Slots whose value belongs to a run.
  let changingSlots: [Int]
  private let constants: Set<ObjectIdentifier>

  init(key: PlanKey, places: [Place], steps: [Step?], arenaByteCount: Int) {
    self.key = key
    self.places = places
    self.steps = steps
    self.arenaByteCount = arenaByteCount
    changingSlots = places.indices.filter { places[$0].isChanging }
    constants = Set(
      places.compactMap { place in
        guard case .constant(let tensor) = place else { return nil }
        return ObjectIdentifier(tensor.storage)
      })
  }

  /// Whether the memory is a constant of the plan.
  func owns(_ tensor: Tensor) -> Bool { constants.contains(ObjectIdentifier(tensor.storage)) }

  /// Whether the plan is for inputs of these types.
  func fits(_ inputs: [Value], threadCount: Int) -> Bool {
    guard key.threadCount == threadCount, key.types.count == inputs.count else { return false }
    for index in inputs.indices {
      switch (inputs[index], key.types[index]) {
      case (.tensor(let tensor), let type?):
        guard tensor.elementType == type.elementType, tensor.shape == type.shape else {
          return false
        }
      case (.tensor, nil), (_, _?): return false
      case (_, nil): continue
      }
    }
    return true
  }
}

extension Plan.Place {
  /// Whether the value is another one in each run.
  var isChanging: Bool {
    switch self {
    case .fresh, .runtime: true
    case .constant, .arena, .alias: false
    }
  }
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
