import Base
import Graphs
import Tensors

/// A tensor of weights, as the doors list them.
public struct ParameterInfo: Sendable {
  public let name: String
  public let elementType: ElementType
  public let shape: Shape
  /// Whether training changes it, as far as the model says.
  public let isTrainable: Bool

  package var json: JSON {
    .object(
      JSONObject([
        .init(key: "name", value: .string(name)),
        .init(key: "type", value: .integer(Int64(elementType.rawValue))),
        .init(key: "dims", value: .array(shape.dims.map { .integer(Int64($0)) })),
        .init(key: "count", value: .integer(Int64(shape.count))),
        .init(key: "trainable", value: .bool(isTrainable)),
      ]))
  }
}

extension Model {
  /// What can be read and replaced by name: parameters, frozen ones and running statistics included,
  /// without constants of the computation.
  public func weightList() throws(StackLensError) -> [ParameterInfo] {
    let frozen = try frozenPatterns()
    let trained = Set(parameters.map(\.name))
    return weights.map { weight in
      let (name, tensor) = (weight.name, weight.tensor)
      return ParameterInfo(
        name: name, elementType: tensor.elementType, shape: tensor.shape,
        isTrainable: trained.contains(name) && !frozen.match(name))
    }
  }

  private var weights: [Initializer] {
    let given = Set(graph.inputs.map(\.name))
    return graph.initializers.filter {
      !$0.isConstant && $0.tensor.elementType.isFloat && $0.tensor.rank > 0
        && !given.contains($0.name)
    }
  }

  /// The values of a weight or constant.
  public func weight(named name: String) throws(StackLensError) -> Tensor {
    guard let found = graph.initializers.first(where: { $0.name == name }) else {
      throw .invalidArgument("the model has no parameter '\(name)'\(namesLike(name))")
    }
    return found.tensor
  }

  /// The same model with other values for some of its weights.
  /// - Throws: `.invalidArgument` for a name that it does not have, `.typeMismatch` and
  ///   `.shapeMismatch` for values that do not fit.
  public func replacing(_ values: [(name: String, tensor: Tensor)]) throws(StackLensError) -> Model
  {
    var model = self
    var places: [String: Int] = [:]
    for (index, constant) in graph.initializers.enumerated() { places[constant.name] = index }
    for (name, tensor) in values {
      guard let place = places[name] else {
        throw .invalidArgument("the model has no parameter '\(name)'\(namesLike(name))")
      }
      let old = graph.initializers[place].tensor
      guard old.elementType == tensor.elementType else {
        throw .typeMismatch(
          "parameter '\(name)' is \(old.elementType.name), the values are \(tensor.elementType.name)"
        )
      }
      guard old.shape == tensor.shape else {
        throw .shapeMismatch("parameter '\(name)' is \(old.shape), the values are \(tensor.shape)")
      }
      model.graph.initializers[place].tensor = tensor
    }
    return model
  }

  private func namesLike(_ name: String) -> String {
    let end = name.split(separator: ".").last.map(String.init) ?? name
    let near = weights.map(\.name).filter { $0.hasSuffix(end) || $0.hasPrefix(name) }
    let shown = (near.isEmpty ? weights.map(\.name) : near).prefix(4)
    return shown.isEmpty ? "" : "; it has '\(shown.joined(separator: "', '"))' …"
  }

  /// The same model with more weights that training leaves alone.
  /// - Throws: `.invalidArgument` for a pattern that matches none.
  package func freezing(_ pattern: Glob) throws(StackLensError) -> Model {
    guard weights.contains(where: { pattern.matches($0.name) }) else {
      throw .invalidArgument(
        "no parameter matches '\(pattern.pattern)'\(namesLike(pattern.pattern))")
    }
    let patterns = try frozenPatterns()
    return patterns.contains(pattern) ? self : frozen(patterns + [pattern])
  }

  /// The same model with weights that training changes again.
  /// - Throws: `.invalidArgument` for a pattern that matches none.
  package func thawing(_ pattern: Glob) throws(StackLensError) -> Model {
    let thawed = weights.map(\.name).filter { pattern.matches($0) }
    guard !thawed.isEmpty else {
      throw .invalidArgument(
        "no parameter matches '\(pattern.pattern)'\(namesLike(pattern.pattern))")
    }
    var kept: [Glob] = []
    for frozen in try frozenPatterns() {
      guard thawed.contains(where: { frozen.matches($0) }) else {
        kept.append(frozen)
        continue
      }
      // What else the pattern froze stays frozen, by name.
      for weight in weights where frozen.matches(weight.name) && !pattern.matches(weight.name) {
        kept.append(try Glob(literally: weight.name))
      }
    }
    return frozen(kept)
  }
}

extension Glob {
  /// The pattern that only one name fits.
  init(literally name: String) throws(StackLensError) {
    var pattern = ""
    for character in name.unicodeScalars {
      pattern += "*?[".unicodeScalars.contains(character) ? "[\(character)]" : "\(character)"
    }
    try self.init(pattern)
  }
}
