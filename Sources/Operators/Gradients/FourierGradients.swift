import Base
import Graphs
import Tensors

/// Fourier transforms are linear: gradients go back through the transforms the other way round.
extension GradientRule {
  /// The transform of n points has the conjugate matrix as its transpose, which is n times the
  /// inverse; what the forward one cuts off or fills up is filled up or cut off.
  static let dft = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    let (g, x) = (try scope.arriving(), try scope.input(0))
    let (isInverse, isOneSided) = (try scope.flag("inverse"), try scope.flag("onesided"))
    let axis = try scope.shaped(
      scope.hasInput(2) ? try scope.input(2) : try scope.ints([-2]), [1])
    let length = try scope.transformLength(isHalved: isOneSided && !isInverse, axis)
    let count = scope.apply("CastLike", length, g)
    var settings: [String: Attribute] = ["inverse": .int(isInverse ? 0 : 1)]
    if isInverse && isOneSided { settings["onesided"] = .int(1) }
    let transformed = scope.graph.add("DFT", [g, length, axis], settings)
    var flowing = isInverse ? transformed / count : transformed * count
    if isInverse && isOneSided {
      // Every bin but those that are their own mirror images stands for two.
      let one = try scope.scalar(1, like: g)
      let ones = scope.apply("Expand", one, scope.shape(of: flowing))
      let bins = scope.apply(
        "CumSum", ones, try scope.shaped(axis, []), attributes: ["exclusive": .int(1)])
      let zero = try scope.scalar(0, like: g)
      let isOwnMirror = scope.apply(
        "Or", scope.apply("Equal", bins, zero), scope.apply("Equal", bins + bins, count))
      flowing = scope.choose(isOwnMirror, flowing, flowing + flowing)
    }
    return [try scope.fitted(flowing, to: x, axis)] + scope.inputs.dropFirst().map { _ in nil }
  }

  /// The transforms of windowed frames of the signal.
  static let stft = GradientRule.composed(inputs: 3) { (scope) throws(StackLensError) in
    let x = try scope.input(0)
    func number(_ edge: Edge) throws(StackLensError) -> Edge { try scope.shaped(edge, []) }
    func counted(_ limit: Edge) throws(StackLensError) -> Edge {
      scope.apply(
        "Range", scope.graph.constant(try Tensor(scalar: Int64(0))), limit,
        scope.graph.constant(try Tensor(scalar: Int64(1))))
    }
    func wide(_ edge: Edge) -> Edge {
      scope.graph.add("Cast", [edge], ["to": .int(Int64(ElementType.int64.rawValue))])
    }
    let extent = try number(
      scope.apply("Shape", x, attributes: ["start": .int(1), "end": .int(2)]))
    let window = scope.hasInput(2) ? scope.inputs[2] : nil
    var length = extent
    if scope.hasInput(3) {
      length = wide(try number(try scope.input(3)))
    } else if let window {
      length = try number(scope.shape(of: window))
    }
    let step = wide(try number(try scope.input(1)))
    let one = scope.graph.constant(try Tensor(scalar: Int64(1)))
    let starts = try counted((extent - length) / step + one) * step
    let places =
      scope.apply("Unsqueeze", starts, try scope.ints([1])) + (try counted(length))
    var frames = scope.graph.add("Gather", [x, places], ["axis": .int(1)])
    if let window { frames = frames * scope.apply("Unsqueeze", window, try scope.ints([1])) }
    let isOneSided = try scope.flag("onesided")
    return [scope.graph.add("DFT", [frames], ["onesided": .int(isOneSided ? 1 : 0)])]
  }
}

extension GradientScope {
  fileprivate func shaped(_ edge: Edge, _ dims: [Int64]) throws(StackLensError) -> Edge {
    apply("Reshape", edge, try ints(dims))
  }

  /// The number of points of a DFT, as one element.
  /// - Parameter isHalved: whether the output keeps only some of them.
  fileprivate func transformLength(
    isHalved: Bool, _ axis: Edge
  ) throws(StackLensError) -> Edge {
    if hasInput(1) { return try shaped(try input(1), [1]) }
    return apply("Gather", shape(of: isHalved ? try input(0) : output), axis)
  }

  /// `edge` with the parts of `x`, cut or filled up with zeros along one axis to its extent.
  fileprivate func fitted(
    _ edge: Edge, to x: Edge, _ axis: Edge
  ) throws(StackLensError) -> Edge {
    let parts = apply("Shape", x, attributes: ["start": .int(-1)])
    let cut = apply("Slice", edge, try ints([0]), parts, try ints([-1]))
    guard hasInput(1) else { return cut }
    let missing =
      apply("Gather", shape(of: x), axis) - apply("Gather", shape(of: cut), axis)
    let pads = graph.add("Concat", [try ints([0]), missing], ["axis": .int(0)])
    return graph.add("Pad", [cut, pads, nil, axis])
  }
}
