import Base
import Graphs
import Tensors

/// -log of the probability that scores over time spell the labels, blanks and repetitions left out (Graves et
/// al., "Connectionist temporal classification", 2006). Output: logits [B, T, C]. Targets: labels [B, S],
/// which end at `ignore_index`; then perhaps how many steps [B] and how many labels [B] count. Mean divides
/// each loss by the number of its labels and takes the mean over the batch, as PyTorch does.
/// Options: `blank` (0), `zero_infinity`, `from_logits` (true; else log-probabilities come),
/// `batch_first` (true; else [T, B, C]), `ignore_index` (-100), `reduction`.
struct ConnectionistTemporal: LossMethod {
  static let targetCount = 1...3

  private let blank: Int
  private let zeroesInfinity: Bool
  private let takesLogits: Bool
  private let isBatchFirst: Bool
  private let ignoredLabel: Int
  private let reduction: Reduction

  init(_ options: inout OptionReader) throws(StackLensError) {
    blank = try options.integer("blank", default: 0)
    zeroesInfinity = try options.bool("zero_infinity", default: false)
    takesLogits = try options.bool("from_logits", default: true)
    isBatchFirst = try options.bool("batch_first", default: true)
    ignoredLabel = try options.integer("ignore_index", default: -100, in: .anyLabel)
    reduction = try Reduction(&options)
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    var scores = scope.output(0)
    if takesLogits { scores = scope.apply("LogSoftmax", scores, ["axis": .int(-1)]) }
    if isBatchFirst { scores = scope.graph.transpose(scores, [1, 0, 2]) }
    let targets = scope.targets.map(scope.labels)
    let losses = scope.graph.add(
      "CTCLoss", [scores] + targets,
      [
        "blank": .int(Int64(blank)), "zero_infinity": .int(zeroesInfinity ? 1 : 0),
        "ignore_index": .int(Int64(ignoredLabel)),
      ], domain: "ai.stacklens")
    guard reduction == .mean else { return try scope.total(losses, .sum) }
    let counts: Edge
    if targets.count > 2 {
      counts = scope.cast(targets[2], .float32)
    } else {
      counts = try scope.reduce("ReduceSum", scope.isNot(ignoredLabel, targets[0]), 1)
    }
    let safe = scope.graph.add("Max", [counts, try scope.number(1)])
    return try scope.total(losses / safe, .mean)
  }
}

/// -log of the probability of the tags in a linear chain (Lafferty, McCallum, Pereira, "Conditional random
/// fields", 2001). Outputs: emissions [B, T, K], transitions [K, K] from row to column, and perhaps start and
/// end scores [K]. Targets: tags [B, T], and perhaps a mask [B, T]; positions whose mask is 0 or whose tag is
/// `ignore_index` are left out of the chain. Options: `ignore_index` (-100), `reduction`: mean over the
/// batch, sum, or token_mean over the positions.
struct ConditionalRandomField: LossMethod {
  static let outputCount = 2...4
  static let targetCount = 1...2

  private let ignoredLabel: Int
  private let reduction: String

  init(_ options: inout OptionReader) throws(StackLensError) {
    ignoredLabel = try options.integer("ignore_index", default: -100, in: .anyLabel)
    reduction = try options.choice("reduction", ["mean", "sum", "token_mean"])
  }

  func build(_ scope: LossScope) throws(StackLensError) -> Edge {
    var inputs: [Edge?] = scope.outputs.indices.map(scope.output)
    while inputs.count < 4 { inputs.append(nil) }
    let tags = scope.labels(scope.targets[0])
    inputs.append(tags)
    var mask: Edge?
    if scope.targets.count > 1 {
      mask = scope.cast(scope.targets[1], .bool)
      inputs.append(mask)
    }
    let losses = scope.graph.add(
      "CRFLoss", inputs, ["ignore_index": .int(Int64(ignoredLabel))], domain: "ai.stacklens")
    if reduction == "mean" { return try scope.total(losses, .mean) }
    let sum = try scope.total(losses, .sum)
    if reduction == "sum" { return sum }
    var isKept = try scope.isNot(ignoredLabel, tags)
    if let mask { isKept = isKept * scope.cast(mask, .float32) }
    return try scope.share(sum, of: scope.reduce("ReduceSum", isKept))
  }
}
