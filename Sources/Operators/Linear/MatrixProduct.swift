import Base
import Tensors

/// A batch of matrix products C[b] = A[b] B[b]; C is dense, A and B are read by strides (in
/// elements).
struct MatrixProduct: Sendable {
  var m: Int
  var n: Int
  var k: Int
  var batchDims: [Int] = []
  var aBatchStrides: [Int] = []
  var bBatchStrides: [Int] = []
  var aRow: Int
  var aColumn: Int
  var bRow: Int
  var bColumn: Int

  var batchCount: Int { batchDims.reduce(1, *) }
  var isEmpty: Bool { m == 0 || n == 0 || batchDims.contains(0) }

  /// Where the matrices of batch entry `index` begin.
  func offsets(_ index: Int) -> (a: Int, b: Int) {
    var rest = index
    var a = 0
    var b = 0
    for axis in batchDims.indices.reversed() {
      let position = rest % batchDims[axis]
      rest /= batchDims[axis]
      a += position * aBatchStrides[axis]
      b += position * bBatchStrides[axis]
    }
    return (a, b)
  }

  /// The same product with the batch folded into the rows where all entries share one B and the
  /// rows of A follow one another.
  var folded: MatrixProduct {
    guard !isEmpty, !batchDims.isEmpty, bBatchStrides.allSatisfy({ $0 == 0 }) else { return self }
    var step = m * aRow
    for axis in batchDims.indices.reversed() where batchDims[axis] != 1 {
      guard aBatchStrides[axis] == step else { return self }
      step *= batchDims[axis]
    }
    var result = self
    result.m = m * batchCount
    (result.batchDims, result.aBatchStrides, result.bBatchStrides) = ([], [], [])
    return result
  }

  /// The product of two tensors by NumPy's `matmul` rules, and the shape of its result.
  /// - Parameters:
  ///   - transA, transB: the last two axes are swapped (rank 2 and above).
  ///   - batchLastA, batchLastB: the rows are the first axis, the batch lies behind it.
  /// - Throws: `.shapeMismatch` naming both shapes.
  static func make(
    _ a: Shape, _ b: Shape, transA: Bool = false, transB: Bool = false, batchLastA: Bool = false,
    batchLastB: Bool = false
  ) throws(StackLensError) -> (product: MatrixProduct, output: Shape) {
    guard a.rank > 0, b.rank > 0 else {
      throw .shapeMismatch("a matrix product needs rank 1 or more, found \(a) and \(b)")
    }
    let left = Factor(a, isLeft: true, isTransposed: transA, isBatchLast: batchLastA)
    let right = Factor(b, isLeft: false, isTransposed: transB, isBatchLast: batchLastB)
    guard left.columns.extent == right.rows.extent else {
      throw .shapeMismatch(
        "cannot multiply \(a) by \(b): inner extents \(left.columns.extent) and "
          + "\(right.rows.extent) differ")
    }
    let batch = try Shape(left.batch.map(\.extent)).broadcast(
      with: Shape(right.batch.map(\.extent)))
    var dims = batch.dims
    if a.rank > 1 { dims.append(left.rows.extent) }
    if b.rank > 1 { dims.append(right.columns.extent) }
    let product = MatrixProduct(
      m: left.rows.extent, n: right.columns.extent, k: left.columns.extent,
      batchDims: batch.dims, aBatchStrides: left.batchStrides(batch.rank),
      bBatchStrides: right.batchStrides(batch.rank), aRow: left.rows.stride,
      aColumn: left.columns.stride, bRow: right.rows.stride, bColumn: right.columns.stride)
    return (product, try Shape(dims))
  }

  /// A tensor seen as a batch of matrices; a vector is a row on the left, a column on the right.
  private struct Factor {
    typealias Axis = (extent: Int, stride: Int)
    private(set) var batch: [Axis] = []
    private(set) var rows: Axis
    private(set) var columns: Axis

    init(_ shape: Shape, isLeft: Bool, isTransposed: Bool, isBatchLast: Bool) {
      var axes: [Axis] = zip(shape.dims, shape.strides).map { ($0, $1) }
      if axes.count == 1 { axes.insert((1, isLeft ? axes[0].extent : 1), at: isLeft ? 0 : 1) }
      if isBatchLast, axes.count > 2 { axes.insert(axes.removeFirst(), at: axes.count - 1) }
      columns = axes.removeLast()
      rows = axes.removeLast()
      if isTransposed, shape.rank > 1 { swap(&rows, &columns) }
      batch = axes
    }

    /// Strides along the axes of a batch of the given rank, 0 where the matrices repeat.
    func batchStrides(_ rank: Int) -> [Int] {
      [Int](repeating: 0, count: rank - batch.count) + batch.map { $0.extent == 1 ? 0 : $0.stride }
    }
  }

  /// Computes the product plainly, summing over k in ascending order.
  func computeReference<T: ComputeElement>(
    _ a: UnsafePointer<T>, _ b: UnsafePointer<T>, _ c: UnsafeMutablePointer<T>,
    _ parallel: Parallel
  ) {
    guard !isEmpty else { return }
    let work = max(1, n.multipliedReportingOverflow(by: max(k, 1)).partialValue)
    parallel.ranges(batchCount * m, grain: max(1, (1 << 15) / work)) { rows in
      for row in rows {
        let (batch, i) = row.quotientAndRemainder(dividingBy: m)
        let offset = offsets(batch)
        let left = a + (offset.a + i * aRow)
        let right = b + offset.b
        let target = c + row * n
        for j in 0..<n { target[j] = T.zero }
        for p in 0..<k {
          let x = left[p * aColumn]
          let line = right + p * bRow
          if bColumn == 1 {
            for j in 0..<n { target[j] = T.add(target[j], T.multiply(x, line[j])) }
          } else {
            for j in 0..<n { target[j] = T.add(target[j], T.multiply(x, line[j * bColumn])) }
          }
        }
      }
    }
  }
}
