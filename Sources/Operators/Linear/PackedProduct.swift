import Base
import CKernels
import Tensors

/// What a packed product adds to its sums: y = activation(alpha * sum + bias + beta * residual).
struct ProductEpilogue {
  var alpha: Float = 1
  /// One value for each column.
  var bias: UnsafePointer<Float>?
  /// Dense like the output, or one row or one column of it, by the two strides.
  var residual: UnsafePointer<Float>?
  var residualRow = 0
  var residualColumn = 0
  var beta: Float = 1
  var activation = FusedActivation.none

  /// The kernel's form, for the rows that begin at `row` of the whole output.
  func native(fromRow row: Int) -> slk_epilogue {
    var result = slk_epilogue_none()
    result.alpha = alpha
    result.bias = bias
    result.activate(activation)
    result.residual = residual.map { $0 + row * residualRow }
    result.residual_row_stride = residualRow
    result.residual_column_stride = residualColumn
    result.beta = beta
    result.residual_first = true
    return result
  }
}

/// A float32 product on the packed kernels, with its work space laid out.
struct PackedProduct: Sendable {
  private enum Mode { case shared, slots, swapped }

  private let product: MatrixProduct
  private let constantB: Tensor?
  private let mode: Mode
  private let slotCount: Int
  private let aRoom: Int
  private let bRoom: Int
  private let slotBytes: Int

  /// - Parameters:
  ///   - packedB: the packed form of B (see `pack`), where B never changes.
  ///   - plan: receives the work space.
  init(
    _ product: MatrixProduct, packedB: Tensor?, threadCount: Int, plan: inout ScratchPlan
  ) throws(StackLensError) {
    let product = product.folded
    self.product = product
    constantB = packedB
    let isShared = product.bBatchStrides.allSatisfy { $0 == 0 } || product.batchCount <= 1
    if packedB == nil, product.m == 1, product.bRow == 1, product.bColumn != 1, product.aColumn == 1
    {
      mode = .swapped
    } else {
      mode = isShared ? .shared : .slots
    }
    let (columns, rows) = mode == .swapped ? (1, 1) : (product.n, product.m)
    let isEmpty = product.isEmpty
    slotCount = mode == .shared ? 1 : min(max(1, product.batchCount), max(1, threadCount) * 2)
    slotBytes = (isEmpty ? 0 : try Self.packedByteCount(product.k, columns) + 63) & ~63
    let packedSlots = constantB == nil && !isEmpty ? slotCount : 0
    let (bytes, overflow) = slotBytes.multipliedReportingOverflow(by: packedSlots)
    guard !overflow else { throw .outOfMemory("a packed matrix is too large") }
    bRoom = try plan.reserve(bytes, of: UInt8.self)
    let copiesA = mode != .swapped && product.aColumn != 1 && !isEmpty
    let aCount = copiesA ? try Shape([product.batchCount, rows, product.k]).count : 0
    aRoom = try plan.reserve(aCount, of: Float.self)
  }

  static func packedByteCount(_ k: Int, _ n: Int) throws(StackLensError) -> Int {
    guard try Shape([k, n, 8]).count <= Int.max / 512 else {
      throw .outOfMemory("a packed matrix of \(k) x \(n) is too large")
    }
    return slk_gemm_f32_packed_bytes(k, n)
  }

  func compute(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>,
    _ epilogue: ProductEpilogue, _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) {
    guard !product.isEmpty else { return }
    let packed = constantB?.base ?? scratch + bRoom
    switch mode {
    case .swapped:
      computeSwapped(a, b, c, epilogue, scratch, parallel)
    case .shared:
      let panels = slk_gemm_f32_panel_count(product.n)
      if constantB == nil {
        let (k, n) = (product.k, product.n)
        let offset = product.offsets(0).b
        parallel.ranges(panels, grain: max(1, (1 << 14) / max(1, k * 16))) { range in
          slk_gemm_f32_pack(
            b + offset, k, n, product.bRow, product.bColumn, packed, range.lowerBound,
            range.upperBound)
        }
      }
      for batch in 0..<product.batchCount {
        let left = rows(a, batch, scratch, slot: batch)
        multiply(left.pointer, left.stride, packed, batch, c, epilogue, parallel)
      }
    case .slots:
      let batchCount = product.batchCount
      parallel.forEach(slotCount) { slot in
        let room = packed + slot * slotBytes
        for batch in batchCount * slot / slotCount..<batchCount * (slot + 1) / slotCount {
          slk_gemm_f32_pack(
            b + product.offsets(batch).b, product.k, product.n, product.bRow, product.bColumn,
            room, 0, slk_gemm_f32_panel_count(product.n))
          let left = rows(a, batch, scratch, slot: batch)
          multiply(left.pointer, left.stride, room, batch, c, epilogue, .serial)
        }
      }
    }
  }

  /// A of one batch entry with its columns side by side, copied when they are not.
  private func rows(
    _ a: UnsafePointer<Float>, _ batch: Int, _ scratch: UnsafeMutableRawPointer, slot: Int
  ) -> (pointer: UnsafePointer<Float>, stride: Int) {
    let source = a + product.offsets(batch).a
    if product.aColumn == 1 { return (source, product.aRow) }
    let (m, k) = (product.m, product.k)
    let copy = (scratch + aRoom).assumingMemoryBound(to: Float.self) + slot * m * k
    for block in stride(from: 0, to: m, by: 16) {
      for p in 0..<k {
        let line = source + p * product.aColumn
        for i in block..<min(block + 16, m) { copy[i * k + p] = line[i * product.aRow] }
      }
    }
    return (UnsafePointer(copy), k)
  }

  /// One batch entry, cut into blocks of rows that stay in the cache and runs of panels.
  private func multiply(
    _ a: UnsafePointer<Float>, _ aRow: Int, _ packed: UnsafeMutableRawPointer, _ batch: Int,
    _ c: UnsafeMutablePointer<Float>, _ epilogue: ProductEpilogue, _ parallel: Parallel
  ) {
    let (m, n, k) = (product.m, product.n, product.k)
    let target = c + batch * m * n
    let panels = slk_gemm_f32_panel_count(n)
    let tile = slk_gemm_tile_rows()
    // A block of rows and a panel lie in a second-level cache of 1 MB together.
    let beside = (7 << 15) / max(1, k) - slk_gemm_f32_panel_columns()
    let cached = max(2 * tile, min((1 << 17) / max(1, k), beside) / tile * tile)
    let isSmall = Double(m) * Double(n) * Double(k) < 65_536
    let threads = isSmall ? 1 : parallel.threadCount
    var rowParts = (m + cached - 1) / cached
    let wanted = threads == 1 ? 1 : threads * 2
    let panelParts = min(panels, max(1, (wanted + rowParts - 1) / rowParts))
    if rowParts * panelParts < wanted { rowParts = min((m + tile - 1) / tile, wanted) }
    let chunk = ((m + rowParts - 1) / rowParts + tile - 1) / tile * tile
    rowParts = (m + chunk - 1) / chunk
    var native = epilogue.native(fromRow: batch * m)
    withUnsafePointer(to: &native) { epilogue in
      (threads == 1 ? .serial : parallel).forEach(rowParts * panelParts) { part in
        let (rowPart, panelPart) = part.quotientAndRemainder(dividingBy: panelParts)
        slk_gemm_f32(
          k, n, a, aRow, packed, target, n, epilogue, rowPart * chunk,
          min(m, (rowPart + 1) * chunk), panels * panelPart / panelParts,
          panels * (panelPart + 1) / panelParts)
      }
    }
  }

  /// One row times the transpose of a matrix: the matrix takes the part of A.
  private func computeSwapped(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>,
    _ epilogue: ProductEpilogue, _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) {
    let (n, k) = (product.n, product.k)
    let packed = scratch + bRoom
    for batch in 0..<product.batchCount {
      let offset = product.offsets(batch)
      slk_gemm_f32_pack(a + offset.a, k, 1, 1, 1, packed, 0, 1)
      // Columns have become rows: what one column shared now lies along the residual.
      var native = epilogue.native(fromRow: batch)
      if epilogue.residual != nil { native.residual_row_stride = epilogue.residualColumn }
      native.residual_column_stride = 0
      if let bias = epilogue.bias {
        native.bias = nil
        native.residual = bias
        native.residual_row_stride = 1
        native.beta = 1
        if epilogue.residual != nil { native.activation = FusedActivation.none.code }
      }
      let line = c + batch * n
      withUnsafePointer(to: &native) { native in
        parallel.ranges(n, grain: max(16, (1 << 16) / max(1, k))) { range in
          slk_gemm_f32(
            k, 1, b + offset.b, product.bColumn, packed, line, 1, native, range.lowerBound,
            range.upperBound, 0, 1)
        }
      }
      guard epilogue.bias != nil, let residual = epilogue.residual else { continue }
      for j in 0..<n {
        line[j] +=
          epilogue.beta
          * residual[batch * epilogue.residualRow + j * epilogue.residualColumn]
      }
      epilogue.activation.apply(line, n)
    }
  }
}
