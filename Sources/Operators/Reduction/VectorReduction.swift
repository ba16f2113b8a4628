import Base
import CKernels
import Tensors

/// The reductions of float32 that the C kernels can do. Sums run in float32 over short stretches
/// and in double precision over those.
struct VectorReduction: Sendable {
  private let reduction: Reduction
  private let count: Double

  /// Nil for reductions that need a function of each element.
  init?(_ reduction: Reduction, count: Int) {
    switch reduction {
    case .sum, .mean, .sumOfSquares, .l2, .max, .min: break
    case .product, .l1, .logSum, .logSumExp: return nil
    }
    self.reduction = reduction
    self.count = Double(count)
  }

  var isExtreme: Bool { reduction == .max || reduction == .min }

  private var isSquare: Bool { reduction == .sumOfSquares || reduction == .l2 }

  func finish(_ total: Double) -> Float {
    switch reduction {
    case .mean: Float(total / count)
    case .l2: Float(total.squareRoot())
    default: Float(total)
    }
  }

  /// The sum or extreme of neighbouring elements, at least one.
  func along(_ x: UnsafePointer<Float>, _ count: Int) -> Double {
    switch reduction {
    case .max: Double(slk_max_f32(x, count))
    case .min: Double(slk_min_f32(x, count))
    default: isSquare ? stretchedSumOfSquares(x, count) : stretchedSum(x, count)
    }
  }

  func combine(_ a: Double, _ b: Double) -> Double {
    switch reduction {
    case .max: a.isNaN || a > b ? a : b
    case .min: a.isNaN || a < b ? a : b
    default: a + b
    }
  }

  var identity: Double {
    switch reduction {
    case .max: -.infinity
    case .min: .infinity
    default: 0
    }
  }

  /// Takes rows that lie `stride` apart into the totals of their columns.
  /// - Parameters:
  ///   - more: rows behind them that come next.
  ///   - room: as many elements as a row.
  func accumulate(
    _ rows: UnsafePointer<Float>, _ count: Int, stride: Int, more: Int,
    _ totals: UnsafeMutablePointer<Float>, _ width: Int, room: UnsafeMutablePointer<Float>
  ) {
    guard isExtreme || isSquare else {
      return slk_sum_rows(rows, stride, count, more, width, totals)
    }
    let extreme = reduction == .max ? SLK_BINARY_MAX : SLK_BINARY_MIN
    for index in 0..<count {
      let row = rows + index * stride
      if isExtreme {
        slk_binary_f32(Int32(extreme.rawValue), totals, 1, row, 1, totals, width)
      } else {
        slk_unary_f32(Int32(SLK_UNARY_SQUARE.rawValue), row, room, width, 0, 0)
        slk_axpy(1, room, totals, width)
      }
    }
  }
}

/// Elements that one float32 partial sum takes in.
private let stretch = 256

/// The sum of neighbouring elements.
func stretchedSum(_ x: UnsafePointer<Float>, _ count: Int) -> Double {
  var (total, start) = (0.0, 0)
  while start < count {
    total += Double(slk_sum(x + start, min(stretch, count - start)))
    start += stretch
  }
  return total
}

/// The sum of the squares of neighbouring elements.
func stretchedSumOfSquares(_ x: UnsafePointer<Float>, _ count: Int) -> Double {
  var (total, start) = (0.0, 0)
  while start < count {
    total += Double(slk_sum_squares(x + start, min(stretch, count - start)))
    start += stretch
  }
  return total
}

extension Moments {
  /// Mean and variance of neighbouring elements, the variance from a second pass.
  init(vector x: UnsafePointer<Float>, count: Int) {
    let mean = stretchedSum(x, count) / Double(count)
    let squares = withUnsafeTemporaryAllocation(of: Float.self, capacity: stretch) { buffer in
      guard let room = buffer.baseAddress else { return Double.nan }
      var (total, start) = (0.0, 0)
      while start < count {
        let length = min(stretch, count - start)
        slk_unary_f32(
          Int32(SLK_UNARY_AFFINE.rawValue), x + start, room, length, 1, -Float(mean))
        total += Double(slk_sum_squares(room, length))
        start += stretch
      }
      return total
    }
    // The float32 mean is off by a little; the exact shift is taken out again.
    let offset = mean - Double(Float(mean))
    self.init(mean: mean, variance: max(0, squares / Double(count) - offset * offset))
  }
}
