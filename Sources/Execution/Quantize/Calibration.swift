import Base
import Glibc
import Graphs
import Tensors

/// The distribution of one value over sample runs: its range, and how often its magnitudes occur.
struct ValueHistogram {
  static let binCount = 2048
  private(set) var low: Float = 0
  private(set) var high: Float = 0
  /// Counts of |x| in [0, limit).
  private(set) var bins = [Int](repeating: 0, count: Self.binCount)
  private(set) var limit: Float = 0
  private(set) var count = 0

  mutating func add(_ values: [Float]) {
    var largest: Float = 0
    for value in values where value.isFinite {
      low = min(low, value)
      high = max(high, value)
      largest = max(largest, abs(value))
    }
    // Bins of the least numbers would have no finite reciprocal.
    if limit == 0 { limit = largest > 0 ? max(largest * 1.001, 1e-30) : 0 }
    while largest >= limit, largest > 0 { widen() }
    guard limit > 0 else {
      bins[0] += values.count
      count += values.count
      return
    }
    let scale = Float(Self.binCount) / limit
    for value in values where value.isFinite {
      bins[min(Self.binCount - 1, Int(abs(value) * scale))] += 1
      count += 1
    }
  }

  /// Twice the range: neighbouring bins become one.
  private mutating func widen() {
    for index in 0..<Self.binCount / 2 { bins[index] = bins[2 * index] + bins[2 * index + 1] }
    for index in Self.binCount / 2..<Self.binCount { bins[index] = 0 }
    limit *= 2
  }

  /// The range to quantise, which includes 0.
  func range(_ method: QuantizationOptions.Calibration) -> (low: Float, high: Float) {
    let bound: Float
    switch method {
    case .minMax: return (low, high)
    case .percentile: bound = magnitude(share: 0.9999)
    case .entropy: bound = entropyBound()
    }
    return (max(low, -bound), min(high, bound))
  }

  /// The magnitude that `share` of all values stay below.
  private func magnitude(share: Double) -> Float {
    var seen = 0
    for index in 0..<Self.binCount {
      seen += bins[index]
      if Double(seen) >= share * Double(count) {
        return Float(index + 1) * limit / Float(Self.binCount)
      }
    }
    return limit
  }

  /// The bound whose 128 steps keep most of the distribution: the least divergence of what 8 bits make
  /// of the bins below it from what they are with everything above it cut to it.
  private func entropyBound() -> Float {
    let steps = 128
    var best = (divergence: Double.infinity, bins: Self.binCount)
    for used in stride(from: steps, through: Self.binCount, by: 16) {
      var reference = bins[0..<used].map { Double($0) }
      reference[used - 1] += Double(bins[used...].reduce(0, +))
      var rounded = [Double](repeating: 0, count: used)
      for step in 0..<steps {
        let range = used * step / steps..<used * (step + 1) / steps
        let filled = range.filter { bins[$0] > 0 }
        guard !filled.isEmpty else { continue }
        let total = range.reduce(0.0) { $0 + Double(bins[$1]) }
        for index in filled { rounded[index] = total / Double(filled.count) }
      }
      let divergence = Self.divergence(reference, rounded)
      if divergence < best.divergence { best = (divergence, used) }
    }
    return Float(best.bins) * limit / Float(Self.binCount)
  }

  private static func divergence(_ p: [Double], _ q: [Double]) -> Double {
    let (pTotal, qTotal) = (p.reduce(0, +), q.reduce(0, +))
    guard pTotal > 0, qTotal > 0 else { return .infinity }
    var sum = 0.0
    for index in p.indices where p[index] > 0 {
      let share = p[index] / pTotal
      sum += share * log(share / max(q[index] / qTotal, 1e-9))
    }
    return sum
  }
}

/// Runs samples through a model and records the distribution of some of its values.
struct Calibrator {
  private(set) var histograms: [String: ValueHistogram] = [:]

  init(
    _ model: Model, values names: [String], samples: [[String: Value]]
  ) throws(StackLensError) {
    guard !samples.isEmpty else {
      throw .invalidArgument("int8-static needs sample inputs to see the ranges of values")
    }
    var observed = model
    let own = Set(model.graph.outputs.map(\.name))
    let inputs = Set(model.graph.inputs.map(\.name))
    for name in names where !own.contains(name) && !inputs.contains(name) {
      observed.graph.outputs.append(ValueInfo(name, .unknown))
    }
    let session = try Session(observed, options: SessionOptions())
    let made = names.filter { !inputs.contains($0) }
    for (index, sample) in samples.enumerated() {
      let results: [Value]
      do throws(StackLensError) { results = try session.run(sample, outputs: made) } catch {
        throw error.within("sample \(index)")
      }
      for (name, value) in zip(made, results) { try record(name, value) }
      for name in names where inputs.contains(name) { try record(name, sample[name] ?? .none) }
    }
  }

  private mutating func record(_ name: String, _ value: Value) throws(StackLensError) {
    guard case .tensor(let tensor) = value, tensor.elementType == .float32 else { return }
    histograms[name, default: ValueHistogram()].add(try tensor.elements(as: Float.self))
  }
}
