import Base
import Graphs
import Tensors
import Training

/// A Q-network while it learns: the network, its target, what it remembers.
final class QLearner: LiveLearner {
  private struct State {
    var memory: ReplayBuffer
    var random: RandomGenerator
    var actions = 0
    var steps = 0
    var isChanged = false
  }

  private let dqn: ResolutionDQN
  private let online: Trainer
  private let target: Trainer
  private let state: Mutex<State>

  init(
    _ dqn: ResolutionDQN, _ knowledge: Knowledge, seed: UInt64, threads: Int, capacity: Int? = nil
  ) throws(StackLensError) {
    self.dqn = dqn
    let model = knowledge.filled(try dqn.networks(seed: seed)[0].model)
    func member(_ key: String, _ value: JSON) -> JSONObject.Member { .init(key: key, value: value) }
    // The mean over rows and actions, of which one differs, times the actions is the mean over rows.
    let loss = JSONObject([
      member("name", .string(dqn.rules.isHuber ? "huber" : "mse")),
      member("scale", .number(Double(dqn.actionCount))),
    ])
    let options = JSON.object(
      JSONObject([
        member("loss", .object(loss)), member("optimizer", .string("adam")),
        member("learning_rate", .number(dqn.rules.learningRate)), member("clip_norm", .number(10)),
        member("seed", .integer(Int64(truncatingIfNeeded: seed >> 1))),
        member("threads", .integer(Int64(threads))),
      ]))
    online = try Trainer(model, TrainerOptions(options))
    target = try Trainer(model, TrainerOptions(options))
    state = Mutex(
      State(
        memory: ReplayBuffer(capacity: capacity ?? dqn.rules.capacity, width: dqn.width),
        random: RandomGenerator(seed: seed)))
  }

  func settle(_ knowledge: inout Knowledge) throws(StackLensError) -> Bool {
    try state.withLock { (state) throws(StackLensError) in
      guard state.isChanged else { return false }
      try knowledge.take(from: online.model())
      knowledge.facts["steps"] = .integer(Int64(state.steps))
      knowledge.isFitted = true
      state.isChanged = false
      return true
    }
  }

  /// ε-greedy: random among what is allowed with a chance that falls from action to action.
  func act(_ rows: Tensor, _ allowed: [Bool]?) throws(StackLensError) -> [Int] {
    try state.withLock { (state) throws(StackLensError) in
      let best = try dqn.best(online.predict(["state": rows])[0].tensor(), allowed)
      let (start, end, steps) = dqn.rules.exploration
      return best.enumerated().map { row, action in
        let progress = min(1, Double(state.actions) / Double(steps))
        state.actions += 1
        guard state.random.uniform() < start + (end - start) * progress else { return action ?? -1 }
        let choices = (0..<dqn.actionCount).filter { allowed?[row * dqn.actionCount + $0] ?? true }
        guard !choices.isEmpty else { return -1 }
        return choices[min(choices.count - 1, Int(state.random.uniform() * Double(choices.count)))]
      }
    }
  }

  /// Remembers each transition and learns a step after it.
  /// - Returns: the losses, NaN before enough is stored.
  func observe(_ transitions: Transitions) throws(StackLensError) -> [Float] {
    try state.withLock { (state) throws(StackLensError) in
      var losses: [Float] = []
      for row in 0..<transitions.count {
        state.memory.add(transitions, row: row)
        let canLearn = state.memory.count >= dqn.rules.leastStored
        losses.append(canLearn ? Float(try step(&state)) : .nan)
      }
      return losses
    }
  }

  /// Learns steps from recorded transitions.
  func learn(
    _ transitions: Transitions, steps: Int, _ fitting: Fitting
  ) throws(StackLensError) {
    try state.withLock { (state) throws(StackLensError) in
      for row in 0..<transitions.count { state.memory.add(transitions, row: row) }
      for index in 0..<steps {
        let loss = try step(&state)
        guard fitting.report(step: index, of: steps, loss: loss) else { return }
      }
    }
  }

  /// y = r + γ max Q'(next), or γ Q'(next, arg max Q(next)) with double selection; Q(state, action)
  /// moves towards it.
  private func step(_ state: inout State) throws(StackLensError) -> Double {
    let (width, actions, rules) = (dqn.width, dqn.actionCount, dqn.rules)
    let batch = state.memory.sample(rules.batchSize, &state.random)
    let shape = try Shape([batch.count, width])
    let next = try Tensor(batch.nextStates, shape: shape)
    let later = try target.predict(["state": next])[0].tensor().elements(as: Float.self)
    let chosen =
      try rules.isDouble
      ? dqn.best(online.predict(["state": next])[0].tensor(), nil) : []
    let states = try Tensor(batch.states, shape: shape)
    var goals = try online.predict(["state": states])[0].tensor().elements(as: Float.self)
    for row in 0..<batch.count {
      let all = later[row * actions..<(row + 1) * actions]
      let best = rules.isDouble ? later[row * actions + (chosen[row] ?? 0)] : all.max() ?? 0
      let future = batch.ends[row] ? 0 : Float(rules.discount) * best
      goals[row * actions + batch.actions[row]] = batch.rewards[row] + future
    }
    let report = try online.step([
      "state": states,
      LossPlan.targetName: try Tensor(goals, shape: Shape([batch.count, actions])),
    ])
    state.steps += 1
    state.isChanged = true
    if rules.copyInterval == 0 {
      try target.moveWeights(towards: online, share: Float(rules.softness))
    } else if state.steps % rules.copyInterval == 0 {
      try target.moveWeights(towards: online, share: 1)
    }
    return report.loss
  }
}
