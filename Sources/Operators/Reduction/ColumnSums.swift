import Base
import CKernels
import Tensors

/// Sums over the rows of a float32 matrix, in parts whose bounds depend on its extents alone.
struct ColumnSums: Sendable {
  let rows: Int
  let width: Int
  private let partRows: Int
  let partCount: Int

  init(rows: Int, width: Int) {
    (self.rows, self.width) = (rows, width)
    // Long enough for a part to pay, few enough for their sums to stay small.
    partRows = max(64, (rows + 63) / 64)
    partCount = (rows + partRows - 1) / partRows
  }

  /// Floats of the partial sums.
  var roomCount: Int { partCount * width }

  func sum(
    _ x: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Float>,
    _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) {
    forEachPart(scratch, parallel) { rows, target in
      slk_column_sums_f32(x + rows.lowerBound * width, width, rows.count, width, target)
    }
    for column in 0..<width { sums[column] = Float(total(column, scratch)) }
  }

  /// Calls `body` with the rows of each part and the place of its sums.
  func forEachPart(
    _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel,
    _ body: (_ rows: Range<Int>, _ target: UnsafeMutablePointer<Float>) -> Void
  ) {
    let parts = scratch.assumingMemoryBound(to: Float.self)
    parallel.ranges(partCount, grain: max(1, cheapGrain / max(1, partRows * width))) { range in
      for part in range {
        body(part * partRows..<min(rows, (part + 1) * partRows), parts + part * width)
      }
    }
  }

  /// The sum of one column over all parts.
  func total(_ column: Int, _ scratch: UnsafeMutableRawPointer) -> Double {
    let parts = UnsafePointer(scratch.assumingMemoryBound(to: Float.self))
    var sum = 0.0
    for part in 0..<partCount { sum += Double(parts[part * width + column]) }
    return sum
  }
}
