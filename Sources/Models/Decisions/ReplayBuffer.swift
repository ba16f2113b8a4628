import Base
import Tensors

/// The latest transitions, from which learning samples uniformly (Lin, 1992).
struct ReplayBuffer {
  let capacity: Int
  private let width: Int
  private var states: [Float] = []
  private var nextStates: [Float] = []
  private var actions: [Int] = []
  private var rewards: [Float] = []
  private var ends: [Bool] = []
  /// Where the next one goes once all places are taken.
  private var place = 0

  init(capacity: Int, width: Int) { (self.capacity, self.width) = (capacity, width) }

  var count: Int { actions.count }

  /// Adds row `row` of tables of transitions; the oldest gives way.
  mutating func add(_ transitions: Transitions, row: Int) {
    let states = transitions.states[row * width..<(row + 1) * width]
    let next = transitions.nextStates[row * width..<(row + 1) * width]
    if count < capacity {
      self.states += states
      nextStates += next
      actions.append(transitions.actions[row])
      rewards.append(transitions.rewards[row])
      ends.append(transitions.ends[row])
      return
    }
    let range = place * width..<(place + 1) * width
    self.states.replaceSubrange(range, with: states)
    nextStates.replaceSubrange(range, with: next)
    actions[place] = transitions.actions[row]
    rewards[place] = transitions.rewards[row]
    ends[place] = transitions.ends[row]
    place = (place + 1) % capacity
  }

  /// `size` transitions, each drawn from all with equal chance.
  func sample(_ size: Int, _ random: inout RandomGenerator) -> Transitions {
    var sample = Transitions()
    for _ in 0..<size {
      let row = min(count - 1, Int(random.uniform() * Double(count)))
      sample.states += states[row * width..<(row + 1) * width]
      sample.nextStates += nextStates[row * width..<(row + 1) * width]
      sample.actions.append(actions[row])
      sample.rewards.append(rewards[row])
      sample.ends.append(ends[row])
    }
    return sample
  }
}

/// Transitions side by side: states and what followed them in rows.
struct Transitions {
  var states: [Float] = []
  var nextStates: [Float] = []
  var actions: [Int] = []
  var rewards: [Float] = []
  var ends: [Bool] = []

  init() {}

  /// - Throws: what is wrong with the arrays. Rewards are clipped to [-1, 1]; the next state of an end
  ///   is not looked at.
  init(_ arguments: Arguments, width: Int, actionCount: Int) throws(StackLensError) {
    let state = try arguments.reals("state", [nil, width])
    let rows = state.shape[0]
    states = try state.elements(as: Float.self)
    actions = try arguments.integers("action", [rows], in: 0..<actionCount).integers()
    rewards = try arguments.reals("reward", [rows]).elements(as: Float.self).map {
      min(1, max(-1, $0))
    }
    ends = try arguments.flags("done", [rows])
    let next = try arguments.tensor("next_state")
    guard next.elementType == .float32, next.shape == state.shape else {
      throw .shapeMismatch(
        "'next_state' is \(next.elementType.name)\(next.shape), 'state' float32\(state.shape)")
    }
    nextStates = try next.elements(as: Float.self)
    for row in 0..<rows {
      for index in row * width..<(row + 1) * width {
        if ends[row] {
          nextStates[index] = 0
        } else if !nextStates[index].isFinite {
          throw .nonFinite("'next_state' holds \(nextStates[index]) in row \(row)")
        }
      }
    }
  }

  var count: Int { actions.count }
}
