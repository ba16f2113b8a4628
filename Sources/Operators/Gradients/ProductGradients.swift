import Base
import Graphs
import Tensors

/// Products of matrices A' B', each factor possibly transposed, in batches that broadcast.
extension GradientRule {
  static let matMul = GradientRule { (scope) throws(StackLensError) in
    try product(scope, alpha: 1, transA: false, transB: false)
  }

  static let fusedMatMul = GradientRule { (scope) throws(StackLensError) in
    guard try !scope.flag("transBatchA"), try !scope.flag("transBatchB") else {
      throw .unsupported("FusedMatMul with transposed batches has no gradient")
    }
    return try product(
      scope, alpha: scope.float("alpha"), transA: scope.flag("transA"),
      transB: scope.flag("transB"))
  }

  static let gemm = GradientRule { (scope) throws(StackLensError) in
    var gradients = try product(
      scope, alpha: scope.float("alpha"), transA: scope.flag("transA"),
      transB: scope.flag("transB"))
    guard scope.wants(2) else { return gradients + scope.inputs.dropFirst(2).map { _ in nil } }
    let g = try scope.arriving()
    let beta = Double(try scope.float("beta"))
    gradients.append(
      scope.sum(
        beta == 1 ? g : try g * scope.scalar(beta, like: g), like: try scope.input(2)))
    return gradients
  }

  /// det(A) A⁻ᵀ.
  static let det = GradientRule { (scope) throws(StackLensError) in
    let inverse = scope.graph.add("Inverse", [try scope.input(0)], domain: "com.microsoft")
    let turned = scope.graph.add("Einsum", [inverse], ["equation": .string("...ij->...ji")])
    let factor = scope.apply(
      "Unsqueeze", try scope.arriving() * scope.output, try scope.ints([-1, -2]))
    return [turned * factor]
  }

  /// -A⁻ᵀ g A⁻ᵀ.
  static let inverse = GradientRule { (scope) throws(StackLensError) in
    let (g, y) = (try scope.arriving(), scope.output)
    return [
      -multiply(y, true, multiply(g, false, y, true, scope: scope), false, scope: scope)
    ]
  }

  /// alpha times the product of two factors, each transposed or not.
  static func multiply(
    _ left: Edge, _ transLeft: Bool, _ right: Edge, _ transRight: Bool, alpha: Float = 1,
    scope: GradientScope
  ) -> Edge {
    scope.graph.add(
      "FusedMatMul", [left, right],
      [
        "alpha": .float(alpha), "transA": .int(transLeft ? 1 : 0),
        "transB": .int(transRight ? 1 : 0),
      ], domain: "com.microsoft")
  }

  private static func product(
    _ scope: GradientScope, alpha: Float, transA: Bool, transB: Bool
  ) throws(StackLensError) -> [Edge?] {
    func multiply(_ left: Edge, _ transLeft: Bool, _ right: Edge, _ transRight: Bool) -> Edge {
      Self.multiply(left, transLeft, right, transRight, alpha: alpha, scope: scope)
    }
    let left = scope.rank(0)
    if scope.rank(1) == 2, left == 2 || !transA {
      // One matrix for all items: all their rows in one product, which sums over them. A vector is
      // one row.
      let (a, b, g) = (try scope.input(0), try scope.input(1), try scope.arriving())
      func rows(_ edge: Edge) -> Edge {
        left == 2 ? edge : scope.apply("Flatten", edge, attributes: ["axis": .int(-1)])
      }
      var gradients: [Edge?] = [nil, nil]
      if scope.wants(0) {
        gradients[0] = transA ? multiply(b, transB, g, true) : multiply(g, false, b, !transB)
      }
      if scope.wants(1) {
        gradients[1] =
          transB
          ? multiply(rows(g), true, rows(a), transA) : multiply(rows(a), !transA, rows(g), false)
      }
      return gradients
    }
    let factors = try MatrixFactors(scope)
    let (a, b, g) = (factors.a, factors.b, factors.g)
    var gradients: [Edge?] = [nil, nil]
    if scope.wants(0) {
      let full = transA ? multiply(b, transB, g, true) : multiply(g, false, b, !transB)
      gradients[0] = scope.apply(
        "Reshape", scope.sum(full, like: a), scope.shape(of: try scope.input(0)))
    }
    if scope.wants(1) {
      let full = transB ? multiply(g, true, a, transA) : multiply(a, !transA, g, false)
      gradients[1] = scope.apply(
        "Reshape", scope.sum(full, like: b), scope.shape(of: try scope.input(1)))
    }
    return gradients
  }
}

/// The factors of a product and the gradient that arrives, with vectors made matrices: a row on
/// the left, a column on the right. Shapes are computed by nodes that fold while planning.
private struct MatrixFactors {
  let a: Edge
  let b: Edge
  let g: Edge

  init(_ scope: GradientScope) throws(StackLensError) {
    let one = try scope.ints([1])
    let zero = try scope.ints([0])
    let two = try scope.ints([2])
    let last = try scope.ints([-1])
    let end = try scope.ints([.max])
    /// [1] for a vector, [] for anything larger.
    func missing(_ shape: Edge) -> Edge {
      scope.apply("Slice", one, zero, two - scope.shape(of: shape))
    }
    func joined(_ parts: Edge...) -> Edge {
      scope.graph.add("Concat", parts, ["axis": .int(0)])
    }
    func shaped(_ edge: Edge, _ shape: Edge) -> Edge {
      scope.graph.add("Reshape", [edge, shape], ["allowzero": .int(1)])
    }
    let (left, right) = (try scope.input(0), try scope.input(1))
    let (leftShape, rightShape) = (scope.shape(of: left), scope.shape(of: right))
    a = shaped(left, joined(missing(leftShape), leftShape))
    b = shaped(right, joined(rightShape, missing(rightShape)))
    let arriving = try scope.arriving()
    let columns = joined(scope.shape(of: arriving), missing(rightShape))
    g = shaped(
      arriving,
      joined(
        scope.apply("Slice", columns, zero, last), missing(leftShape),
        scope.apply("Slice", columns, last, end)))
  }
}
