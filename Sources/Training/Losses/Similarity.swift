import Base
import Graphs
import Tensors

/// 1 - cos(a, b) where the target is 1, max(0, cos(a, b) - margin) where it is -1, over the last axis.
/// Options: `margin` (0), `reduction`.
struct CosineEmbedding: LossMethod {
  static let outputCount = 2...2

  private let margin: Double
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    margin = try options.number("margin", default: 0, in: -1...1)
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    let cosine = try scope.cosine(scope.output(0), scope.output(1))
    let target = scope.target(0, like: cosine)
    let isAlike = scope.graph.add("Greater", [target, try scope.number(0)])
    return try scope.total(
      scope.choose(
        isAlike, scope.number(1) - cosine, scope.hinge(cosine - scope.number(margin))),
      reduction)
  }
}

/// max(0, d(a, p) - d(a, n) + margin) for outputs a, p, n, d the length ‖x - y + 10⁻⁶‖ along the last axis;
/// `swap` takes d(p, n) where that is less than d(a, n) (Balntas et al., "Learning shallow convolutional
/// feature descriptors with triplet losses", 2016). Options: `margin` (1), `p` (2 or 1), `swap`,
/// `reduction`.
struct Triplet: LossMethod {
  static let outputCount = 3...3
  static let targetCount = 0...0

  private let margin: Double
  private let power: Int
  private let swaps: Bool
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    margin = try options.number("margin", default: 1, in: .notNegative)
    power = try options.integer("p", default: 2, in: 1...2)
    swaps = try options.bool("swap", default: false)
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    let (anchor, positive, negative) = (scope.output(0), scope.output(1), scope.output(2))
    func length(_ a: Edge, _ b: Edge) throws(StackLensError) -> Edge {
      try scope.length(a, b, power: power)
    }
    var far = try length(anchor, negative)
    if swaps { far = scope.graph.add("Min", [far, try length(positive, negative)]) }
    let near = try length(anchor, positive)
    return try scope.total(scope.hinge(near - far + scope.number(margin)), reduction)
  }
}

/// ½ (t d² + (1 - t) max(0, margin - d)²) for pairs that are alike (t = 1) or not (0), d the Euclidean length
/// ‖a - b + 10⁻⁶‖ or 1 - cos(a, b) (Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant
/// mapping", 2006). Options: `margin` (1), `distance`: euclidean or cosine, `reduction`.
struct Contrastive: LossMethod {
  static let outputCount = 2...2

  private let margin: Double
  private let isCosine: Bool
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    margin = try options.number("margin", default: 1, in: .notNegative)
    isCosine = try options.choice("distance", ["euclidean", "cosine"]) == "cosine"
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    let (a, b) = (scope.output(0), scope.output(1))
    let distance =
      isCosine ? try scope.number(1) - scope.cosine(a, b) : try scope.length(a, b, power: 2)
    let target = scope.target(0, like: distance)
    let missing = scope.hinge(try scope.number(margin) - distance)
    let unlike = try scope.number(1) - target
    let loss = target * distance * distance + unlike * missing * missing
    return try scope.total(loss * scope.number(0.5), reduction)
  }
}

/// The cross-entropy of picking, for each anchor of a batch, its own positive among all positives and
/// negatives by cos(a, b) / τ: outputs a [B, D], p [B, D] and perhaps negatives [M, D] (Henderson et al.,
/// "Efficient natural language response suggestion", 2017). Options: `temperature` τ (0.05),
/// `similarity`: cosine or dot, `symmetric`: the mean with picking the anchor of each positive.
struct MultipleNegatives: LossMethod {
  static let outputCount = 2...3
  static let targetCount = 0...0

  private let temperature: Double
  private let isCosine: Bool
  private let isSymmetric: Bool

  init(_ options: inout OptionReader) throws(StackLensError) {
    temperature = try options.number("temperature", default: 0.05, in: .positive)
    isCosine = try options.choice("similarity", ["cosine", "dot"]) == "cosine"
    isSymmetric = try options.bool("symmetric", default: false)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    func vectors(_ index: Int) throws(StackLensError) -> Edge {
      let x = scope.output(index)
      return isCosine ? try scope.normalized(x) : x
    }
    let (anchors, positives) = (try vectors(0), try vectors(1))
    var candidates = positives
    if scope.outputs.count > 2 {
      candidates = scope.graph.add(
        "Concat", [positives, try vectors(2)], ["axis": .int(0)])
    }
    let count = scope.apply("Shape", anchors, ["start": .int(0), "end": .int(1)])
    func picked(_ rows: Edge, among others: Edge) throws(StackLensError) -> Edge {
      let scores =
        try scope.graph.matMul(
          rows, scope.graph.transpose(others, [1, 0])) * scope.number(1 / temperature)
      let zero = scope.graph.constant(try Tensor(scalar: Int64(0)))
      let one = scope.graph.constant(try Tensor(scalar: Int64(1)))
      let end = scope.graph.add("Squeeze", [count, try scope.ints(0)])
      let labels = scope.graph.add("Range", [zero, end, one])
      return scope.graph.add(
        "NegativeLogLikelihoodLoss",
        [scope.apply("LogSoftmax", scores, ["axis": .int(1)]), labels])
    }
    let forward = try picked(anchors, among: candidates)
    guard isSymmetric else { return forward }
    return try (forward + picked(positives, among: anchors)) * scope.number(0.5)
  }
}

extension LossScope {
  /// Σ a b / √((Σ a² + ε)(Σ b² + ε)) along the last axis, ε = 10⁻¹².
  func cosine(_ a: Edge, _ b: Edge) throws(StackLensError) -> Edge {
    let b = matched(b, to: a)
    func squares(_ x: Edge) throws(StackLensError) -> Edge {
      try reduce("ReduceSum", x * x, -1) + number(1e-12)
    }
    return try reduce("ReduceSum", a * b, -1) / apply("Sqrt", squares(a) * squares(b))
  }

  /// x / √(Σ x² + 10⁻¹²) along the last axis.
  func normalized(_ x: Edge) throws(StackLensError) -> Edge {
    let squares = try reduce("ReduceSum", x * x, -1, keepsAxes: true)
    return try x / apply("Sqrt", squares + number(1e-12))
  }

  /// The length of a - b + 10⁻⁶ along the last axis, by squares or by magnitudes.
  func length(_ a: Edge, _ b: Edge, power: Int) throws(StackLensError) -> Edge {
    let distance = try a - matched(b, to: a) + number(1e-6)
    return try reduce(power == 1 ? "ReduceL1" : "ReduceL2", distance, -1)
  }
}
