import Base
import Graphs
import Tensors

/// max(0, margin - t x) for targets of 1 and -1 (Cortes and Vapnik, 1995), or its square. Options: `margin` (1),
/// `squared`, `reduction`.
struct Hinge: LossMethod {
  private let margin: Double
  private let isSquared: Bool
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    margin = try options.number("margin", default: 1, in: .notNegative)
    isSquared = try options.bool("squared", default: false)
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    let x = scope.output(0)
    let loss = scope.hinge(try scope.number(margin) - scope.target(0, like: x) * x)
    return try scope.total(isSquared ? loss * loss : loss, reduction)
  }
}

/// x where the target is 1, max(0, margin - x) where it is -1, x being a distance. Options: `margin` (1),
/// `reduction`.
struct HingeEmbedding: LossMethod {
  private let margin: Double
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    margin = try options.number("margin", default: 1, in: .notNegative)
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    let x = scope.output(0)
    let isAlike = scope.graph.add("Greater", [scope.target(0, like: x), try scope.number(0)])
    let unlike = scope.hinge(try scope.number(margin) - x)
    return try scope.total(scope.choose(isAlike, x, unlike), reduction)
  }
}

/// Σ over classes c other than the label t of w[t] max(0, margin - x[t] + x[c])^p / C, for scores [B, C] and
/// labels [B] (Crammer and Singer, 2001). Options: `p` (1 or 2), `margin` (1), `weight` (one for each
/// class), `reduction`.
struct MultiMargin: LossMethod {
  private let power: Int
  private let margin: Double
  private let weights: [Double]?
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    power = try options.integer("p", default: 1, in: 1...2)
    margin = try options.number("margin", default: 1, in: .notNegative)
    weights = try options.numbers("weight")
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    let x = scope.output(0)
    let labels = scope.labels(scope.targets[0])
    // The score of the label, by an operator that refuses labels which are no class.
    let likelihood = scope.graph.add(
      "NegativeLogLikelihoodLoss", [x, labels], ["reduction": .string("none")])
    let own = scope.graph.add("Unsqueeze", [scope.negated(likelihood), try scope.ints(1)])
    var loss = scope.hinge(try x - own + scope.number(margin))
    if power == 2 { loss = loss * loss }
    // The label itself costs its margin, which goes again.
    let spare = try scope.number(power == 2 ? margin * margin : margin)
    var sums = try scope.reduce("ReduceSum", loss, 1, keepsAxes: true) - spare
    let classes = scope.apply("Shape", x, ["start": .int(1), "end": .int(2)])
    sums = sums / scope.cast(classes, .float32)
    if let weights {
      let own = scope.graph.add("Gather", [try scope.numbers(weights), labels])
      sums = sums * scope.graph.add("Unsqueeze", [own, try scope.ints(1)])
    }
    return try scope.total(sums, reduction)
  }
}
