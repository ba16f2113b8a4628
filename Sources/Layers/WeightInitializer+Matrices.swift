import Base
import Tensors

/// Initialisers that look at a parameter as a matrix or draw until a number fits.
extension WeightInitializer {
  /// Draws until a number lies within the bounds.
  static func truncated(
    _ target: UnsafeMutableBufferPointer<Float>, _ mean: Double, _ std: Double, _ low: Double,
    _ high: Double, _ random: inout RandomGenerator
  ) throws(StackLensError) {
    // Below half a deviation and beyond two, hardly any draw would fit.
    guard std > 0, high - low >= std / 2, low <= mean + 2 * std, high >= mean - 2 * std else {
      throw .invalidArgument(
        "bounds \(low) and \(high) leave too little of a normal distribution around \(mean) with "
          + "the deviation \(std)")
    }
    for i in target.indices {
      var value = mean + std * random.normal()
      while value < low || value > high { value = mean + std * random.normal() }
      target[i] = Float(value)
    }
  }

  /// Normal numbers whose rows, or columns where they are fewer, are made orthonormal one after the
  /// other, each twice against those before (Gram and Schmidt).
  static func orthogonal(
    _ target: UnsafeMutableBufferPointer<Float>, _ dims: [Int], _ gain: Double,
    _ random: inout RandomGenerator
  ) throws(StackLensError) {
    guard dims.count >= 2 else {
      throw .invalidArgument("an orthogonal parameter needs two axes, not \(dims)")
    }
    let rows = dims[0]
    let columns = dims.dropFirst().reduce(1, *)
    guard rows > 0, columns > 0 else { return }
    let (count, length) = (min(rows, columns), max(rows, columns))
    var lines = [Double](repeating: 0, count: count * length)
    lines.withUnsafeMutableBufferPointer { lines in
      for line in 0..<count {
        let start = line * length
        for i in start..<start + length { lines[i] = random.normal() }
        for _ in 0..<2 {
          for other in 0..<line {
            let place = other * length
            var dot = 0.0
            for i in 0..<length { dot += lines[start + i] * lines[place + i] }
            for i in 0..<length { lines[start + i] -= dot * lines[place + i] }
          }
        }
        var square = 0.0
        for i in start..<start + length { square += lines[i] * lines[i] }
        let factor = 1 / max(square.squareRoot(), .leastNormalMagnitude)
        for i in start..<start + length { lines[i] *= factor }
      }
      for row in 0..<rows {
        for column in 0..<columns {
          let place = rows <= columns ? row * length + column : column * length + row
          target[row * columns + column] = Float(gain * lines[place])
        }
      }
    }
  }

  static func identity(
    _ target: UnsafeMutableBufferPointer<Float>, _ dims: [Int], _ gain: Double
  ) throws(StackLensError) {
    guard dims.count >= 2 else {
      throw .invalidArgument("an identity needs two axes, not \(dims)")
    }
    let field = dims[2...]
    let size = field.reduce(1, *)
    // The middle tap of each axis, the right one of two.
    let middle = field.reduce(0) { $0 * $1 + $1 / 2 }
    for i in 0..<min(dims[0], dims[1]) {
      target[(i * dims[1] + i) * size + middle] = Float(gain)
    }
  }

  static func sparse(
    _ target: UnsafeMutableBufferPointer<Float>, _ dims: [Int], _ sparsity: Double, _ std: Double,
    _ random: inout RandomGenerator
  ) throws(StackLensError) {
    guard dims.count == 2 else {
      throw .invalidArgument("a sparse parameter needs two axes, not \(dims)")
    }
    for i in target.indices { target[i] = Float(std * random.normal()) }
    let zeroCount = Int((sparsity * Double(dims[0])).rounded(.up))
    for column in 0..<dims[1] {
      var rows = Array(0..<dims[0])
      random.shuffle(&rows)
      for row in rows.prefix(zeroCount) { target[row * dims[1] + column] = 0 }
    }
  }
}
