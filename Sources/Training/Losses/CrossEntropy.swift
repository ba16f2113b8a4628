import Base
import Graphs
import Operators
import Tensors

/// -w[t] log softmax(x)[t] for the class t of each position, over logits [B, C, …] and labels [B, …]
/// or, where the targets are floats, probabilities q of the logits' shape: -Σ w[c] q[c] log softmax(x)[c].
/// With `label_smoothing` ε the target is (1 - ε) q + ε / C (Szegedy et al., "Rethinking the Inception
/// architecture", 2016). Mean divides by the sum of w[t] for labels, by the number of positions for
/// probabilities; labels equal to `ignore_index` count for nothing, and a batch without any other
/// has loss 0.
///
/// Options: `weight` (one for each class), `label_smoothing`, `ignore_index` (-100), `axis` of the
/// classes (1, or -1 for logits [B, …, C]), `reduction`.
struct CrossEntropy: LossMethod {
  private let classes: ClassLoss
  private let smoothing: Double

  init(_ options: inout OptionReader) throws(StackLensError) {
    classes = try ClassLoss(&options)
    smoothing = try options.number("label_smoothing", default: 0, in: .share)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    try classes.build(scope, smoothing: smoothing) { scores, axis in
      scope.apply("LogSoftmax", scores, ["axis": .int(axis)])
    }
  }
}

/// -w[t] x[t] for the class t of each position, over log-probabilities x. As `CrossEntropy`, which makes
/// them of logits; no smoothing.
struct NegativeLogLikelihood: LossMethod {
  private let classes: ClassLoss

  init(_ options: inout OptionReader) throws(StackLensError) {
    classes = try ClassLoss(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    try classes.build(scope, smoothing: 0) { scores, _ in scores }
  }
}

/// What losses over classes share.
struct ClassLoss: Sendable {
  let weights: [Double]?
  let ignoredLabel: Int
  private let isLast: Bool
  let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    weights = try options.numbers("weight")
    guard weights?.allSatisfy({ $0 >= 0 }) ?? true, weights?.isEmpty != true else {
      throw .invalidArgument("option 'weight' must be a list of numbers of at least 0")
    }
    ignoredLabel = try options.integer("ignore_index", default: -100, in: .anyLabel)
    let axis = try options.integer("axis", default: 1, in: -1...1)
    guard axis != 0 else { throw .invalidArgument("option 'axis' is 0, expected 1 or -1") }
    isLast = axis == -1
    reduction = try Reduction(&options)
  }

  /// - Parameter logarithms: log-probabilities of scores along an axis.
  func build(
    _ scope: LossScope, smoothing: Double, logarithms: (Edge, _ axis: Int64) -> Edge
  ) throws(StackLensError) -> Edge {
    let target = scope.targets[0]
    let logarithms = logarithms(try folded(scope, scope.output(0)), 1)
    if scope.elementType(of: target)?.isFloat == true {
      let shares = try folded(scope, scope.target(0, like: scope.outputs[0]))
      return try soft(scope, logarithms, shares, smoothing)
    }
    return try hard(scope, logarithms, scope.labels(target), smoothing)
  }

  /// Logits as [positions, C], or [B, C, positions] where classes are not the last axis.
  private func folded(_ scope: LossScope, _ edge: Edge) throws(StackLensError) -> Edge {
    if scope.rank(of: scope.outputs[0]) == 2 { return edge }
    guard isLast else { return scope.graph.add("Reshape", [edge, try scope.ints(0, 0, -1)]) }
    let count = scope.apply("Shape", edge, ["start": .int(-1)])
    let shape = scope.graph.add("Concat", [try scope.ints(-1), count], ["axis": .int(0)])
    return scope.graph.add("Reshape", [edge, shape])
  }

  /// The weights so that they broadcast to folded logits.
  private func weights(_ scope: LossScope) throws(StackLensError) -> Edge? {
    guard let weights else { return nil }
    let isFlat = isLast || scope.rank(of: scope.outputs[0]) == 2
    return try scope.numbers(weights, dims: isFlat ? [weights.count] : [weights.count, 1])
  }

  private func weighted(
    _ scope: LossScope, _ logarithms: Edge
  ) throws(StackLensError) -> Edge {
    try weights(scope).map { logarithms * $0 } ?? logarithms
  }

  private func soft(
    _ scope: LossScope, _ logarithms: Edge, _ shares: Edge, _ smoothing: Double
  ) throws(StackLensError) -> Edge {
    let weighted = try weighted(scope, logarithms)
    var likelihood = try scope.reduce("ReduceSum", weighted * shares, 1)
    if smoothing > 0 {
      likelihood =
        try likelihood * scope.number(1 - smoothing)
        + scope.reduce("ReduceMean", weighted, 1) * scope.number(smoothing)
    }
    return scope.negated(try scope.total(likelihood, reduction))
  }

  /// -w[t] (1 - p)^γ log p.
  func buildFocal(_ scope: LossScope, gamma: Double) throws(StackLensError) -> Edge {
    let logits = try folded(scope, scope.output(0))
    let labels = try folded(scope, labels: scope.labels(scope.targets[0]))
    let logarithms = scope.apply("LogSoftmax", logits, ["axis": .int(1)])
    func likelihood(_ weights: Edge?) -> Edge {
      scope.graph.add(
        "NegativeLogLikelihoodLoss", [logarithms, labels, weights],
        ["reduction": .string("none"), "ignore_index": .int(Int64(ignoredLabel))])
    }
    let classWeights = try weights.map { (list) throws(StackLensError) in try scope.numbers(list) }
    var loss = likelihood(classWeights)
    if gamma > 0 {
      // The slope of a power below 1 has no bound at 0.
      let rest = try scope.number(1) - scope.apply("Exp", scope.negated(likelihood(nil)))
      let bounded = scope.graph.add("Clip", [rest, try scope.number(1e-12)])
      loss = try loss * scope.graph.add("Pow", [bounded, scope.number(gamma)])
    }
    let sum = try scope.reduce("ReduceSum", loss)
    guard reduction == .mean else { return sum }
    return try scope.share(sum, of: scope.reduce("ReduceSum", scope.isNot(ignoredLabel, labels)))
  }

  /// Labels in the shape of folded logits.
  private func folded(_ scope: LossScope, labels: Edge) throws(StackLensError) -> Edge {
    if scope.rank(of: scope.outputs[0]) == 2 { return labels }
    return scope.graph.add(
      "Reshape", [labels, isLast ? try scope.ints(-1) : try scope.ints(0, -1)])
  }

  private func hard(
    _ scope: LossScope, _ logarithms: Edge, _ labels: Edge, _ smoothing: Double
  ) throws(StackLensError) -> Edge {
    let labels = try folded(scope, labels: labels)
    let classWeights = try weights.map { (list) throws(StackLensError) in try scope.numbers(list) }
    var loss = scope.graph.add(
      "NegativeLogLikelihoodLoss", [logarithms, labels, classWeights],
      ["reduction": .string("sum"), "ignore_index": .int(Int64(ignoredLabel))])
    let known = try scope.isNot(ignoredLabel, labels)
    if smoothing > 0 {
      let spread = try scope.reduce("ReduceMean", weighted(scope, logarithms), 1) * known
      loss =
        try loss * scope.number(1 - smoothing)
        - scope.reduce("ReduceSum", spread) * scope.number(smoothing)
    }
    guard reduction == .mean else { return loss }
    var counts = known
    if let classWeights {
      let isKnown = scope.cast(known, .bool)
      let zero = scope.graph.constant(try Tensor(scalar: Int64(0)))
      let safe = scope.choose(isKnown, labels, scope.graph.add("CastLike", [zero, labels]))
      counts = known * scope.graph.add("Gather", [classWeights, safe])
    }
    return try scope.share(loss, of: scope.reduce("ReduceSum", counts))
  }
}

extension ClosedRange<Int> {
  static var anyLabel: Self { Int(Int32.min)...Int(Int32.max) }
}
