import Base
import Graphs
import Tensors

/// What GridSample makes of positions over images of one shape.
struct GridGeometry: Sendable {
  enum Mode: String { case nearest, linear, cubic }
  enum Padding: String { case zeros, border, reflection }
  let mode: Mode
  private let padding: Padding
  private let alignsCorners: Bool
  let images: Int
  let channels: Int
  /// Components of a position.
  let rank: Int
  /// Depth, height, width; 1 where the image has fewer axes.
  private let extents: [Int]
  var pixels: Int { extents[0] * extents[1] * extents[2] }

  init(_ view: some NodeView, x: Shape) throws(StackLensError) {
    let (modeName, paddingName) = (try view.string("mode"), try view.string("padding_mode"))
    guard let mode = Mode(rawValue: modeName), let padding = Padding(rawValue: paddingName) else {
      throw .invalidArgument("mode '\(modeName)' or padding_mode '\(paddingName)' is unknown")
    }
    self.mode = mode
    self.padding = padding
    alignsCorners = try view.flag("align_corners")
    images = x[0]
    channels = x[1]
    rank = x.rank - 2
    extents = [Int](repeating: 1, count: 3 - rank) + x.dims.dropFirst(2)
  }

  /// The shape of what a grid samples from images.
  static func output(x: Shape, grid: Shape) throws(StackLensError) -> Shape {
    let rank = x.rank - 2
    guard rank >= 1, rank <= 3, grid.rank == x.rank, grid[0] == x[0], grid[rank + 1] == rank
    else { throw .shapeMismatch("a grid of shape \(grid) does not fit \(x)") }
    let output = try Shape(Array(x.dims.prefix(2)) + grid.dims[1...rank])
    guard output.count == 0 || x.count > 0 else {
      throw .shapeMismatch("there is nothing to sample in \(x)")
    }
    return output
  }

  /// The pixels that a position is made of; its last component belongs to the first axis.
  @inline(__always)
  func taps<G: RealElement>(_ position: UnsafePointer<G>) -> PixelTaps {
    func along(_ axis: Int) -> AxisTaps {
      axis < 3 - rank ? AxisTaps() : taps(position[2 - axis].double, extents[axis])
    }
    return PixelTaps(
      axes: (along(0), along(1), along(2)), steps: (extents[1] * extents[2], extents[2]))
  }

  private func taps(_ position: Double, _ extent: Int) -> AxisTaps {
    let (place, rate) = place(position, extent)
    let base = place.rounded(.down)
    let ratio = place - base
    let first = Int(base)
    var taps = AxisTaps()
    switch mode {
    case .nearest: taps.places[0] = first
    case .linear:
      taps.count = 2
      taps.places = [first, first + 1, 0, 0]
      taps.weights = [1 - ratio, ratio, 0, 0]
      taps.slopes = [-rate, rate, 0, 0]
    case .cubic:
      taps.count = 4
      for tap in 0..<4 {
        let distance = Double(tap - 1) - ratio
        taps.places[tap] = first + tap - 1
        taps.weights[tap] = Self.cubic(abs(distance))
        taps.slopes[tap] = Self.cubicSlope(abs(distance)) * (distance < 0 ? rate : -rate)
      }
    }
    for tap in 0..<taps.count { taps.places[tap] = inside(taps.places[tap], extent) ?? -1 }
    return taps
  }

  /// A coordinate in pixels, brought back to the image as the padding says, and how it changes with
  /// the position.
  private func place(_ position: Double, _ extent: Int) -> (place: Double, rate: Double) {
    let last = Double(extent - 1)
    var place =
      alignsCorners
      ? (position + 1) / 2 * last : ((position + 1) * Double(extent) - 1) / 2
    if mode == .nearest { place.round(.toNearestOrEven) }
    let rate = (alignsCorners ? last : Double(extent)) / 2
    let (low, high) = alignsCorners ? (0, last) : (-0.5, last + 0.5)
    if place >= low, place <= high { return (place, rate) }
    switch padding {
    case .zeros: return (place.isNaN ? -8 : min(max(place, -8), last + 8), rate)
    case .border: return (place.isNaN ? 0 : min(max(place, 0), last), 0)
    case .reflection:
      let (place, direction) = reflected(place, low, high)
      return (place, rate * direction)
    }
  }

  /// The coordinate between the mirrors, and whether it runs with or against the one outside.
  private func reflected(
    _ place: Double, _ low: Double, _ high: Double
  ) -> (place: Double, direction: Double) {
    let range = high - low
    guard range > 0, place.isFinite else { return (max(low, 0), 0) }
    let beyond = place < low ? low - place : place - high
    let turns = (beyond / range).rounded(.down)
    let rest = min(max(beyond - turns * range, 0), range)
    let isEven = turns.truncatingRemainder(dividingBy: 2) == 0
    return ((place < low) == isEven ? low + rest : high - rest, isEven ? -1 : 1)
  }

  /// The pixel that stands for index, nil for a zero.
  private func inside(_ index: Int, _ extent: Int) -> Int? {
    if index >= 0, index < extent { return index }
    switch padding {
    case .zeros: return nil
    case .border: return min(max(index, 0), extent - 1)
    case .reflection:
      let (low, high) = alignsCorners ? (0, Double(extent - 1)) : (-0.5, Double(extent) - 0.5)
      return min(max(Int(reflected(Double(index), low, high).place), 0), extent - 1)
    }
  }

  private static func cubic(_ t: Double) -> Double {
    let a = -0.75
    if t <= 1 { return ((a + 2) * t - (a + 3)) * t * t + 1 }
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0
  }

  private static func cubicSlope(_ t: Double) -> Double {
    let a = -0.75
    if t <= 1 { return (3 * (a + 2) * t - 2 * (a + 3)) * t }
    return t < 2 ? (3 * a * t - 10 * a) * t + 8 * a : 0
  }
}
