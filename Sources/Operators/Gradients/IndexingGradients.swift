import Base
import Graphs
import Tensors

/// Operators that choose, order or accumulate along an axis.
extension GradientRule {
  static let topK = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    let (g, x) = (try scope.arriving(), try scope.input(0))
    guard let places = scope.outputs[1] else {
      throw .unsupported("TopK without its places as output 1 cannot be differentiated")
    }
    let zeros = scope.apply("Expand", try scope.scalar(0, like: g), scope.shape(of: x))
    let axis = Int64(try scope.int("axis"))
    return [
      scope.apply("ScatterElements", zeros, places, g, attributes: ["axis": .int(axis)]), nil,
    ]
  }

  /// To the two values, by how often each was chosen.
  static let oneHot = GradientRule { (scope) throws(StackLensError) in
    guard scope.wants(2) else { return [nil, nil, nil] }
    let g = try scope.arriving()
    let marks = scope.apply("CastLike", scope.graph.constant(try Tensor([Float(0), 1])), g)
    let isOn = scope.graph.add(
      "OneHot", [try scope.input(0), try scope.input(1), marks], scope.node.attributes)
    let one = try scope.ints([1])
    func total(_ edge: Edge) -> Edge {
      scope.apply(
        "Reshape", scope.apply("ReduceSum", edge, attributes: ["keepdims": .int(0)]), one)
    }
    let on = total(g * isOn)
    return [nil, nil, scope.graph.add("Concat", [total(g) - on, on], ["axis": .int(0)])]
  }

  /// start + i · delta; the limit only says how many there are.
  static let range = GradientRule { (scope) throws(StackLensError) in
    let g = try scope.arriving()
    func total(_ edge: Edge) -> Edge {
      scope.apply("ReduceSum", edge, attributes: ["keepdims": .int(0)])
    }
    let (zero, one) = (
      scope.graph.constant(try Tensor(scalar: Int64(0))),
      scope.graph.constant(try Tensor(scalar: Int64(1)))
    )
    let steps = scope.apply("Range", zero, scope.apply("Size", g), one)
    return [
      scope.wants(0) ? scope.sum(total(g), like: try scope.input(0)) : nil, nil,
      scope.wants(2)
        ? scope.sum(total(g * scope.apply("CastLike", steps, g)), like: try scope.input(2)) : nil,
    ]
  }

  /// Operators that are their own transpose: the same node of what arrives.
  static let symmetric = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    var inputs = scope.inputs
    inputs[0] = try scope.arriving()
    return [scope.graph.add(scope.node.opType, inputs, scope.node.attributes)]
      + inputs.dropFirst().map { _ in nil }
  }

  /// Σ g y / x over the products that an element takes part in. The first zero of a line is left out
  /// of the products, so that what it would be multiplied with shows.
  static let cumProd = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    let (g, x, axis) = (try scope.arriving(), try scope.input(0), try scope.input(1))
    let isReversed = try scope.flag("reverse")
    let exclusive = Attribute.int(try scope.flag("exclusive") ? 1 : 0)
    func run(_ opType: String, _ edge: Edge, reversed: Bool, _ exclusive: Attribute) -> Edge {
      scope.graph.add(
        opType, [edge, axis], ["reverse": .int(reversed ? 1 : 0), "exclusive": exclusive])
    }
    func back(_ product: Edge) -> Edge {
      run("CumSum", g * product, reversed: !isReversed, exclusive)
    }
    let (zero, one) = (try scope.scalar(0, like: x), try scope.scalar(1, like: x))
    let isZero = scope.apply("Equal", x, zero)
    let zeroCount = run(
      "CumSum", scope.apply("CastLike", isZero, x), reversed: isReversed, .int(0))
    let isFirst = scope.apply("And", isZero, scope.apply("Equal", zeroCount, one))
    let others = scope.choose(isFirst, one, x)
    let through = back(run("CumProd", others, reversed: isReversed, exclusive))
    let plain = back(scope.output) / scope.choose(isZero, one, x)
    return [scope.choose(isZero, scope.choose(isFirst, through, zero), plain), nil]
  }

  /// The product of the other elements, also where one of them is zero.
  static func product(_ scope: GradientScope, _ g: Edge, _ y: Edge) throws(StackLensError) -> Edge {
    let x = try scope.input(0)
    let (zero, one) = (try scope.scalar(0, like: x), try scope.scalar(1, like: x))
    let isZero = scope.apply("Equal", x, zero)
    let filled = scope.choose(isZero, one, x)
    var settings = scope.node.attributes
    settings["keepdims"] = .int(1)
    func reduced(_ opType: String, _ edge: Edge) -> Edge {
      scope.graph.add(opType, [edge] + scope.inputs.dropFirst(), settings)
    }
    let zeros = reduced("ReduceSum", scope.apply("CastLike", isZero, x))
    let rest = reduced("ReduceProd", filled)
    let isAlone = scope.apply("And", isZero, scope.apply("Equal", zeros, one))
    let without = scope.choose(isZero, zero, rest / filled)
    let isWhole = scope.apply("Equal", zeros, zero)
    return g * scope.choose(isWhole, without, scope.choose(isAlone, rest, zero))
  }

  /// a - n b, n a whole number.
  static let mod = GradientRule { (scope) throws(StackLensError) in
    let (g, a, b) = (try scope.arriving(), try scope.input(0), try scope.input(1))
    let whole = scope.apply("Round", (a - scope.output) / b)
    return [
      scope.wants(0) ? scope.sum(g, like: a) : nil,
      scope.wants(1) ? scope.sum(-(g * whole), like: b) : nil,
    ]
  }

  /// theta times the positions of an image that nothing moves.
  static let affineGrid = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    let (g, theta, size) = (try scope.arriving(), try scope.input(0), try scope.input(1))
    let one = try scope.ints([1])
    let end = try scope.ints([.max])
    func rest(_ edge: Edge, from start: Int64) throws(StackLensError) -> Edge {
      scope.apply("Slice", edge, try scope.ints([start]), end)
    }
    func joined(_ parts: Edge..., axis: Int64 = 0) -> Edge {
      scope.graph.add("Concat", parts, ["axis": .int(axis)])
    }
    let shape = scope.shape(of: theta)
    let matrix = scope.apply(
      "Expand", try scope.scalar(0, like: theta), try rest(shape, from: 1))
    let still = scope.apply("Unsqueeze", scope.apply("EyeLike", matrix), try scope.ints([0]))
    let plain = scope.graph.add(
      "AffineGrid", [still, joined(one, try rest(size, from: 1))], scope.node.attributes)
    let rank = try scope.apply("Slice", shape, one, scope.ints([2]))
    let points = scope.apply("Reshape", plain, joined(try scope.ints([-1]), rank))
    let count = scope.apply("Shape", points, attributes: ["end": .int(1)])
    let ones = scope.apply("Expand", try scope.scalar(1, like: theta), joined(count, one))
    let items = scope.apply("Shape", theta, attributes: ["end": .int(1)])
    let flowing = scope.graph.add(
      "Reshape", [g, joined(items, count, rank)], ["allowzero": .int(1)])
    return [
      scope.graph.add(
        "FusedMatMul", [flowing, joined(points, ones, axis: 1)], ["transA": .int(1)],
        domain: "com.microsoft"), nil,
    ]
  }
}
