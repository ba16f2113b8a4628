import Base
import Graphs
import Tensors

/// Operators that move elements: gradients move back.
extension GradientRule {
  /// The same elements in the same order.
  static let sameElements = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    let shape = scope.shape(of: try scope.input(0))
    let back = scope.graph.add(
      "Reshape", [try scope.arriving(), shape], ["allowzero": .int(1)])
    return [back] + scope.inputs.dropFirst().map { _ in nil }
  }

  static let identity = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    [try scope.arriving()] + scope.inputs.dropFirst().map { _ in nil }
  }

  static let transpose = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    let g = try scope.arriving()
    guard let order = try scope.ints("perm") else { return [scope.apply("Transpose", g)] }
    var inverse = [Int64](repeating: 0, count: order.count)
    for (place, axis) in order.enumerated() where inverse.indices.contains(axis) {
      inverse[axis] = Int64(place)
    }
    return [scope.apply("Transpose", g, attributes: ["perm": .ints(inverse)])]
  }

  static let expand = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    [scope.sum(try scope.arriving(), like: try scope.input(0)), nil]
  }

  static let concat = GradientRule { (scope) throws(StackLensError) in
    let axis = Int64(try scope.int("axis"))
    var ends: [String: Attribute] = ["start": .int(axis)]
    if axis != -1 { ends["end"] = .int(axis &+ 1) }
    var extents: [Edge] = []
    for index in scope.inputs.indices {
      extents.append(scope.apply("Shape", try scope.input(index), attributes: ends))
    }
    let extent = scope.graph.add("Concat", extents, ["axis": .int(0)])
    return scope.graph.add(
      "Split", [try scope.arriving(), extent], ["axis": .int(axis)], outputs: extents.count)
  }

  static let split = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    var parts: [Edge] = []
    for (index, gradient) in scope.outputGradients.enumerated() {
      if let gradient {
        parts.append(gradient)
        continue
      }
      guard let output = scope.outputs[index] else {
        throw .unsupported("Split with an output left out has no gradient")
      }
      parts.append(
        scope.apply("Expand", try scope.scalar(0, like: output), scope.shape(of: output)))
    }
    let whole = scope.graph.add("Concat", parts, ["axis": .int(Int64(try scope.int("axis")))])
    return [whole] + scope.inputs.dropFirst().map { _ in nil }
  }

  /// Padding with a constant is cropped, other modes pick elements.
  static let pad = GradientRule { (scope) throws(StackLensError) in
    guard try scope.string("mode") == "constant" else { return try picked(scope, without: 2) }
    guard !scope.wants(2) else { throw .unsupported("Pad has no gradient for its value") }
    let pads = scope.apply("Neg", try scope.input(1))
    let axes = scope.hasInput(3) ? try scope.input(3) : nil
    let inputs: [Edge?] = [try scope.arriving(), pads, nil] + (axes.map { [$0] } ?? [])
    return [scope.graph.add("Pad", inputs)] + scope.inputs.dropFirst().map { _ in nil }
  }

  /// An operator that picks elements: the same node picks their places, and what arrives is added
  /// to zeros there.
  static let pick = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    try picked(scope)
  }

  /// - Parameter without: an input that the node which picks places does not get.
  private static func picked(
    _ scope: GradientScope, without left: Int? = nil
  ) throws(StackLensError) -> [Edge?] {
    let (g, x) = (try scope.arriving(), try scope.input(0))
    let shape = scope.shape(of: x)
    let size = scope.apply("Size", x)
    var inputs = scope.inputs
    inputs[0] = try numbered(x, scope)
    if let left, left < inputs.count { inputs[left] = nil }
    let picked = scope.graph.add(
      scope.node.opType, inputs, scope.node.attributes, domain: scope.node.domain)
    let flat = try scope.ints([-1])
    let zeros = scope.apply(
      "Expand", try scope.scalar(0, like: g), scope.apply("Reshape", size, flat))
    let sums = scope.apply(
      "ScatterElements", zeros, scope.apply("Reshape", picked, flat),
      scope.apply("Reshape", g, flat), attributes: ["reduction": .string("add")])
    return [scope.apply("Reshape", sums, shape)] + scope.inputs.dropFirst().map { _ in nil }
  }

  /// The place of every element of a value, in its shape.
  private static func numbered(
    _ edge: Edge, _ scope: GradientScope
  ) throws(StackLensError) -> Edge {
    let places = scope.apply(
      "Range", scope.graph.constant(try Tensor(scalar: Int64(0))), scope.apply("Size", edge),
      scope.graph.constant(try Tensor(scalar: Int64(1))))
    return scope.graph.add("Reshape", [places, scope.shape(of: edge)], ["allowzero": .int(1)])
  }

  /// Slices of a table: added to zeros slice by slice.
  static let gather = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    [
      scope.graph.add(
        "GatherGradient",
        [try scope.arriving(), try scope.input(1), scope.shape(of: try scope.input(0))],
        ["axis": .int(Int64(try scope.int("axis")))], domain: "ai.stacklens"), nil,
    ]
  }

  /// ScatterElements and ScatterND that add or replace; `reader` is the operator that reads from
  /// the places written.
  static func scatter(reader: String) -> GradientRule {
    GradientRule { (scope) throws(StackLensError) in
      let (g, places) = (try scope.arriving(), try scope.input(1))
      var settings: [String: Attribute] = [:]
      if scope.has("axis") { settings["axis"] = .int(Int64(try scope.int("axis"))) }
      let updates = scope.graph.add(reader, [g, places], settings)
      switch try scope.string("reduction") {
      case "add": return [g, nil, updates]
      case "none":
        let zero = try scope.scalar(0, like: g)
        let zeros = scope.apply("Expand", zero, scope.shape(of: try scope.input(2)))
        let rest = scope.graph.add(scope.node.opType, [g, places, zeros], settings)
        // Of several updates of one place the last one stays: each finds out by its number.
        let numbers = try numbered(try scope.input(2), scope)
        let whole = try numbered(try scope.input(0), scope)
        let kept = scope.graph.add(scope.node.opType, [whole, places, numbers], settings)
        let found = scope.graph.add(reader, [kept, places], settings)
        return [rest, nil, scope.choose(scope.apply("Equal", found, numbers), updates, zero)]
      case let mode:
        throw .unsupported("\(scope.node.opType) with reduction '\(mode)' has no gradient")
      }
    }
  }
}
