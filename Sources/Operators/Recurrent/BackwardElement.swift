import Base
import CKernels

/// What gradients of recurrent layers are computed with: packed products, or plain loops.
protocol BackwardElement: RecurrentElement, RealElement {
  static func packedByteCount(_ k: Int, _ n: Int) throws(StackLensError) -> Int
  /// Lays a matrix [k, n], whose rows lie side by side, out for products.
  static func pack(
    _ b: UnsafePointer<Self>, _ k: Int, _ n: Int, _ room: UnsafeMutableRawPointer,
    _ parallel: Parallel)
  /// C = A B, or C += A B: A is [m, k], C is [m, n] with rows `ldc` apart.
  static func multiply(
    _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Self>, _ lda: Int,
    _ packed: UnsafeRawPointer, _ c: UnsafeMutablePointer<Self>, _ ldc: Int, accumulates: Bool,
    _ parallel: Parallel)
  /// Bytes that `product` needs.
  static func productByteCount(
    _ product: MatrixProduct, threadCount: Int
  ) throws(StackLensError) -> Int
  /// C = A B, of factors that lie where their strides say.
  static func product(
    _ product: MatrixProduct, _ a: UnsafePointer<Self>, _ b: UnsafePointer<Self>,
    _ c: UnsafeMutablePointer<Self>, _ room: UnsafeMutableRawPointer, _ parallel: Parallel
  ) throws(StackLensError)
  /// sums += rows of x, `stride` apart.
  static func addRows(
    _ x: UnsafePointer<Self>, _ rows: Int, _ stride: Int, _ width: Int,
    _ sums: UnsafeMutablePointer<Self>)
  /// One step of an LSTM with its usual activations: see `RecurrentBackward.lstm`. False: it has no
  /// kernel of its own.
  static func usualLSTM(_ row: LSTMRow<Self>, _ size: Int) -> Bool
}

/// What an LSTM's step back reads and writes for one item.
struct LSTMRow<T> {
  /// i o f c, after their activations.
  let gates: UnsafePointer<T>
  let cell: UnsafePointer<T>
  /// The cell state before; nil for zeros.
  let previous: UnsafePointer<T>?
  let dh: UnsafePointer<T>
  let dc: UnsafeMutablePointer<T>
  /// Receives the gradients of the gates' sums.
  let sums: UnsafeMutablePointer<T>
}

extension Double: BackwardElement {
  static func packedByteCount(_ k: Int, _ n: Int) throws(StackLensError) -> Int { k * n * 8 }

  static func pack(
    _ b: UnsafePointer<Double>, _ k: Int, _ n: Int, _ room: UnsafeMutableRawPointer,
    _ parallel: Parallel
  ) {
    room.assumingMemoryBound(to: Double.self).update(from: b, count: k * n)
  }

  static func multiply(
    _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Double>, _ lda: Int,
    _ packed: UnsafeRawPointer, _ c: UnsafeMutablePointer<Double>, _ ldc: Int, accumulates: Bool,
    _ parallel: Parallel
  ) {
    let b = packed.assumingMemoryBound(to: Double.self)
    for i in 0..<m {
      for j in 0..<n {
        var sum = accumulates ? c[i * ldc + j] : 0
        for p in 0..<k { sum += a[i * lda + p] * b[p * n + j] }
        c[i * ldc + j] = sum
      }
    }
  }

  static func productByteCount(
    _ product: MatrixProduct, threadCount: Int
  ) throws(StackLensError) -> Int { 0 }

  static func product(
    _ product: MatrixProduct, _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>,
    _ c: UnsafeMutablePointer<Double>, _ room: UnsafeMutableRawPointer, _ parallel: Parallel
  ) throws(StackLensError) {
    for i in 0..<product.m {
      for j in 0..<product.n {
        var sum = 0.0
        for p in 0..<product.k {
          sum +=
            a[i * product.aRow + p * product.aColumn] * b[p * product.bRow + j * product.bColumn]
        }
        c[i * product.n + j] = sum
      }
    }
  }

  static func addRows(
    _ x: UnsafePointer<Double>, _ rows: Int, _ stride: Int, _ width: Int,
    _ sums: UnsafeMutablePointer<Double>
  ) {
    for row in 0..<rows { for j in 0..<width { sums[j] += x[row * stride + j] } }
  }

  static func usualLSTM(_ row: LSTMRow<Double>, _ size: Int) -> Bool { false }
}

extension Float: BackwardElement {
  static func packedByteCount(_ k: Int, _ n: Int) throws(StackLensError) -> Int {
    try PackedProduct.packedByteCount(k, n)
  }

  static func pack(
    _ b: UnsafePointer<Float>, _ k: Int, _ n: Int, _ room: UnsafeMutableRawPointer,
    _ parallel: Parallel
  ) {
    parallel.ranges(slk_gemm_f32_panel_count(n), grain: max(1, (1 << 10) / max(1, k))) { range in
      slk_gemm_f32_pack(b, k, n, n, 1, room, range.lowerBound, range.upperBound)
    }
  }

  static func multiply(
    _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int,
    _ packed: UnsafeRawPointer, _ c: UnsafeMutablePointer<Float>, _ ldc: Int, accumulates: Bool,
    _ parallel: Parallel
  ) {
    guard m > 0, n > 0 else { return }
    var epilogue = slk_epilogue_none()
    if accumulates {
      epilogue.residual = UnsafePointer(c)
      (epilogue.residual_row_stride, epilogue.residual_column_stride) = (ldc, 1)
    }
    let panels = slk_gemm_f32_panel_count(n)
    let tile = slk_gemm_tile_rows()
    // A block of rows stays in the cache beside a panel.
    let cached = max(2 * tile, min(m, (1 << 16) / max(1, k)) / tile * tile)
    let rowParts = (m + cached - 1) / cached
    let threads = parallel.threadCount
    let panelParts = threads == 1 ? 1 : min(panels, max(1, (2 * threads + rowParts - 1) / rowParts))
    withUnsafePointer(to: &epilogue) { epilogue in
      parallel.forEach(rowParts * panelParts) { part in
        let (rowPart, panelPart) = part.quotientAndRemainder(dividingBy: panelParts)
        slk_gemm_f32(
          k, n, a, lda, packed, c, ldc, epilogue, rowPart * cached, min(m, (rowPart + 1) * cached),
          panels * panelPart / panelParts, panels * (panelPart + 1) / panelParts)
      }
    }
  }

  static func productByteCount(
    _ product: MatrixProduct, threadCount: Int
  ) throws(StackLensError) -> Int {
    var plan = ScratchPlan()
    _ = try PackedProduct(product, packedB: nil, threadCount: threadCount, plan: &plan)
    return plan.byteCount
  }

  static func product(
    _ product: MatrixProduct, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
    _ c: UnsafeMutablePointer<Float>, _ room: UnsafeMutableRawPointer, _ parallel: Parallel
  ) throws(StackLensError) {
    var plan = ScratchPlan()
    let packed = try PackedProduct(
      product, packedB: nil, threadCount: parallel.threadCount, plan: &plan)
    packed.compute(a, b, c, ProductEpilogue(), room, parallel)
  }

  static func addRows(
    _ x: UnsafePointer<Float>, _ rows: Int, _ stride: Int, _ width: Int,
    _ sums: UnsafeMutablePointer<Float>
  ) {
    slk_sum_rows(x, stride, rows, 0, width, sums)
  }

  static func usualLSTM(_ row: LSTMRow<Float>, _ size: Int) -> Bool {
    slk_lstm_gradient(row.gates, row.cell, row.previous, row.dh, row.dc, row.sums, size)
    return true
  }
}
