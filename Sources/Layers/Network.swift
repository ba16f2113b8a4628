import Base
import Graphs
import Operators
import Tensors

/// A model under construction: a graph whose parameters have names, initial values and a seed.
///
///     let network = Network("mlp")
///     let x = network.input("x", .float32, [.named("batch"), .fixed(4)])
///     let hidden = try network.activation("relu", network.linear("fc1", x, to: 8))
///     network.output(try network.linear("fc2", hidden, to: 3), "logits")
///     let model = try network.model()
///
/// Each layer is a method that takes its name first; its parameters are called after the scopes
/// around it, joined by dots, as in PyTorch: "encoder.layers.0.linear1.weight". A layer that is built
/// twice under the same name is one layer applied twice: its parameters are shared.
///
/// Not safe to use from several threads.
public final class Network {
  /// What the layers are made of; any operator can be added to it.
  public let graph: GraphBuilder
  let seed: UInt64
  private let origin: Model?
  private var scopes: [String] = []
  /// Places of initialisers by name, as far as they were looked at.
  private var places: [String: Int] = [:]
  /// Elements of the parameters so far.
  private var elementCount = 0
  /// The types of the values, as far as the graph was looked at.
  var known: GrowingTypes

  /// - Parameter seed: what initial values follow from. Those of a parameter depend on the seed and
  ///   its full name only.
  public init(_ name: String, seed: UInt64 = 42) {
    graph = GraphBuilder(name)
    known = GrowingTypes()
    origin = nil
    self.seed = seed
  }

  /// Goes on with a model, to put a head on it. Its outputs become values like others: those that
  /// shall stay outputs are named again by `output`.
  public init(continuing model: Model, seed: UInt64 = 42) {
    graph = GraphBuilder(continuing: model.graph)
    graph.removeOutputs()
    known = GrowingTypes(graph.graph)
    origin = model
    self.seed = seed
  }

  // Values -----------------------------------------------------------------------------------

  /// - Parameter dims: nil where not even the rank is known.
  public func input(_ name: String, _ type: ElementType, _ dims: [Dimension]?) -> Edge {
    graph.input(name, type, dims)
  }

  /// An existing value: an input, a parameter, or what a node of a continued model makes.
  /// - Throws: `.invalidArgument` when there is none of that name.
  public func value(_ name: String) throws(StackLensError) -> Edge {
    let found = graph.graph
    guard
      initializer(name) != nil || found.inputs.contains(where: { $0.name == name })
        || found.nodes.contains(where: { $0.outputs.contains(name) })
    else { throw .invalidArgument("the network '\(found.name)' has no value '\(name)'") }
    return graph.existing(name)
  }

  /// A parameter, which training may change.
  /// - Parameter start: its initial values.
  /// - Returns: for a full name that exists already, the same parameter again.
  /// - Throws: `.shapeMismatch` when it exists with another shape.
  public func parameter(
    _ name: String, _ dims: [Int], _ start: WeightInitializer
  ) throws(StackLensError) -> Edge {
    let name = fullName(name)
    let shape = try Shape(dims)
    if let existing = initializer(name) {
      guard existing.tensor.shape == shape else {
        throw .shapeMismatch(
          "the parameter '\(name)' is \(existing.tensor.shape) and cannot be used as \(shape)")
      }
      return graph.existing(name)
    }
    do throws(StackLensError) {
      try count(shape)
      return graph.constant(name, try start.tensor(shape, seed: seed, name: name))
    } catch { throw error.within("parameter '\(name)'") }
  }

  /// Training holds a network about four times: parameters, gradients, and two numbers of the optimiser
  /// for each.
  private func count(_ shape: Shape) throws(StackLensError) {
    let most = usableMemoryByteCount / 4 / MemoryLayout<Float>.size
    let (sum, overflow) = elementCount.addingReportingOverflow(shape.count)
    guard !overflow, sum <= most else {
      throw .limitExceeded(
        "with \(shape) the network has over \(most) numbers, which take a quarter of the memory")
    }
    elementCount = sum
  }

  /// A tensor that belongs to the computation and is no parameter: a Constant node in files.
  public func constant(_ tensor: Tensor) -> Edge {
    let name = graph.fresh("constant")
    graph.add(Initializer(name, tensor, isConstant: true))
    return graph.existing(name)
  }

  /// What a parameter is called here: the scopes and its name, joined by dots.
  public func fullName(_ name: String) -> String { (scopes + [name]).joined(separator: ".") }

  /// Nodes and parameters made by `body` get names that start with the scope; "" is none.
  public func scope<Result>(
    _ name: String, _ body: () throws(StackLensError) -> Result
  ) throws(StackLensError) -> Result {
    guard !name.isEmpty else { return try body() }
    scopes.append(name)
    defer { scopes.removeLast() }
    return try graph.scope(name, body)
  }

  /// What `body` adds stays only if it succeeds.
  func attempt<Result>(
    _ body: () throws(StackLensError) -> Result
  ) throws(StackLensError) -> Result {
    let (scopes, extent) = (self.scopes, known.extent)
    return try graph.attempt { () throws(StackLensError) in
      do throws(StackLensError) {
        return try body()
      } catch {
        known.forget(graph.graph, since: extent)
        self.scopes = scopes
        places = [:]
        throw error
      }
    }
  }

  // The model --------------------------------------------------------------------------------

  /// Hands a value out of the model.
  public func output(_ edge: Edge, _ name: String) { graph.output(edge, name, .unknown) }

  /// The model so far: what its outputs need, with the types of inputs and outputs.
  /// - Throws: `.invalidArgument` without an output; what is wrong with the graph or its types.
  public func model() throws(StackLensError) -> Model {
    guard !graph.graph.outputs.isEmpty else {
      throw .invalidArgument("the network '\(graph.graph.name)' has no outputs")
    }
    var finished = graph.graph.withoutDeadCode()
    try finished.verify()
    // What a file declares may be wrong and harm nobody.
    if origin == nil { try finished.verifyTypes() }
    let types = finished.typed()
    finished.outputs = types.outputs
    var model = origin ?? Model(graph: finished)
    model.graph = finished
    return model
  }

  private func initializer(_ name: String) -> Initializer? {
    let all = graph.graph.initializers
    for place in places.count..<max(places.count, all.count) { places[all[place].name] = place }
    return places[name].map { all[$0] }
  }
}
