import Base
import Tensors

/// For every element of one output axis the input elements it is made of, with their weights.
struct ResizeTaps: Sendable {
  let input: Int
  let output: Int
  /// Taps of each element; the tables have `output * count` entries.
  let count: Int
  let indices: [Int32]
  let weights: [Double]
  /// Elements whose coordinate lies outside the input, for crop and resize; nil when there are none.
  let outside: [Bool]?

  private static let tableLimit = 1 << 26

  init(_ geometry: ResizeGeometry, _ axis: ResizeGeometry.Axis) throws(StackLensError) {
    input = axis.input
    output = axis.output
    let narrowing = geometry.isAntialiased && axis.scale < 1 ? axis.scale : 1
    let support: Float
    switch geometry.mode {
    case .nearest: support = 0.5
    case .linear: support = 1 / narrowing
    case .cubic: support = 2 / narrowing
    }
    guard support < Float(1 << 24) else {
      throw .unsupported("antialiasing from \(axis.input) to \(axis.output) elements")
    }
    let span = geometry.mode == .nearest ? 1 : 2 * Int(support.rounded(.up))
    let (entries, overflow) = span.multipliedReportingOverflow(by: axis.output)
    guard !overflow, entries <= Self.tableLimit else {
      throw .limitExceeded("resizing to \(axis.output) elements with \(span) taps each")
    }
    count = span
    var indices = [Int32](repeating: 0, count: entries)
    var weights = [Double](repeating: 1, count: entries)
    var outside = [Bool](repeating: false, count: axis.output)
    let last = Float(axis.input - 1)
    for element in 0..<axis.output {
      // Beyond this range all taps clamp to the same border.
      let x = geometry.coordinate(element, axis)
      let place = x.isNaN ? 0 : min(max(x, -support - 2), last + support + 2)
      outside[element] = !(x >= 0 && x <= last)
      func clamped(_ index: Int) -> Int32 { Int32(min(max(index, 0), axis.input - 1)) }
      if geometry.mode == .nearest {
        indices[element] = clamped(Int(geometry.nearest(place)))
        continue
      }
      let base = Int(place.rounded(.down))
      let ratio = Double(place) - Double(base)
      let first = 1 - span / 2
      var sum = 0.0
      for tap in 0..<span {
        let offset = first + tap
        let distance = (Double(offset) - ratio) * Double(narrowing)
        var weight =
          geometry.mode == .linear
          ? max(0, 1 - abs(distance)) : cubic(abs(distance), Double(geometry.cubicCoefficient))
        let index = base + offset
        if geometry.excludesOutside, index < 0 || index >= axis.input { weight = 0 }
        indices[element * span + tap] = clamped(index)
        weights[element * span + tap] = weight
        sum += weight
      }
      if geometry.excludesOutside || narrowing < 1, sum != 0 {
        for tap in 0..<span { weights[element * span + tap] /= sum }
      }
    }
    self.indices = indices
    self.weights = weights
    let crops = geometry.coordinates == .cropAndResize
    self.outside = crops && outside.contains(true) ? outside : nil
  }

  /// Whether every element is its own copy.
  var isIdentity: Bool {
    guard input == output, count == 1 else { return false }
    return indices.enumerated().allSatisfy { $0 == Int($1) }
  }
}

/// Keys' cubic convolution with coefficient a, at distance t.
private func cubic(_ t: Double, _ a: Double) -> Double {
  if t <= 1 { return ((a + 2) * t - (a + 3)) * t * t + 1 }
  if t < 2 { return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a }
  return 0
}
