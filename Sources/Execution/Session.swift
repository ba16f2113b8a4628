import Base
import Graphs
import Operators
import Tensors

/// A model compiled to run: immutable, safe to run from many threads at once. Each concurrent run
/// takes work memory of its own from a bounded pool.
public final class Session: Sendable {
  public let inputs: [ValueInfo]
  public let outputs: [ValueInfo]
  public let options: SessionOptions
  /// The graph as it runs, after the passes.
  public let graph: Graph
  private let program: Program
  private let context: ExecutionContext
  private let profiler: Profiler?
  /// Names of inputs that have a default among the initialisers.
  private let defaults: Set<String>
  private let unoptimized: Graph
  /// Programs in which some defaults are inputs, by those names.
  private let variants = Mutex<[Set<String>: Program]>([:])
  private static let variantLimit = 8
  /// Whether the program takes the inputs in the order in which the model declares them.
  private let takesInOrder: Bool
  /// Inputs that can be checked without their names, in the order of the program's.
  private let fixedInputs: FixedInputs?

  /// - Throws: what the passes or the resolution of names say about the graph.
  public init(_ model: Model, options: SessionOptions = SessionOptions()) throws(StackLensError) {
    self.options = options
    let parallel =
      options.threadCount == 1
      ? Parallel.serial : Parallel(ThreadPool.withThreads(options.threadCount))
    context = ExecutionContext(
      parallel: parallel, packs: PackCache(), arenas: ArenaPool(),
      memoryLimit: options.memoryLimit)
    profiler = options.isProfiling ? Profiler() : nil
    unoptimized = model.graph
    inputs = model.graph.inputs
    outputs = model.graph.outputs
    defaults = Set(model.graph.initializers.map(\.name)).intersection(
      model.graph.inputs.map(\.name))
    var graph = try Transform.optimize(model.graph, level: options.optimizationLevel)
    if options.roundsProducts { graph = Transform.roundProducts(graph) }
    options.log?(
      .info, "compiled '\(graph.name)': \(model.graph.nodes.count) nodes to \(graph.nodes.count)")
    program = try Program(graph: graph)
    program.keepConstants(in: context.packs)
    takesInOrder = program.inputNames == inputs.map(\.name)
    fixedInputs = takesInOrder ? FixedInputs(inputs) : nil
    self.graph = graph
  }

  /// Runs the model.
  /// - Parameters:
  ///   - values: one for each input without a default, by name.
  ///   - names: the outputs wanted, in order; nil means all.
  ///   - onCallingThread: use no other thread; for callers that run many sessions side by side.
  /// - Returns: the outputs, in memory of their own.
  /// - Throws: `.invalidArgument` for a missing or unknown name, `.typeMismatch` and
  ///   `.shapeMismatch` when a value contradicts the model's declaration, `.limitExceeded`,
  ///   `.cancelled`, and what the operators report.
  public func run(
    _ values: [String: Value], outputs names: [String]? = nil, cancellation: Cancellation? = nil,
    onCallingThread: Bool = false
  ) throws(StackLensError) -> [Value] {
    var overridden: Set<String> = []
    for name in values.keys.sorted() {
      guard inputs.contains(where: { $0.name == name }) else {
        throw .invalidArgument(
          "the model has no input '\(name)'; its inputs are "
            + inputs.map { "'\($0.name)'" }.joined(separator: ", "))
      }
      if defaults.contains(name) { overridden.insert(name) }
    }
    var picks: [Int]?
    if let names {
      var indices: [Int] = []
      for name in names {
        guard let index = outputs.firstIndex(where: { $0.name == name }) else {
          throw .invalidArgument(
            "the model has no output '\(name)'; its outputs are "
              + outputs.map { "'\($0.name)'" }.joined(separator: ", "))
        }
        indices.append(index)
      }
      picks = indices
    }
    try InputCheck.check(
      values,
      against: inputs.filter {
        !defaults.contains($0.name) || overridden.contains($0.name)
      })
    let program = try overridden.isEmpty ? self.program : variant(overridden)
    let ordered = program.inputNames.map { values[$0] ?? .none }
    let results = try program.run(
      ordered,
      RunContext(
        execution: onCallingThread ? context.serial : context, cancellation: cancellation,
        profiler: profiler))
    let given = ordered.flatMap(\.storages)
    guard let picks else { return try owned(results, given: given) }
    return try owned(picks.map { results[$0] }, given: given)
  }

  /// Runs the model on a value for each input, in its order, and returns all outputs.
  package func run(inOrder values: [Value]) throws(StackLensError) -> [Value] {
    guard defaults.isEmpty, values.count == inputs.count, let fixed = fixedInputs,
      fixed.accepts(values)
    else {
      var named: [String: Value] = [:]
      for (input, value) in zip(inputs, values) { named[input.name] = value }
      return try run(named)
    }
    let results = try program.run(
      values, RunContext(execution: context, cancellation: nil, profiler: profiler))
    return try owned(results, given: values.flatMap(\.storages))
  }

  /// Runs the model on a value for each input, in its order, and writes outputs into memory of the
  /// caller's, which nobody else may look at meanwhile.
  /// - Parameter targets: one for each output, of its type; nil: the output gets memory of its own.
  package func run(
    inOrder values: [Value], into targets: [Tensor?]
  ) throws(StackLensError) -> [Value] {
    guard defaults.isEmpty, values.count == inputs.count, targets.count == outputs.count,
      takesInOrder
    else {
      throw .internalError("\(values.count) values and \(targets.count) targets do not fit")
    }
    if !(fixedInputs?.accepts(values) ?? false) {
      var named: [String: Value] = [:]
      for (input, value) in zip(inputs, values) { named[input.name] = value }
      try InputCheck.check(named, against: inputs)
    }
    return try program.run(
      values, RunContext(execution: context, cancellation: nil, profiler: profiler), into: targets)
  }

  /// The results, where one that is an input or another result under another shape gets memory of its
  /// own: the caller owns both.
  private func owned(
    _ results: [Value], given: [Storage]
  ) throws(StackLensError) -> [Value] {
    var given = given
    var outputs: [Value] = []
    outputs.reserveCapacity(results.count)
    for result in results {
      let output = try result.detached { tensor in given.contains { $0 === tensor.storage } }
      given += output.storages
      outputs.append(output)
    }
    return outputs
  }

  /// Bytes of work memory that wait for the next run.
  var idleByteCount: Int { context.arenas.idleByteCount }

  /// Gives the memory of idle runs and cached plans back to the system.
  public func trim() {
    program.trim()
    context.arenas.trim()
    variants.withLock { $0.removeAll() }
    trimHeap()
  }

  /// The recorded step times as a Chrome trace; empty events unless `isProfiling`.
  public func profile() -> String { (profiler ?? Profiler()).chromeTrace() }

  private func variant(_ names: Set<String>) throws(StackLensError) -> Program {
    if let program = variants.withLock({ $0[names] }) { return program }
    var graph = unoptimized
    graph.initializers.removeAll { names.contains($0.name) }
    let program = try Program(
      graph: Transform.optimize(graph, level: options.optimizationLevel))
    program.keepConstants(in: context.packs)
    variants.withLock { variants in
      if variants.count >= Self.variantLimit { variants.removeAll() }
      variants[names] = program
    }
    return program
  }
}

/// The declared types of inputs that are all tensors, for a check that makes nothing on the way.
private struct FixedInputs: Sendable {
  private struct Declared: Sendable {
    let type: ElementType
    /// An extent, -1 for any one, or -2 - n for the n-th name; nil where the rank is not declared.
    let dims: [Int]?
  }
  private let declared: [Declared]
  private let nameCount: Int

  init?(_ inputs: [ValueInfo]) {
    var names: [String: Int] = [:]
    var declared: [Declared] = []
    for input in inputs {
      guard case .tensor(let type, let dims) = input.type else { return nil }
      declared.append(
        Declared(
          type: type,
          dims: dims?.map { dim in
            switch dim {
            case .fixed(let extent): return extent
            case .unknown: return -1
            case .named(let name):
              let number = names[name] ?? names.count
              names[name] = number
              return -2 - number
            }
          }))
    }
    self.declared = declared
    nameCount = names.count
  }

  /// Whether the values fit. The general check words the error.
  func accepts(_ values: [Value]) -> Bool {
    withUnsafeTemporaryAllocation(of: Int.self, capacity: max(1, nameCount)) { extents in
      extents.initialize(repeating: -1)
      for (value, input) in zip(values, declared) {
        guard case .tensor(let tensor) = value, tensor.elementType == input.type else {
          return false
        }
        guard let dims = input.dims else { continue }
        guard dims.count == tensor.rank else { return false }
        for axis in dims.indices where dims[axis] != tensor.shape[axis] && dims[axis] != -1 {
          guard dims[axis] < -1 else { return false }
          let number = -2 - dims[axis]
          if extents[number] == -1 { extents[number] = tensor.shape[axis] }
          guard extents[number] == tensor.shape[axis] else { return false }
        }
      }
      return true
    }
  }
}

/// Holds given values against the declared types of a model's inputs.
enum InputCheck {
  static func check(_ values: [String: Value], against inputs: [ValueInfo]) throws(StackLensError) {
    var symbols: [String: (extent: Int, input: String)] = [:]
    for input in inputs {
      guard let value = values[input.name] else {
        throw .invalidArgument("input '\(input.name)' (\(input.type)) is missing")
      }
      guard case .tensor(let elementType, let dims) = input.type else {
        try checkKind(value, input)
        continue
      }
      guard case .tensor(let tensor) = value else {
        throw .typeMismatch("input '\(input.name)' must be a tensor, found \(value.kindName)")
      }
      guard tensor.elementType == elementType else {
        throw .typeMismatch(
          "input '\(input.name)' must be \(elementType.name), found \(tensor.elementType.name)")
      }
      guard let dims else { continue }
      let mismatch = StackLensError.shapeMismatch(
        "input '\(input.name)' must have shape \(dims), found \(tensor.shape)")
      guard dims.count == tensor.rank else { throw mismatch }
      for (dim, extent) in zip(dims, tensor.shape.dims) {
        switch dim {
        case .fixed(let expected): if expected != extent { throw mismatch }
        case .unknown: break
        case .named(let name):
          if let seen = symbols[name], seen.extent != extent {
            throw .shapeMismatch(
              "dimension '\(name)' is \(seen.extent) in input '\(seen.input)' but \(extent) in "
                + "'\(input.name)'")
          }
          symbols[name] = (extent, input.name)
        }
      }
    }
  }

  private static func checkKind(_ value: Value, _ input: ValueInfo) throws(StackLensError) {
    switch (input.type, value) {
    case (.sequence, .sequence), (.map, .map), (.optional, _), (.unknown, _): return
    default:
      throw .typeMismatch("input '\(input.name)' must be \(input.type), found \(value.kindName)")
    }
  }
}
