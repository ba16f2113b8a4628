import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The path of least cost from the first to the last element of a cost matrix, by steps down, to
  /// the right, or both: `[2, length]`. Contributed DynamicTimeWarping.
  static let dynamicTimeWarping = OperatorDefinition(
    "DynamicTimeWarping", domain: "com.microsoft", versions: [1], inputs: 1...1,
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      let costs = try context.tensor(0)
      let dims = costs.rank == 3 ? Array(costs.shape.dims.dropFirst()) : costs.shape.dims
      guard costs.elementType == .float32, dims.count == 2, dims[0] > 0, dims[1] > 0,
        costs.rank == 2 || costs.shape[0] == 1
      else {
        throw .shapeMismatch("input 0 is \(TensorType(costs)), expected float32 [rows, columns]")
      }
      let path = leastPath(
        costs.base.assumingMemoryBound(to: Float.self), rows: dims[0], columns: dims[1])
      return [.tensor(try Tensor(path, shape: Shape([2, path.count / 2])))]
    },
    samples: [Sample([.floats(4, 6)]), Sample([.floats(1, 3, 3)]), Sample([.floats(1, 1)])])

  /// Rows of the path, then its columns.
  private static func leastPath(
    _ costs: UnsafePointer<Float>, rows: Int, columns: Int
  ) -> [Int32] {
    enum Step: UInt8 { case both, down, right }
    let width = columns + 1
    var sums = [Float](repeating: .infinity, count: (rows + 1) * width)
    var steps = [Step](repeating: .both, count: (rows + 1) * width)
    for column in 1...columns { steps[column] = .right }
    for row in 1...rows { steps[row * width] = .down }
    sums[0] = 0
    for row in 1...rows {
      for column in 1...columns {
        let place = row * width + column
        let (both, down, right) = (sums[place - width - 1], sums[place - width], sums[place - 1])
        var (best, step) = (right, Step.right)
        if both < down, both < right {
          (best, step) = (both, .both)
        } else if down < both, down < right {
          (best, step) = (down, .down)
        }
        sums[place] = costs[(row - 1) * columns + column - 1] + best
        steps[place] = step
      }
    }
    var (row, column) = (rows, columns)
    var path: [(row: Int32, column: Int32)] = []
    while row > 0 || column > 0 {
      path.append((Int32(truncatingIfNeeded: row - 1), Int32(truncatingIfNeeded: column - 1)))
      switch steps[row * width + column] {
      case .both: (row, column) = (row - 1, column - 1)
      case .down: row -= 1
      case .right: column -= 1
      }
    }
    path.reverse()
    return path.map(\.row) + path.map(\.column)
  }
}
