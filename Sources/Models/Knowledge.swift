import Base
import Graphs
import Tensors

/// What a model learned: numbers by name, and facts about them.
struct Knowledge: Sendable {
  /// What names of numbers that are computed from data, and not trained, start with.
  static let statistics = "statistics."

  /// Parameters and statistics.
  private(set) var tensors: [String: Tensor] = [:]
  /// Thresholds, labels, vocabularies, figures of merit.
  var facts: [String: JSON] = [:]
  var isFitted = false
  /// Tensors that have no rows before the first fit and then as many as it finds.
  private let growing: Set<String>

  /// - Parameter networks: their initial values.
  init(_ networks: [NamedNetwork]) {
    for network in networks {
      for constant in network.model.parameters { tensors[constant.name] = constant.tensor }
    }
    growing = Set(tensors.filter { $0.value.shape.dims.first == 0 }.keys)
  }

  /// The numbers that training moves.
  var parameterCount: Int {
    var count = 0
    for (name, tensor) in tensors where !name.hasPrefix(Self.statistics) { count += tensor.count }
    return count
  }

  /// The network with the numbers from here.
  func filled(_ model: Model) -> Model {
    var model = model
    for index in model.graph.initializers.indices {
      let constant = model.graph.initializers[index]
      if !constant.isConstant, let tensor = tensors[constant.name] {
        model.graph.initializers[index].tensor = tensor
      }
    }
    return model
  }

  /// The networks with the numbers from here.
  func filled(_ networks: [NamedNetwork]) -> [NamedNetwork] {
    networks.map { NamedNetwork($0.name, filled($0.model)) }
  }

  /// Takes numbers over from a network, those whose names are known here.
  mutating func take(from model: Model) throws(StackLensError) {
    for constant in model.graph.initializers where tensors[constant.name] != nil {
      tensors[constant.name] = try constant.tensor.copied()
    }
  }

  /// Takes one tensor over.
  /// - Throws: `.shapeMismatch` for another shape than the networks have, but for the number of
  ///   rows of what has none before it is fitted.
  mutating func set(_ name: String, _ tensor: Tensor) throws(StackLensError) {
    guard let known = tensors[name] else { throw .internalError("there is no '\(name)' to set") }
    let (from, to) = (known.shape.dims, tensor.shape.dims)
    let fits = from == to || (growing.contains(name) && from.dropFirst() == to.dropFirst())
    guard fits, known.elementType == tensor.elementType else {
      throw .shapeMismatch(
        "'\(name)' is \(tensor.elementType.name)\(tensor.shape), expected "
          + "\(known.elementType.name)\(known.shape)")
    }
    tensors[name] = tensor
  }

  func number(_ fact: String) -> Double? { facts[fact]?.numberValue }
}
