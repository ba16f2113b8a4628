import Base
import Execution
import Graphs
import Layers
import Tensors
import Training

/// One model with what it learned. Calls may come from many threads at once; `fit` changes what later
/// calls see when it is done, and not before.
public final class Estimator: Sendable {
  public let definition: ArchitectureDefinition
  let architecture: any Architecture
  /// The options that make such a model.
  let configuration: JSON
  let seed: UInt64
  let threadCount: Int
  private let fitting = Mutex(false)
  private let state: Mutex<State>

  private struct State {
    var knowledge: Knowledge
    /// As they run, with this knowledge: built once, because their first numbers cost time.
    var networks: [NamedNetwork]
    /// How often there was other knowledge.
    var version = 0
    /// What was made of this knowledge, by name: compiled networks, tokenizers.
    var derived: [String: any Sendable] = [:]
    /// What learns between calls; nil before the first live one.
    var learner: (any LiveLearner)?
  }

  /// - Parameter options: an object of options of the kind, or null.
  /// - Throws: `.invalidArgument` for an unknown kind and for options that do not fit.
  package init(_ kind: String, options: JSON = .null) throws(StackLensError) {
    definition = try ArchitectureTable.find(kind)
    do throws(StackLensError) {
      let values = try OptionValues(options, definition.options)
      seed = UInt64(try values.integer("seed"))
      threadCount = try values.integer("threads")
      architecture = try definition.make(values)
      let networks = try architecture.networks(seed: seed)
      var knowledge = Knowledge(networks)
      let beginning = try architecture.beginning() ?? Beginning()
      configuration = options.replacing(beginning.options)
      for (name, tensor) in beginning.tensors { try knowledge.set(name, tensor) }
      knowledge.facts = beginning.facts
      let running = networks.map { NamedNetwork($0.name, $0.model.withoutDropout()) }
      state = Mutex(State(knowledge: knowledge, networks: knowledge.filled(running)))
    } catch { throw error.within(kind) }
  }

  /// What was learned so far, also by live methods.
  func learned() throws(StackLensError) -> Knowledge { try settled().knowledge }

  private func settled() throws(StackLensError) -> State {
    try state.withLock { (state) throws(StackLensError) in
      guard let learner = state.learner else { return state }
      if try learner.settle(&state.knowledge) {
        state.networks = state.knowledge.filled(state.networks)
        state.version += 1
        state.derived = [:]
      }
      return state
    }
  }

  func take(_ knowledge: Knowledge) {
    state.withLock {
      $0 = State(
        knowledge: knowledge, networks: knowledge.filled($0.networks), version: $0.version + 1)
    }
  }

  /// What learns between calls.
  func learner() throws(StackLensError) -> any LiveLearner {
    try state.withLock { (state) throws(StackLensError) in
      if let learner = state.learner { return learner }
      guard
        let made = try architecture.live(state.knowledge, seed: seed, threads: threadCount)
      else { throw .internalError("\(definition.name) has no live methods") }
      state.learner = made
      return made
    }
  }

  /// A network with what was learned, as files hold it.
  /// - Parameter name: "" is the main one.
  /// - Throws: `.invalidArgument` naming the networks there are.
  public func network(_ name: String = "") throws(StackLensError) -> Model {
    try network(name, settled())
  }

  private func network(_ name: String, _ state: State) throws(StackLensError) -> Model {
    guard var model = state.networks.named(name) else {
      throw .invalidArgument(
        "\(definition.name) has no network '\(name)'; it has "
          + state.networks.map { "'\($0.name)'" }.joined(separator: ", "))
    }
    model.metadata.append(KeyValue("stacklens.model", definition.name))
    for (key, value) in state.knowledge.facts.sorted(by: { $0.key < $1.key }) {
      let text = value.encoded()
      // A vocabulary is told by its hash.
      model.metadata.append(
        text.count <= Self.longestEntry
          ? KeyValue("stacklens." + key, String(decoding: text, as: UTF8.self))
          : KeyValue("stacklens." + key + ".hash", String(Fingerprint.hash(text), radix: 16)))
    }
    return model
  }

  /// Bytes of a fact that metadata of files hold.
  private static let longestEntry = 1 << 16

  /// What follows from the knowledge of now, made once until that changes.
  func derived<Value: Sendable>(
    _ name: String, _ make: (Knowledge) throws(StackLensError) -> Value
  ) throws(StackLensError) -> Value {
    let now = try settled()
    return try derived(name, now) { () throws(StackLensError) in try make(now.knowledge) }
  }

  private func derived<Value: Sendable>(
    _ name: String, _ now: State, _ make: () throws(StackLensError) -> Value
  ) throws(StackLensError) -> Value {
    if let known = now.derived[name] as? Value { return known }
    let made = try make()
    // Where somebody fitted in between, it does not hold the knowledge of now.
    state.withLock { if $0.version == now.version { $0.derived[name] = made } }
    return made
  }

  /// The compiled form of a network.
  func session(_ name: String) throws(StackLensError) -> Session {
    let now = try settled()
    return try derived("network " + name, now) { () throws(StackLensError) in
      try compiled(network(name, now))
    }
  }

  func compiled(_ model: Model, level: Int? = nil) throws(StackLensError) -> Session {
    var options = SessionOptions()
    options.threadCount = threadCount
    if let level { options.optimizationLevel = level }
    return try Session(model, options: options)
  }

  /// Learns from data.
  /// - Parameters:
  ///   - data: arrays by the names of the definition's `fit`; those of validation data start with
  ///     "validation_".
  ///   - options: an object of options of `fit`, or null.
  /// - Throws: `.invalidArgument`, `.shapeMismatch`, `.typeMismatch` and `.nonFinite` for data that
  ///   does not fit, `.cancelled` never: whoever stops training keeps what was learned so far.
  package func fit(
    _ data: [String: Value], options: JSON = .null,
    observe: @escaping Trainer.Observer = { _ in true }
  ) throws(StackLensError) -> History {
    let isAlone = fitting.withLock { isBusy in
      defer { isBusy = true }
      return !isBusy
    }
    guard isAlone else { throw .invalidArgument("the model is being fitted by another thread") }
    defer { fitting.withLock { $0 = false } }
    do throws(StackLensError) {
      let now = try settled()
      let fitting = Fitting(
        estimator: self, now.knowledge, now.networks, try Arguments(data, of: definition.fit),
        try OptionValues(options, definition.fit.options), observe)
      try architecture.fit(fitting)
      fitting.knowledge.isFitted = true
      take(fitting.knowledge)
      return fitting.history
    } catch { throw error.within("\(definition.name).fit") }
  }

  /// Answers a call.
  /// - Returns: a value for each output of the method.
  /// - Throws: `.invalidArgument` for a method or an option that is not known, what is wrong with an
  ///   input, `.notFitted` where the answer needs what `fit` learns.
  package func call(
    _ name: String, _ inputs: [String: Value], options: JSON = .null
  ) throws(StackLensError) -> [Value] {
    guard let method = definition.methods.first(where: { $0.name == name }) else {
      throw .invalidArgument(
        "\(definition.name) has no method '\(name)'; it has "
          + definition.methods.map(\.name).joined(separator: ", "))
    }
    do throws(StackLensError) {
      let knowledge = method.isLive ? state.withLock { $0.knowledge } : try learned()
      return try architecture.answer(
        Call(
          estimator: self, name, try Arguments(inputs, of: method),
          try OptionValues(options, method.options), knowledge))
    } catch { throw error.within("\(definition.name).\(name)") }
  }
}

extension JSON {
  /// An object with other members in place of those of these names; without them where they are null.
  fileprivate func replacing(_ members: [String: JSON]) -> JSON {
    guard !members.isEmpty else { return self }
    var all = (objectValue?.members ?? []).filter { members[$0.key] == nil }
    for (key, value) in members.sorted(by: { $0.key < $1.key }) where !value.isNull {
      all.append(.init(key: key, value: value))
    }
    return .object(JSONObject(all))
  }
}
