import Base
import Graphs
import Tensors

/// -(p t log σ(x) + (1 - t) log(1 - σ(x))) for logits x and targets t of [0, 1] in the same shape, computed as
/// (1 - t) x + (1 + (p - 1) t) softplus(-x); p is `pos_weight`, one number or one for each element of
/// the last axis. Targets equal to `ignore_index`, if that is given, count for nothing.
/// Options: `pos_weight`, `ignore_index`, `reduction`.
struct BinaryCrossEntropy: LossMethod {
  private let positiveWeights: [Double]?
  private let ignoredLabel: Int?
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    positiveWeights = try options.numbers("pos_weight")
    guard positiveWeights?.allSatisfy({ $0 >= 0 }) ?? true, positiveWeights?.isEmpty != true
    else { throw .invalidArgument("option 'pos_weight' must be a list of numbers of at least 0") }
    ignoredLabel = try options.integer("ignore_index", in: .anyLabel)
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    let x = scope.output(0)
    let t = scope.target(0, like: x)
    var cost = scope.softplus(scope.negated(x))
    if let positiveWeights {
      let excess = try scope.numbers(positiveWeights.map { $0 - 1 })
      cost = try cost * (scope.number(1) + excess * t)
    }
    return try scope.total(
      (scope.number(1) - t) * x + cost, reduction, without: ignoredLabel, t)
  }
}

/// -α (1 - p)^γ log p for the probability p that σ(x) gives the target, 0 or 1; α is `alpha` for targets of 1
/// and 1 - `alpha` for 0 (Lin et al., "Focal loss for dense object detection", 2017). Options: `alpha`
/// (0.25; -1 for none), `gamma` (2), `ignore_index`, `reduction`.
struct BinaryFocal: LossMethod {
  private let alpha: Double?
  private let gamma: Double
  private let ignoredLabel: Int?
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    let alpha = try options.number("alpha", default: 0.25, in: -1...1)
    guard alpha >= 0 || alpha == -1 else {
      throw .invalidArgument("option 'alpha' is \(alpha), expected 0 to 1, or -1 for none")
    }
    self.alpha = alpha < 0 ? nil : alpha
    gamma = try options.number("gamma", default: 2, in: .notNegative)
    ignoredLabel = try options.integer("ignore_index", in: .anyLabel)
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    let x = scope.output(0)
    let t = scope.target(0, like: x)
    // The logit of p: log p = -softplus(-z), log(1 - p) = -softplus(z).
    let z = try x * (t * scope.number(2) - scope.number(1))
    var loss = scope.softplus(scope.negated(z))
    if gamma > 0 {
      loss = try loss * scope.apply("Exp", scope.softplus(z) * scope.number(-gamma))
    }
    if let alpha {
      loss = try loss * (t * scope.number(2 * alpha - 1) + scope.number(1 - alpha))
    }
    return try scope.total(loss, reduction, without: ignoredLabel, t)
  }
}

/// -w[t] (1 - p)^γ log p for the probability p that the softmax gives the class t (Lin et al., 2017), over logits
/// and labels as `CrossEntropy` has them; mean divides by the number of labels. Options: `gamma` (2),
/// `weight`, `ignore_index`, `axis`, `reduction`.
struct Focal: LossMethod {
  private let classes: ClassLoss
  private let gamma: Double

  init(_ options: inout OptionReader) throws(StackLensError) {
    classes = try ClassLoss(&options)
    gamma = try options.number("gamma", default: 2, in: .notNegative)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    try classes.buildFocal(scope, gamma: gamma)
  }
}

extension LossScope {
  func softplus(_ edge: Edge) -> Edge { apply("Softplus", edge) }

  /// The mean or the sum over all elements but those whose target is `ignored`.
  fileprivate func total(
    _ losses: Edge, _ reduction: Reduction, without ignored: Int?, _ targets: Edge
  ) throws(StackLensError) -> Edge {
    guard let ignored else { return try total(losses, reduction) }
    let isIgnored = graph.add("Equal", [targets, try number(Double(ignored))])
    let sum = try reduce("ReduceSum", choose(isIgnored, number(0), losses))
    guard reduction == .mean else { return sum }
    let known = cast(apply("Not", isIgnored), .float32)
    return try share(sum, of: reduce("ReduceSum", known))
  }
}
