import Base
import Graphs
import Layers
import Tensors

/// The scaling of features to mean 0 and deviation 1 as a part of a network, so that files hold it.
struct Standardisation {
  static let mean = Knowledge.statistics + "mean"
  static let deviation = Knowledge.statistics + "deviation"
  private let mean: Edge
  private let deviation: Edge

  init(_ network: Network, width: Int) throws(StackLensError) {
    mean = try network.parameter(Self.mean, [width], .zeros)
    deviation = try network.parameter(Self.deviation, [width], .ones)
  }

  func applied(_ x: Edge) -> Edge { (x - mean) / deviation }

  func undone(_ x: Edge) -> Edge { x * deviation + mean }
}

extension Network {
  /// The mean of the squares along the last axis.
  func meanSquare(_ x: Edge) throws(StackLensError) -> Edge {
    graph.add("ReduceMean", [x * x, try ints([-1])], ["keepdims": .int(0)])
  }
}

/// Means and deviations of the columns of a table.
struct Moments {
  let mean: Tensor
  let deviation: Tensor
  /// Deviations below are taken for those of a constant, which is divided by 1.
  private static let least = 1e-6

  /// - Parameter x: float32 [rows, width], at least one row.
  init(of x: Tensor) throws(StackLensError) {
    let (rows, width) = (x.shape[0], x.shape[1])
    let base = x.base.assumingMemoryBound(to: Float.self)
    var means = [Double](repeating: 0, count: width)
    for row in 0..<rows {
      for column in 0..<width { means[column] += Double(base[row * width + column]) }
    }
    for column in 0..<width { means[column] /= Double(rows) }
    var squares = [Double](repeating: 0, count: width)
    for row in 0..<rows {
      for column in 0..<width {
        let distance = Double(base[row * width + column]) - means[column]
        squares[column] += distance * distance
      }
    }
    mean = try Tensor(means.map(Float.init))
    deviation = try Tensor(
      squares.map { square in
        let deviation = (square / Double(rows)).squareRoot()
        return deviation < Self.least ? 1 : Float(deviation)
      })
  }

  func set(in knowledge: inout Knowledge) throws(StackLensError) {
    try knowledge.set(Standardisation.mean, mean)
    try knowledge.set(Standardisation.deviation, deviation)
  }

  /// The table in units of deviations.
  func standardised(_ x: Tensor) throws(StackLensError) -> Tensor {
    let result = try Tensor(uninitialized: .float32, x.shape)
    let (from, to) = (
      x.base.assumingMemoryBound(to: Float.self), result.base.assumingMemoryBound(to: Float.self)
    )
    let means = mean.base.assumingMemoryBound(to: Float.self)
    let deviations = deviation.base.assumingMemoryBound(to: Float.self)
    let width = x.shape[1]
    for index in 0..<x.count {
      to[index] = (from[index] - means[index % width]) / deviations[index % width]
    }
    return result
  }
}

/// The value below which a share of the values lies, between neighbours by linear interpolation.
/// - Parameter values: at least one.
func quantile(_ values: [Double], _ share: Double) -> Double {
  let sorted = values.sorted()
  let place = share * Double(sorted.count - 1)
  let below = min(max(Int(place), 0), sorted.count - 1)
  let above = min(below + 1, sorted.count - 1)
  return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
}
