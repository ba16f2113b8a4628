import Base
import Graphs
import Tensors

/// Element-wise operators that broadcast: what arrives is summed back to the shape of each input.
extension GradientRule {
  static let add = GradientRule { (scope) throws(StackLensError) in
    let (g, a, b) = (try scope.arriving(), try scope.input(0), try scope.input(1))
    return [
      scope.wants(0) ? scope.sumBack(g, like: a) : nil,
      scope.wants(1) ? scope.sumBack(g, like: b) : nil,
    ]
  }

  static let sub = GradientRule { (scope) throws(StackLensError) in
    let (g, a, b) = (try scope.arriving(), try scope.input(0), try scope.input(1))
    return [
      scope.wants(0) ? scope.sumBack(g, like: a) : nil,
      scope.wants(1) ? scope.sumBack(-g, like: b) : nil,
    ]
  }

  static let mul = GradientRule { (scope) throws(StackLensError) in
    let (g, a, b) = (try scope.arriving(), try scope.input(0), try scope.input(1))
    return [
      scope.wants(0) ? scope.sumBack(g * b, like: a) : nil,
      scope.wants(1) ? scope.sumBack(g * a, like: b) : nil,
    ]
  }

  static let div = GradientRule { (scope) throws(StackLensError) in
    let (g, a, b) = (try scope.arriving(), try scope.input(0), try scope.input(1))
    return [
      scope.wants(0) ? scope.sumBack(g / b, like: a) : nil,
      scope.wants(1) ? scope.sumBack(-(g * scope.output / b), like: b) : nil,
    ]
  }

  /// b a^(b - 1) and a^b log a; a power of 0 is constant, and so are powers of what has no
  /// logarithm.
  static let pow = GradientRule { (scope) throws(StackLensError) in
    let (g, a, b) = (try scope.arriving(), try scope.input(0), try scope.input(1))
    let zero = try scope.scalar(0, like: a)
    let exponent = scope.apply("CastLike", b, a)
    var (left, right): (Edge?, Edge?)
    if scope.wants(0) {
      let slope = try exponent * scope.apply("Pow", a, exponent - scope.scalar(1, like: a))
      left = scope.sumBack(
        scope.choose(scope.apply("Equal", exponent, zero), zero, g * slope), like: a)
    }
    if scope.wants(1) {
      let isPositive = scope.apply("Greater", a, zero)
      let safe = scope.choose(isPositive, a, try scope.scalar(1, like: a))
      let slope = g * scope.output * scope.apply("Log", safe)
      right = scope.apply("CastLike", scope.sumBack(slope, like: b), b)
    }
    return [left, right]
  }

  static let prelu = GradientRule { (scope) throws(StackLensError) in
    let (g, x, slope) = (try scope.arriving(), try scope.input(0), try scope.input(1))
    let zero = try scope.scalar(0, like: x)
    let isBelow = scope.apply("Less", x, zero)
    return [
      scope.choose(isBelow, g * slope, g),
      scope.wants(1) ? scope.sumBack(scope.choose(isBelow, g * x, zero), like: slope) : nil,
    ]
  }

  static let whereSelect = GradientRule { (scope) throws(StackLensError) in
    let (g, condition) = (try scope.arriving(), try scope.input(0))
    let (a, b) = (try scope.input(1), try scope.input(2))
    let zero = try scope.scalar(0, like: g)
    return [
      nil, scope.wants(1) ? scope.sumBack(scope.choose(condition, g, zero), like: a) : nil,
      scope.wants(2) ? scope.sumBack(scope.choose(condition, zero, g), like: b) : nil,
    ]
  }

  /// What is cut off goes to the bound.
  static let clip = GradientRule { (scope) throws(StackLensError) in
    let (g, x) = (try scope.arriving(), try scope.input(0))
    let zero = try scope.scalar(0, like: g)
    var (inner, bounds): (Edge, [Edge?]) = (g, [])
    for (index, test) in [(1, "Less"), (2, "Greater")] {
      guard scope.hasInput(index) else {
        bounds.append(nil)
        continue
      }
      let isOutside = scope.apply(test, x, try scope.input(index))
      inner = scope.choose(isOutside, zero, inner)
      bounds.append(
        scope.wants(index)
          ? scope.sumBack(scope.choose(isOutside, g, zero), like: try scope.input(index)) : nil)
    }
    return [inner] + bounds
  }

  /// Sum and Mean.
  static func total(isMean: Bool) -> GradientRule {
    GradientRule { (scope) throws(StackLensError) in
      var g = try scope.arriving()
      if isMean { g = try g / scope.scalar(Double(scope.inputs.count), like: g) }
      return scope.inputs.enumerated().map { index, input in
        input.flatMap { scope.wants(index) ? scope.sumBack(g, like: $0) : nil }
      }
    }
  }

  /// Max and Min: to the inputs that have the value, in equal shares.
  static let extreme = GradientRule { (scope) throws(StackLensError) in
    let g = try scope.arriving()
    var shares: [Edge] = []
    for index in scope.inputs.indices {
      let isChosen = scope.apply("Equal", try scope.input(index), scope.output)
      shares.append(scope.apply("CastLike", isChosen, g))
    }
    let part = g / scope.graph.add("Sum", shares)
    var gradients: [Edge?] = []
    for (index, share) in shares.enumerated() {
      let input = try scope.input(index)
      gradients.append(scope.wants(index) ? scope.sumBack(part * share, like: input) : nil)
    }
    return gradients
  }

  /// Cast and CastLike: back to the type of the input, from floating point alone.
  static let cast = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    if scope.has("to") {
      let target = try Int32(exactly: scope.int("to")).flatMap(ElementType.init(rawValue:))
      guard target?.isFloat == true else { return [nil] }
    }
    let back = scope.apply("CastLike", try scope.arriving(), try scope.input(0))
    return [back] + scope.inputs.dropFirst().map { _ in nil }
  }
}
