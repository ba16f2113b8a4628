import Base
import Graphs
import Tensors

extension GradientRule {
  /// A reduction; nil where it has no rule.
  static func reduction(_ reduction: Reduction) -> GradientRule {
    GradientRule(inputs: 1) { (scope) throws(StackLensError) in
      let x = try scope.input(0)
      let g = try kept(try scope.arriving(), scope)
      let y = try kept(scope.output, scope)
      let spread = scope.apply("Expand", g, scope.shape(of: x))
      let gradient: Edge
      switch reduction {
      case .sum: gradient = spread
      case .mean:
        let terms =
          scope.apply("CastLike", scope.apply("Size", x), g)
          / scope.apply("CastLike", scope.apply("Size", scope.output), g)
        gradient = spread / terms
      case .l1: gradient = spread * scope.apply("Sign", x)
      case .l2: gradient = g * x / y
      case .sumOfSquares: gradient = g * (x + x)
      case .logSum: gradient = spread / scope.apply("Exp", y)
      case .logSumExp: gradient = g * scope.apply("Exp", x - y)
      case .max, .min:
        let share = scope.apply("CastLike", scope.apply("Equal", x, y), g)
        gradient = g * share / scope.sum(share, like: y)
      case .product: gradient = try product(scope, g, y)
      }
      return [gradient] + scope.inputs.dropFirst().map { _ in nil }
    }
  }

  /// A result with its reduced axes as extents of 1.
  private static func kept(
    _ edge: Edge, _ scope: GradientScope
  ) throws(StackLensError) -> Edge {
    guard try !scope.flag("keepdims"), scope.hasInput(1) else { return edge }
    return scope.apply("Unsqueeze", edge, try scope.input(1))
  }

  static let cumSum = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    let back = scope.graph.add(
      "CumSum", [try scope.arriving(), try scope.input(1)],
      [
        "exclusive": .int(try scope.flag("exclusive") ? 1 : 0),
        "reverse": .int(try scope.flag("reverse") ? 0 : 1),
      ])
    return [back, nil]
  }

  static let softmax = softmax(isLog: false)
  static let logSoftmax = softmax(isLog: true)

  private static func softmax(isLog: Bool) -> GradientRule {
    GradientRule { (scope) throws(StackLensError) in
      [
        scope.graph.add(
          "SoftmaxGradient", [try scope.arriving(), scope.output],
          ["axis": .int(Int64(try scope.int("axis"))), "is_log": .int(isLog ? 1 : 0)],
          domain: "ai.stacklens")
      ]
    }
  }

  /// -weight at the class of each target, 0 elsewhere.
  static let negativeLogLikelihood = GradientRule { (scope) throws(StackLensError) in
    guard !scope.wants(2) else {
      throw .unsupported("\(scope.node.opType) has no gradient for its weights")
    }
    let (g, x) = (try scope.arriving(), try scope.input(0))
    var target = try scope.input(1)
    var isKnown: Edge?
    if scope.has("ignore_index") {
      let ignored = scope.apply(
        "CastLike", scope.graph.constant(try Tensor(scalar: Int64(try scope.int("ignore_index")))),
        target)
      isKnown = scope.apply("Not", scope.apply("Equal", target, ignored))
      if let isKnown { target = scope.choose(isKnown, target, try scope.scalar(0, like: target)) }
    }
    var weight = scope.apply("Expand", try scope.scalar(1, like: x), scope.shape(of: target))
    if scope.hasInput(2) { weight = scope.apply("Gather", try scope.input(2), target) }
    if let isKnown { weight = scope.choose(isKnown, weight, try scope.scalar(0, like: x)) }
    var share = g * weight
    if try scope.string("reduction") == "mean" {
      share = share / scope.graph.add("ReduceSum", [weight], ["keepdims": .int(0)])
    }
    let classes = scope.apply("Shape", x, attributes: ["start": .int(1), "end": .int(2)])
    let values = scope.apply("CastLike", scope.graph.constant(try Tensor([Float(0), 1])), x)
    let hits = scope.apply("OneHot", target, classes, values, attributes: ["axis": .int(1)])
    return [-(hits * scope.apply("Unsqueeze", share, try scope.ints([1]))), nil, nil]
  }
}
