/// The elements along one axis that an interpolated value is made of.
struct AxisTaps {
  var count = 1
  /// Negative for a zero that stands for an element outside.
  var places = SIMD4<Int>(0, 0, 0, 0)
  var weights = SIMD4<Double>(1, 0, 0, 0)
  /// How the weights change with the position.
  var slopes = SIMD4<Double>(0, 0, 0, 0)

  /// The two neighbours of a position, zeros outside of the axis.
  init(linear position: Double, extent: Int) {
    let floor = position.rounded(.down)
    guard let low = Int(exactly: floor), low >= -1, low < extent else {
      count = 0
      return
    }
    count = 2
    let ratio = position - floor
    places = [low, low + 1 < extent ? low + 1 : -1, 0, 0]
    weights = [1 - ratio, ratio, 0, 0]
    slopes = [-1, 1, 0, 0]
  }

  /// The only element of an axis that is not there.
  init() {}
}

/// The pixels that a value between them is made of, along three axes.
struct PixelTaps {
  var axes: (AxisTaps, AxisTaps, AxisTaps)
  /// Elements from one pixel to the next along the first two axes.
  let steps: (Int, Int)

  /// Calls `body` with the offset of every pixel inside, its weight, and how that changes with the
  /// position along each axis.
  @inline(__always)
  func forEach(_ body: (_ offset: Int, _ weight: Double, _ slopes: SIMD3<Double>) -> Void) {
    let (a, b, c) = axes
    for i in 0..<a.count where a.places[i] >= 0 {
      for j in 0..<b.count where b.places[j] >= 0 {
        for k in 0..<c.count where c.places[k] >= 0 {
          let slopes = SIMD3(
            a.slopes[i] * b.weights[j] * c.weights[k], a.weights[i] * b.slopes[j] * c.weights[k],
            a.weights[i] * b.weights[j] * c.slopes[k])
          body(
            a.places[i] * steps.0 + b.places[j] * steps.1 + c.places[k],
            a.weights[i] * b.weights[j] * c.weights[k], slopes)
        }
      }
    }
  }
}
