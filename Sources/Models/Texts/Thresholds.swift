import Base
import Tensors

/// From which probability on a row has a label, for each label.
struct Thresholds {
  private static let fact = "thresholds"
  private(set) var values: [Double]

  /// 0.5 for each.
  init(count: Int) { values = [Double](repeating: 0.5, count: count) }

  /// Those with the best F1 on labelled rows, among equals the one nearest to 0.5; 0.5 for labels
  /// that no row has.
  /// - Parameters:
  ///   - probabilities: float32 [rows, labels].
  ///   - truth: int64 [rows, labels], 1, 0 or -100 where it is not known.
  init(best probabilities: Tensor, for truth: Tensor) throws(StackLensError) {
    let width = probabilities.shape[1]
    self.init(count: width)
    let p = try probabilities.elements(as: Float.self)
    let known = try truth.integers()
    for label in 0..<width {
      let places = stride(from: label, to: p.count, by: width).filter { known[$0] >= 0 }
      values[label] = Self.best(places.map { (Double(p[$0]), known[$0] == 1) })
    }
  }

  private static func best(_ rows: [(p: Double, isTrue: Bool)]) -> Double {
    let sorted = rows.sorted { $0.p > $1.p }
    let positives = rows.count(where: \.isTrue)
    guard positives > 0 else { return 0.5 }
    var (best, bestF1, hits) = (0.5, -1.0, 0)
    for (index, row) in sorted.enumerated() {
      if row.isTrue { hits += 1 }
      let next = index + 1 < sorted.count ? sorted[index + 1].p : 0
      // Rows of one probability lie on one side.
      guard next < row.p else { continue }
      let f1 = 2 * Double(hits) / Double(index + 1 + positives)
      // Anything that parts the two probabilities has this F1.
      let threshold = next < 0.5 && row.p >= 0.5 ? 0.5 : (next + row.p) / 2
      if f1 > bestF1 || (f1 == bestF1 && abs(threshold - 0.5) < abs(best - 0.5)) {
        (best, bestF1) = (threshold, f1)
      }
    }
    return best
  }

  /// What a model learned.
  init(_ knowledge: Knowledge, count: Int) throws(StackLensError) {
    values = (knowledge.facts[Self.fact]?.arrayValue ?? []).compactMap(\.numberValue)
    guard values.count == count else {
      throw .formatError("the model has \(values.count) thresholds for \(count) labels")
    }
  }

  func remember(in knowledge: inout Knowledge) {
    knowledge.facts[Self.fact] = .array(values.map { .number($0) })
  }

  /// Whether each of float32 [rows, labels] reaches its threshold.
  func reached(by probabilities: Tensor) throws(StackLensError) -> Tensor {
    let flags = try probabilities.elements(as: Float.self).enumerated().map {
      Double($0.element) >= values[$0.offset % values.count]
    }
    return try Tensor(flags, shape: probabilities.shape)
  }
}
