import Base
import Graphs
import Layers
import Tensors
import Training

/// Suggests what to do: a network that values each action in a state, learned by temporal differences
/// from a replay buffer with a target network (Mnih et al., "Human-level control through deep
/// reinforcement learning", 2015; the selection of van Hasselt et al., "Double Q-learning", 2016).
///
///     state → 256 → 128 → a value for each action
struct ResolutionDQN: Architecture {
  let width: Int
  let actionCount: Int
  private let hidden: [Int]
  let rules: Rules

  /// How it learns.
  struct Rules {
    let discount: Double
    let isDouble: Bool
    let isHuber: Bool
    let capacity: Int
    let batchSize: Int
    let leastStored: Int
    let learningRate: Double
    /// Steps between copies of the network to its target; 0: it moves by `softness` each step.
    let copyInterval: Int
    let softness: Double
    let exploration: (start: Double, end: Double, steps: Int)
  }

  private static let stateInput = ArchitectureDefinition.Port("state", "float32 [rows, width].")
  private static let transitionInputs: [ArchitectureDefinition.Port] = [
    stateInput, .init("action", "int64 [rows]: what was done."),
    .init("reward", "float32 [rows]: what it brought, clipped to [-1, 1]."),
    .init("next_state", "float32 [rows, width]: what followed; not looked at where done."),
    .init("done", "bool [rows]: whether it was the end."),
  ]

  static let definition = ArchitectureDefinition(
    "resolution_dqn", of: ResolutionDQN.self,
    "A deep Q-network: values actions in a state and suggests the best one.",
    options: [
      .integer("width", 1...1 << 16, default: 512, "Features of a state."),
      .integer("actions", 1...1 << 12, default: 10, "Actions."),
      .integers("hidden", 1...1 << 14, default: nil, "Widths of the layers, [256, 128]."),
      .number("discount", 0...1, default: 0.9, "γ: what a later reward counts; 0 is a bandit."),
      .flag("double", default: false, "Whether the online network chooses the next action."),
      .flag("huber", default: false, "Huber's loss in place of squares."),
      .integer("capacity", 1...1 << 24, default: 10_000, "Transitions that are remembered."),
      .integer("batch_size", 1...1 << 16, default: 32, "Transitions of a step."),
      .integer("least_stored", 1...1 << 24, default: 64, "No step with fewer transitions."),
      .number("learning_rate", 0...1e3, default: 1e-3, "Of Adam."),
      .integer(
        "copy_interval", 0...1 << 30, default: 500,
        "Steps between copies to the target network; 0: it moves by \"softness\" each step."),
      .number("softness", 0...1, default: 0.005, "How far the target moves each step."),
      .number("exploration", 0...1, default: 1, "ε at the start: the share of random actions."),
      .number("exploration_end", 0...1, default: 0.05, "ε in the end."),
      .integer("exploration_steps", 1...1 << 30, default: 10_000, "Actions until then."),
    ],
    fit: .init(
      "fit", "Learns from transitions that were recorded.", inputs: transitionInputs, outputs: [],
      options: [.integer("steps", 1...1 << 30, default: 5_000, "Steps of learning.")]),
    methods: [
      .init(
        "q_values", "The value of each action.", inputs: [stateInput],
        outputs: [.init("q_values", "float32 [rows, actions].")]),
      .init(
        "suggest", "The best allowed action; -1 where none is allowed.",
        inputs: [
          stateInput, .init("allowed", isOptional: true, "bool [rows, actions]; all unless given."),
        ],
        outputs: [.init("action", "int64 [rows]."), .init("q_values", "float32 [rows, actions].")]),
      .init(
        "act", "As suggest, but a random allowed action now and then, to learn from.",
        inputs: [
          stateInput, .init("allowed", isOptional: true, "bool [rows, actions]; all unless given."),
        ], outputs: [.init("action", "int64 [rows].")], isLive: true),
      .init(
        "observe", "Remembers transitions and learns a step for each.", inputs: transitionInputs,
        outputs: [.init("loss", "float32 [rows]: NaN where nothing was learned yet.")],
        isLive: true),
    ])

  init(_ options: OptionValues) throws(StackLensError) {
    width = try options.integer("width")
    actionCount = try options.integer("actions")
    hidden = try options.list("hidden") ?? [256, 128]
    rules = Rules(
      discount: try options.number("discount"), isDouble: try options.flag("double"),
      isHuber: try options.flag("huber"), capacity: try options.integer("capacity"),
      batchSize: try options.integer("batch_size"),
      leastStored: try options.integer("least_stored"),
      learningRate: try options.number("learning_rate"),
      copyInterval: try options.integer("copy_interval"),
      softness: try options.number("softness"),
      exploration: (
        try options.number("exploration"), try options.number("exploration_end"),
        try options.integer("exploration_steps")
      ))
    guard rules.leastStored <= rules.capacity else {
      throw .invalidArgument(
        "\"least_stored\" is \(rules.leastStored), over the capacity of \(rules.capacity)")
    }
  }

  func networks(seed: UInt64) throws(StackLensError) -> [NamedNetwork] {
    let network = Network("resolution_dqn", seed: seed)
    var h = network.input("state", .float32, [.named("batch"), .fixed(width)])
    for (index, size) in hidden.enumerated() {
      h = try network.activation("relu", network.linear("layers.\(index)", h, to: size))
    }
    network.output(try network.linear("layers.\(hidden.count)", h, to: actionCount), "q_values")
    return [NamedNetwork(try network.model())]
  }

  func live(
    _ knowledge: Knowledge, seed: UInt64, threads: Int
  ) throws(StackLensError) -> (any LiveLearner)? {
    try QLearner(self, knowledge, seed: seed, threads: threads)
  }

  func fit(_ fitting: Fitting) throws(StackLensError) {
    let transitions = try Transitions(fitting.arguments, width: width, actionCount: actionCount)
    guard transitions.count > 0 else { throw .invalidArgument("the data set is empty: 0 rows") }
    let learner = try QLearner(
      self, fitting.knowledge, seed: fitting.seed, threads: fitting.threadCount,
      capacity: max(rules.capacity, transitions.count))
    try learner.learn(transitions, steps: try fitting.options.integer("steps"), fitting)
    _ = try learner.settle(&fitting.knowledge)
  }

  func answer(_ call: Call) throws(StackLensError) -> [Value] {
    switch call.method {
    case "act":
      let (state, allowed) = try stateAndAllowed(call)
      return [
        .tensor(try Tensor(call.learner(as: QLearner.self).act(state, allowed).map(Int64.init)))
      ]
    case "observe":
      let transitions = try Transitions(call.arguments, width: width, actionCount: actionCount)
      return [.tensor(try Tensor(call.learner(as: QLearner.self).observe(transitions)))]
    case "suggest":
      let (state, allowed) = try stateAndAllowed(call)
      let values = try call.run("", ["state": state]).tensor("q_values")
      let best = try best(values, allowed).map { Int64($0 ?? -1) }
      return [.tensor(try Tensor(best)), .tensor(values)]
    default:
      let state = try call.arguments.reals("state", [nil, width])
      return try call.run("", ["state": state]).answers("q_values")
    }
  }

  private func stateAndAllowed(_ call: Call) throws(StackLensError) -> (Tensor, [Bool]?) {
    let state = try call.arguments.reals("state", [nil, width])
    guard call.arguments.has("allowed") else { return (state, nil) }
    return (state, try call.arguments.flags("allowed", [state.shape[0], actionCount]))
  }

  /// The allowed action of the largest value in each row, the first of equals; nil where none is.
  func best(_ values: Tensor, _ allowed: [Bool]?) throws(StackLensError) -> [Int?] {
    let numbers = try values.elements(as: Float.self)
    return (0..<values.shape[0]).map { row in
      var best: Int?
      for action in 0..<actionCount where allowed?[row * actionCount + action] ?? true {
        if let found = best,
          numbers[row * actionCount + action] <= numbers[row * actionCount + found]
        {
          continue
        }
        best = action
      }
      return best
    }
  }
}
