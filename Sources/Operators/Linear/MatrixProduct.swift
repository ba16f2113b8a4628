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
  /// - Throws: `.shapeMismatch` naming both shapes.
  static func make(
    _ a: Shape, _ b: Shape, transA: Bool = false, transB: Bool = false
  ) throws(StackLensError) -> (product: MatrixProduct, output: Shape) {
    guard a.rank > 0, b.rank > 0 else {
      throw .shapeMismatch("a matrix product needs rank 1 or more, found \(a) and \(b)")
    }
    let swapA = transA && a.rank > 1
    let swapB = transB && b.rank > 1
    let aRows = a.rank == 1 ? 1 : a[a.rank - 2]
    let aColumns = a[a.rank - 1]
    let bRows = b.rank == 1 ? b[0] : b[b.rank - 2]
    let bColumns = b.rank == 1 ? 1 : b[b.rank - 1]
    let (m, k) = swapA ? (aColumns, aRows) : (aRows, aColumns)
    let (inner, n) = swapB ? (bColumns, bRows) : (bRows, bColumns)
    guard k == inner else {
      throw .shapeMismatch("cannot multiply \(a) by \(b): inner extents \(k) and \(inner) differ")
    }
    let aBatch = try Shape(Array(a.dims.dropLast(2)))
    let bBatch = try Shape(Array(b.dims.dropLast(2)))
    let batch = try aBatch.broadcast(with: bBatch)
    var dims = batch.dims
    if a.rank > 1 { dims.append(m) }
    if b.rank > 1 { dims.append(n) }
    let output = try Shape(dims)
    let product = MatrixProduct(
      m: m, n: n, k: k, batchDims: batch.dims,
      aBatchStrides: aBatch.broadcastStrides(to: batch).map { $0 &* (aRows &* aColumns) },
      bBatchStrides: bBatch.broadcastStrides(to: batch).map { $0 &* (bRows &* bColumns) },
      aRow: swapA ? 1 : aColumns, aColumn: swapA ? aColumns : 1,
      bRow: swapB ? 1 : bColumns, bColumn: swapB ? bColumns : 1)
    return (product, output)
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
