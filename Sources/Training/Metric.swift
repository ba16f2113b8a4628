import Base
import Tensors

/// A figure of merit over a data set, from the model's first output and the first target.
public enum Metric: String, Sendable, CaseIterable {
  /// Share of examples whose largest output (axis 1), or the sign of a single one, is the target.
  case accuracy
  /// F1 of every class, averaged over the classes that occur (macro).
  case f1
  case precision
  case recall
  /// Mean absolute difference.
  case mae
  /// Mean squared difference.
  case mse
  /// 1 - squared differences over squared deviations of the targets from their mean.
  case r2

  public init(named name: String) throws(StackLensError) {
    guard let metric = Metric(rawValue: name) else {
      throw .invalidArgument(
        "there is no metric '\(name)'; metrics are "
          + Metric.allCases.map(\.rawValue).joined(separator: ", "))
    }
    self = metric
  }

  /// Whether larger is better.
  public var isBetterUp: Bool {
    switch self {
    case .accuracy, .f1, .precision, .recall, .r2: true
    case .mae, .mse: false
    }
  }

  fileprivate var isOfClasses: Bool {
    switch self {
    case .accuracy, .f1, .precision, .recall: true
    case .mae, .mse, .r2: false
    }
  }
}

/// What metrics are computed from, gathered batch by batch.
struct MetricSums {
  private let metrics: [Metric]
  /// Targets that count for nothing.
  private static let ignored = -100
  private var truePositives: [Int: Int] = [:]
  private var predicted: [Int: Int] = [:]
  private var actual: [Int: Int] = [:]
  private var count = 0.0
  private var absolute = 0.0
  private var squares = 0.0
  private var targetSum = 0.0
  private var targetSquares = 0.0

  init(_ metrics: [Metric]) { self.metrics = metrics }

  mutating func add(_ output: Tensor, _ target: Tensor) throws(StackLensError) {
    if metrics.contains(where: \.isOfClasses) { try addClasses(output, target) }
    if metrics.contains(where: { !$0.isOfClasses }) { try addNumbers(output, target) }
  }

  private mutating func addClasses(_ output: Tensor, _ target: Tensor) throws(StackLensError) {
    let scores = try output.doubles()
    let labels = try target.doubles()
    let classes = output.count == target.count ? 1 : output.rank > 1 ? output.shape.dims[1] : 0
    guard classes > 0, output.count == target.count * classes, classes > 1 || output.count > 0
    else {
      throw .shapeMismatch(
        "class metrics compare outputs [B, C, …] with targets [B, …], found \(output.shape) and "
          + "\(target.shape)")
    }
    let inner = max(1, output.shape.dims.dropFirst(2).reduce(1, *))
    for (place, value) in labels.enumerated() {
      guard let label = Int(exactly: value), label != Self.ignored else { continue }
      var best = 0
      if classes == 1 {
        best = scores[place] > 0 ? 1 : 0
      } else {
        let start = place / inner * classes * inner + place % inner
        for c in 1..<classes where scores[start + c * inner] > scores[start + best * inner] {
          best = c
        }
      }
      predicted[best, default: 0] += 1
      actual[label, default: 0] += 1
      if best == label { truePositives[label, default: 0] += 1 }
    }
  }

  private mutating func addNumbers(_ output: Tensor, _ target: Tensor) throws(StackLensError) {
    guard output.count == target.count else {
      throw .shapeMismatch(
        "numeric metrics compare equal counts, found outputs \(output.shape) and targets "
          + "\(target.shape)")
    }
    for (found, wanted) in zip(try output.doubles(), try target.doubles()) {
      count += 1
      absolute += abs(found - wanted)
      squares += (found - wanted) * (found - wanted)
      targetSum += wanted
      targetSquares += wanted * wanted
    }
  }

  /// The metrics by name; NaN where nothing was counted.
  var values: [(name: String, value: Double)] {
    metrics.map { ($0.rawValue, value(of: $0)) }
  }

  /// The share of the most frequent class among the targets.
  var majority: Double? {
    actual.values.max().map { Double($0) / Double(actual.values.reduce(0, +)) }
  }

  private func value(of metric: Metric) -> Double {
    let hits = Double(truePositives.values.reduce(0, +))
    switch metric {
    case .accuracy: return hits / Double(actual.values.reduce(0, +))
    case .precision: return mean { hits, predicted, _ in Double(hits) / Double(max(predicted, 1)) }
    case .recall: return mean { hits, _, actual in Double(hits) / Double(max(actual, 1)) }
    case .f1:
      return mean { hits, predicted, actual in 2 * Double(hits) / Double(max(predicted + actual, 1))
      }
    case .mae: return absolute / count
    case .mse: return squares / count
    case .r2: return 1 - squares / (targetSquares - targetSum * targetSum / count)
    }
  }

  /// The mean over the classes that occur of a figure of hits, predictions and examples.
  private func mean(_ figure: (_ hits: Int, _ predicted: Int, _ actual: Int) -> Double) -> Double {
    let classes = Set(actual.keys).union(predicted.keys).sorted()
    let sum = classes.reduce(0.0) {
      $0 + figure(truePositives[$1] ?? 0, predicted[$1] ?? 0, actual[$1] ?? 0)
    }
    return sum / Double(classes.count)
  }
}

extension Tensor {
  /// The elements of any number type.
  func doubles() throws(StackLensError) -> [Double] {
    switch elementType {
    case .float32: return try elements(as: Float.self).map(Double.init)
    case .float64: return try elements(as: Double.self)
    case .int64: return try elements(as: Int64.self).map(Double.init)
    case .int32: return try elements(as: Int32.self).map(Double.init)
    case .uint8: return try elements(as: UInt8.self).map(Double.init)
    case .int8: return try elements(as: Int8.self).map(Double.init)
    case .bool: return try elements(as: Bool.self).map { $0 ? 1 : 0 }
    default: throw .typeMismatch("\(elementType.name) cannot be measured")
    }
  }
}
