import Base
import Graphs

/// Σ q (log q - log p) for log-probabilities log p and probabilities q in the same shape, or log q with
/// `log_target` (Kullback and Leibler, 1951); `from_logits` takes the softmax over the last axis first.
/// Options: `log_target`, `from_logits`, `reduction`: mean over all elements, sum, or batchmean, the sum
/// divided by the first extent.
struct KullbackLeibler: LossMethod {
  private let isLogTarget: Bool
  private let takesLogits: Bool
  private let reduction: String

  init(_ options: inout OptionReader) throws(StackLensError) {
    isLogTarget = try options.bool("log_target", default: false)
    takesLogits = try options.bool("from_logits", default: false)
    reduction = try options.choice("reduction", ["mean", "sum", "batchmean"])
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    var x = scope.output(0)
    if takesLogits { x = scope.apply("LogSoftmax", x, ["axis": .int(-1)]) }
    let target = scope.target(0, like: x)
    let terms: Edge
    if isLogTarget {
      terms = scope.apply("Exp", target) * (target - x)
    } else {
      // 0 log 0 is 0.
      let isSome = scope.graph.add("Greater", [target, try scope.number(0)])
      let logarithm = scope.apply("Log", scope.choose(isSome, target, try scope.number(1)))
      terms = target * logarithm - target * x
    }
    switch reduction {
    case "mean": return try scope.total(terms, .mean)
    case "sum": return try scope.total(terms, .sum)
    default: return try scope.perItem(scope.total(terms, .sum), x)
    }
  }
}

/// The negative evidence bound of a variational autoencoder: for outputs x̂, μ, log σ² and the target x,
/// ½ Σ (x̂ - x)² + β KL for each item, KL = -½ Σ (1 + log σ² - μ² - σ²) (Kingma and Welling, 2014; β: Higgins
/// et al., 2017). A second target, a number, takes the place of β where it is fed. Options:
/// `reconstruction`: mse, or bce for logits x̂ of x of [0, 1]; `beta` (1), `reduction` over the items.
struct EvidenceBound: LossMethod {
  static let outputCount = 3...3
  static let targetCount = 1...2

  private let isBinary: Bool
  private let beta: Double
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    isBinary = try options.choice("reconstruction", ["mse", "bce"]) == "bce"
    beta = try options.number("beta", default: 1, in: .notNegative)
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    let (x, mean, logarithm) = (scope.output(0), scope.output(1), scope.output(2))
    let reconstruction: Edge
    if isBinary {
      let t = scope.target(0, like: x)
      let terms = try (scope.number(1) - t) * x + scope.softplus(scope.negated(x))
      reconstruction = try scope.reduce("ReduceSum", terms)
    } else {
      let distance = scope.distance()
      reconstruction = try scope.reduce("ReduceSum", distance * distance) * scope.number(0.5)
    }
    let terms =
      try mean * mean + scope.apply("Exp", logarithm) - logarithm - scope.number(1)
    let divergence = try scope.reduce("ReduceSum", terms) * scope.number(0.5)
    var weight = try scope.number(beta)
    if scope.targets.count > 1 {
      // Whatever its rank, one number.
      weight = try scope.reduce("ReduceMean", scope.floats(scope.targets[1]))
    }
    let sum = reconstruction + weight * divergence
    return reduction == .mean ? try scope.perItem(sum, x) : sum
  }
}

extension LossScope {
  /// A sum divided by the first extent of `items`.
  func perItem(_ sum: Edge, _ items: Edge) throws(StackLensError) -> Edge {
    let count = apply("Shape", items, ["start": .int(0), "end": .int(1)])
    return try sum / reduce("ReduceSum", cast(count, .float32))
  }
}
