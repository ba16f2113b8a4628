import Base
import CKernels
import Tensors

/// What a packed product does with its sums: y = activation(alpha * sum + bias + beta * residual), and 0
/// where a gate is not above 0.
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
  /// Dense like the output, rows `gateRow` apart.
  var gate: UnsafePointer<Float>?
  var gateRow = 0
  /// Receives the sums of A's rows over all terms, from a product that `sumsColumns`.
  var columnSums: UnsafeMutablePointer<Float>?

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
    result.gate = gate.map { $0 + row * gateRow }
    result.gate_row_stride = gateRow
    return result
  }
}

/// A float32 product on the packed kernels, with its work space laid out.
///
/// A factor that is no constant is packed while the product runs, transposed or not, or read where
/// it lies: few rows of A do not pay for packing all of B. Every element sums over k in one order
/// that depends on the shapes alone.
struct PackedProduct: Sendable {
  private enum Mode {
    /// One B for all batch entries, packed.
    case shared
    /// B read where it lies, by rows.
    case loose
    /// B that lies by columns, as the rows of a product whose packed side is A.
    case swapped
    /// A B for each batch entry.
    case slots
  }

  /// How the kernels read A.
  private enum Left {
    /// Rows whose elements lie side by side.
    case rows
    /// Columns whose elements lie side by side, in place, as B's rows then may, or in packed tiles.
    case columns, tiles
    /// Copied to rows.
    case copied
    /// Rounded to bfloat16, from rows or from columns.
    case halfRows, halfTiles

    /// Whether A is laid out anew while the product runs, a block of rows by itself.
    var isPacked: Bool { self == .tiles || self == .halfRows || self == .halfTiles }
    var isHalf: Bool { self == .halfRows || self == .halfTiles }
  }

  private let product: MatrixProduct
  private let constantB: Tensor?
  private let mode: Mode
  private let left: Left
  /// Whether rows of B are read where they lie beside columns of A.
  private let isOuter: Bool
  /// Terms that are summed in one go.
  private let blockTerms: Int
  private let slotCount: Int
  private let aRoom: Int
  private let bRoom: Int
  private let aSlotCount: Int
  /// Parts of a swapped product that have work space.
  private let roomParts: Int
  private let slotBytes: Int

  /// Rows of A, or terms, with which B is read where it lies.
  private static let fewRows = 64
  /// Fewer terms, or rows of B that are longer, would drive each other and C out of the first-level
  /// cache.
  private static let (outerTerms, outerColumns) = (16, 512)
  /// Columns of a vector of the widest registers.
  private static let vectorColumns = 16
  /// Columns of a thread of a swapped product from which on it packs for itself.
  private static let ownColumns = 32
  /// Vectors of columns that a part of a product takes at least: two panels.
  private static let partVectors = 6
  /// A block of this many terms of both factors stays in the second-level cache; less where A is
  /// packed beside it.
  private static let longBlock = (rows: 1024, tiles: 512)

  /// - Parameters:
  ///   - packedB: the packed form of B (see `pack`), where B never changes.
  ///   - roundsFactors: both factors are rounded to bfloat16, where the processor has such products.
  ///   - plan: receives the work space.
  init(
    _ product: MatrixProduct, packedB: Tensor?, roundsFactors: Bool = false, threadCount: Int,
    plan: inout ScratchPlan
  ) throws(StackLensError) {
    let product = product.folded
    self.product = product
    constantB = packedB
    let isHalf =
      roundsFactors && packedB == nil && slk_cpu_has_bf16()
      && (product.aColumn == 1 || product.aRow == 1)
    let (m, n, k) = (product.m, product.n, product.k)
    let isShared = product.bBatchStrides.allSatisfy { $0 == 0 } || product.batchCount <= 1
    let isTurned = product.aColumn != 1 && product.aRow == 1 && !isHalf
    let longBlock = isTurned ? Self.longBlock.tiles : Self.longBlock.rows
    let isLong = packedB == nil && k > longBlock * 3 / 2
    let isFew = packedB == nil && isShared && !isHalf && m <= Self.fewRows && k > 0 && !isLong
    if isFew, product.bRow == 1, product.bColumn != 1 {
      mode = .swapped
    } else if isFew, product.bColumn == 1, product.bRow >= 16, product.aColumn == 1 {
      mode = .loose
    } else {
      mode = isShared ? .shared : .slots
    }
    if isHalf {
      left = product.aColumn == 1 ? .halfRows : .halfTiles
    } else if product.aColumn == 1 || mode == .swapped {
      left = .rows
    } else if product.aRow == 1 {
      left = k <= Self.fewRows ? .columns : .tiles
    } else {
      left = .copied
    }
    isOuter =
      left == .columns && packedB == nil && k >= Self.outerTerms && product.bColumn == 1
      && n <= min(Self.outerColumns, product.bRow) && n % Self.vectorColumns == 0
    let blocks = isLong ? (k + longBlock - 1) / longBlock : 1
    blockTerms = isLong ? ((k + blocks - 1) / blocks + 15) & ~15 : k
    let isEmpty = product.isEmpty
    switch mode {
    case .slots: slotCount = min(max(1, product.batchCount), max(1, threadCount) * 2)
    case .swapped where n >= threadCount * Self.ownColumns: slotCount = max(1, threadCount)
    default: slotCount = 1
    }
    let (terms, columns) = (isEmpty ? 0 : blockTerms, mode == .swapped ? m : n)
    let whole = try Self.packedByteCount(terms, columns)
    slotBytes = ((isHalf ? slk_gemm_bf16_packed_bytes(terms, columns) : whole) + 63) & ~63
    let packsB = constantB == nil && !isEmpty && mode != .loose && !isOuter
    let (bytes, overflow) = slotBytes.multipliedReportingOverflow(by: packsB ? slotCount : 0)
    guard !overflow else { throw .outOfMemory("a packed matrix is too large") }
    bRoom = try plan.reserve(bytes, of: UInt8.self)
    aSlotCount = mode == .slots ? slotCount : 1
    roomParts = max(1, threadCount) * 4
    var aFloats = 0
    if mode == .swapped {
      aFloats = try Shape([roomParts, slk_gemm_f32_swapped_room(m)]).count
    } else if left == .copied || left.isPacked, !isEmpty {
      aFloats = try Shape([aSlotCount, Self.tiled(m), terms + terms % 2]).count
      if left.isHalf { aFloats = (aFloats + 1) / 2 }
    }
    aRoom = try plan.reserve(aFloats, of: Float.self)
  }

  /// Whether it can also sum the rows of A, which lie as columns: whoever multiplies them has them at
  /// hand.
  var sumsColumns: Bool {
    isOuter && mode == .shared && product.batchCount == 1 && !product.isEmpty
  }

  static func packedByteCount(_ k: Int, _ n: Int) throws(StackLensError) -> Int {
    guard try Shape([k, n, 8]).count <= Int.max / 512 else {
      throw .outOfMemory("a packed matrix of \(k) x \(n) is too large")
    }
    return slk_gemm_f32_packed_bytes(k, n)
  }

  /// Rows in whole tiles.
  private static func tiled(_ rows: Int) -> Int {
    let tile = slk_gemm_tile_rows()
    return (rows + tile - 1) / tile * tile
  }

  func compute(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>,
    _ epilogue: ProductEpilogue, _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) {
    guard !product.isEmpty else { return }
    let packed = constantB?.base ?? scratch + bRoom
    switch mode {
    case .swapped: computeSwapped(a, b, c, epilogue, scratch, parallel)
    case .loose:
      for batch in 0..<product.batchCount {
        let offsets = product.offsets(batch)
        multiplyLoose(a + offsets.a, b + offsets.b, batch, c, epilogue, parallel)
      }
    case .shared:
      forEachBlock { terms in
        let factor = factor(b, terms, 0, packed, parallel)
        for batch in 0..<product.batchCount {
          multiply(a, factor, terms, batch, c, epilogue, scratch, slot: 0, parallel)
        }
      }
    case .slots:
      let batchCount = product.batchCount
      parallel.forEach(slotCount) { slot in
        let room = packed + slot * slotBytes
        for batch in batchCount * slot / slotCount..<batchCount * (slot + 1) / slotCount {
          forEachBlock { terms in
            let factor = factor(b, terms, batch, room, .serial)
            multiply(a, factor, terms, batch, c, epilogue, scratch, slot: slot, .serial)
          }
        }
      }
    }
  }

  private func forEachBlock(_ body: (Range<Int>) -> Void) {
    for first in stride(from: 0, to: max(1, product.k), by: max(1, blockTerms)) {
      body(first..<min(product.k, first + blockTerms))
    }
  }

  /// The terms of B that a block sums: packed into `room`, already there, or where they lie.
  private func factor(
    _ b: UnsafePointer<Float>, _ terms: Range<Int>, _ batch: Int,
    _ room: UnsafeMutableRawPointer, _ parallel: Parallel
  ) -> UnsafeRawPointer {
    if constantB != nil { return UnsafeRawPointer(room) }
    let source = b + (product.offsets(batch).b + terms.lowerBound * product.bRow)
    if isOuter { return UnsafeRawPointer(source) }
    pack(source, terms, room, parallel)
    return UnsafeRawPointer(room)
  }

  private func pack(
    _ source: UnsafePointer<Float>, _ terms: Range<Int>, _ target: UnsafeMutableRawPointer,
    _ parallel: Parallel
  ) {
    let grain = max(1, (1 << 14) / max(1, terms.count * 16))
    parallel.ranges(slk_gemm_f32_panel_count(product.n), grain: grain) { range in
      (left.isHalf ? slk_gemm_bf16_pack : slk_gemm_f32_pack)(
        source, terms.count, product.n, product.bRow, product.bColumn, target, range.lowerBound,
        range.upperBound)
    }
  }

  /// How one batch entry is cut into blocks of rows that stay in the cache and runs of panels.
  private struct Cut {
    let chunk: Int
    let rowParts: Int
    let panelParts: Int
    let panels: Int
    /// Elements of a B that stays in the second-level cache of every thread.
    private static let sharedFactor = 1 << 16

    init(_ m: Int, _ n: Int, _ terms: Int, _ threads: Int) {
      panels = slk_gemm_f32_panel_count(n)
      let tile = slk_gemm_tile_rows()
      // A block of rows and a panel lie in a second-level cache of 1 MB together.
      let beside = (7 << 15) / max(1, terms) - slk_gemm_f32_panel_columns()
      let cached = max(2 * tile, min((1 << 17) / max(1, terms), beside) / tile * tile)
      var rowParts = (m + cached - 1) / cached
      let tiles = (m + tile - 1) / tile
      let wanted = Self.parts(Double(m) * Double(n) * Double(terms), threads)
      if rowParts < wanted, tiles >= 4 * wanted, terms * n <= Self.sharedFactor {
        // Tiles share out more evenly than panels, and every thread can have all of B at hand.
        rowParts = wanted
      }
      panelParts = min(panels, max(1, (wanted + rowParts - 1) / rowParts))
      if rowParts * panelParts < wanted { rowParts = min(tiles, wanted) }
      // As many parts for each thread: the last one would leave the others idle.
      while rowParts * panelParts % threads != 0, rowParts < tiles { rowParts += 1 }
      chunk = ((m + rowParts - 1) / rowParts + tile - 1) / tile * tile
      self.rowParts = (m + chunk - 1) / chunk
    }

    /// Parts that threads share out evenly without spending their time on taking them.
    static func parts(_ work: Double, _ threads: Int) -> Int {
      threads == 1 ? 1 : threads * (work < Double(threads) * 262_144 ? 2 : 4)
    }

    func rows(_ part: Int, of m: Int) -> Range<Int> {
      let row = part / panelParts * chunk
      return row..<min(m, row + chunk)
    }

    func panels(_ part: Int) -> Range<Int> {
      let index = part % panelParts
      return panels * index / panelParts..<panels * (index + 1) / panelParts
    }
  }

  /// The threads that a product of so many terms is worth.
  private func workers(_ parallel: Parallel, _ terms: Int) -> Parallel {
    let work = Double(product.m) * Double(product.n) * Double(terms)
    return work < 65_536 ? .serial : parallel
  }

  /// Some terms of one batch entry.
  private func multiply(
    _ a: UnsafePointer<Float>, _ factor: UnsafeRawPointer, _ terms: Range<Int>, _ batch: Int,
    _ c: UnsafeMutablePointer<Float>, _ epilogue: ProductEpilogue,
    _ scratch: UnsafeMutableRawPointer, slot: Int, _ parallel: Parallel
  ) {
    let (m, n, count) = (product.m, product.n, terms.count)
    let parallel = workers(parallel, count)
    let cut = Cut(m, n, count, parallel.threadCount)
    let target = c + batch * m * n
    let source = a + (product.offsets(batch).a + terms.lowerBound * product.aColumn)
    let rowBytes = (blockTerms + blockTerms % 2) * (left.isHalf ? 2 : 4)
    let room = scratch + (aRoom + slot * Self.tiled(m) * rowBytes)
    let packsInParts = cut.panelParts == 1
    if left.isPacked, !packsInParts {
      parallel.forEach(cut.rowParts) {
        packRows(source, cut.rows($0 * cut.panelParts, of: m), count, room)
      }
    } else if left == .copied {
      copyRows(source, room.assumingMemoryBound(to: Float.self), count)
    }
    var form = self.epilogue(epilogue, terms, batch, target)
    withUnsafePointer(to: &form) { native in
      parallel.forEach(cut.rowParts * cut.panelParts) { part in
        let (rows, panels) = (cut.rows(part, of: m), cut.panels(part))
        if left.isPacked, packsInParts { packRows(source, rows, count, room) }
        run(source, room, count, factor, target, native, rows, panels)
        if let sums = epilogue.columnSums, panels.lowerBound == 0, !rows.isEmpty {
          (sums + rows.lowerBound).update(repeating: 0, count: rows.count)
          slk_sum_rows(
            source + rows.lowerBound, product.aColumn, count, 0, rows.count,
            sums + rows.lowerBound)
        }
      }
    }
  }

  /// Lays some rows of A out anew.
  private func packRows(
    _ a: UnsafePointer<Float>, _ rows: Range<Int>, _ terms: Int, _ room: UnsafeMutableRawPointer
  ) {
    switch left {
    case .tiles:
      slk_gemm_f32_pack_turned(
        a, terms, product.aColumn, room.assumingMemoryBound(to: Float.self), rows.lowerBound,
        rows.upperBound)
    case .halfTiles:
      slk_gemm_bf16_pack_turned(
        a, terms, product.aColumn, room, rows.lowerBound, rows.upperBound)
    default:
      let stride = terms + terms % 2
      slk_bf16_rows(
        a + rows.lowerBound * product.aRow, rows.count, terms, product.aRow,
        room.assumingMemoryBound(to: UInt16.self) + rows.lowerBound * stride, stride)
    }
  }

  /// A block of rows by a run of panels.
  private func run(
    _ a: UnsafePointer<Float>, _ room: UnsafeMutableRawPointer, _ terms: Int,
    _ factor: UnsafeRawPointer, _ c: UnsafeMutablePointer<Float>,
    _ epilogue: UnsafePointer<slk_epilogue>, _ rows: Range<Int>, _ panels: Range<Int>
  ) {
    let n = product.n
    let (first, end) = (rows.lowerBound, rows.upperBound)
    let (panel, panelEnd) = (panels.lowerBound, panels.upperBound)
    let own = room.assumingMemoryBound(to: Float.self)
    let inPlace = factor.assumingMemoryBound(to: Float.self)
    switch left {
    case .rows:
      slk_gemm_f32(
        terms, n, a, product.aRow, factor, c, n, epilogue, first, end, panel, panelEnd)
    case .copied:
      slk_gemm_f32(terms, n, own, terms, factor, c, n, epilogue, first, end, panel, panelEnd)
    case .columns where isOuter:
      slk_gemm_f32_outer(
        terms, n, a, product.aColumn, inPlace, product.bRow, c, n, epilogue, first, end, panel,
        panelEnd)
    case .columns:
      slk_gemm_f32_turned(
        terms, n, a, product.aColumn, 1, factor, c, n, epilogue, first, end, panel, panelEnd)
    case .tiles:
      slk_gemm_f32_turned(
        terms, n, own, slk_gemm_tile_rows(), terms, factor, c, n, epilogue, first, end, panel,
        panelEnd)
    case .halfRows:
      slk_gemm_bf16(
        terms, n, room.assumingMemoryBound(to: UInt16.self), terms + terms % 2, factor, c, n,
        epilogue, first, end, panel, panelEnd)
    case .halfTiles:
      slk_gemm_bf16_turned(terms, n, room, factor, c, n, epilogue, first, end, panel, panelEnd)
    }
  }

  /// What a block of terms adds: the first one the residual, the others the sums so far, and the
  /// last one the rest.
  private func epilogue(
    _ epilogue: ProductEpilogue, _ terms: Range<Int>, _ batch: Int,
    _ sums: UnsafeMutablePointer<Float>
  ) -> slk_epilogue {
    var part = epilogue
    if terms.upperBound < product.k {
      (part.bias, part.activation, part.gate) = (nil, .none, nil)
    }
    var result = part.native(fromRow: batch * product.m)
    guard terms.lowerBound > 0 else { return result }
    result.residual = UnsafePointer(sums)
    result.residual_row_stride = product.n
    result.residual_column_stride = 1
    result.beta = 1
    return result
  }

  /// A with its columns side by side.
  private func copyRows(
    _ source: UnsafePointer<Float>, _ copy: UnsafeMutablePointer<Float>, _ terms: Int
  ) {
    for block in stride(from: 0, to: product.m, by: 16) {
      for p in 0..<terms {
        let line = source + p * product.aColumn
        for i in block..<min(block + 16, product.m) { copy[i * terms + p] = line[i * product.aRow] }
      }
    }
  }

  /// Few rows with a B that lies by rows.
  private func multiplyLoose(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ batch: Int,
    _ c: UnsafeMutablePointer<Float>, _ epilogue: ProductEpilogue, _ parallel: Parallel
  ) {
    let (m, n, k) = (product.m, product.n, product.k)
    let vectors = (n + Self.vectorColumns - 1) / Self.vectorColumns
    let parallel = workers(parallel, k)
    let threads = parallel.threadCount
    let tile = slk_gemm_tile_rows()
    // So few columns do not share out evenly: then there are parts of them with some of the rows each.
    // More are not read by two threads: a weight that both have read is slow to update.
    let rowParts = vectors < threads && m > tile ? 2 : 1
    let chunk = ((m + rowParts - 1) / rowParts + tile - 1) / tile * tile
    // As many parts for each thread, each with two whole panels where there are as many.
    let wanted = Cut.parts(Double(m) * Double(n) * Double(k), threads) / threads
    let each = max(1, min(wanted, vectors / (threads * Self.partVectors)))
    let columnParts = min(vectors, threads * each)
    var native = epilogue.native(fromRow: batch * m)
    withUnsafePointer(to: &native) { epilogue in
      parallel.forEach(rowParts * columnParts) { part in
        // Parts of the same columns follow one another: they are in a cache nearby then.
        let (run, row) = (part / rowParts, part % rowParts * chunk)
        let first = vectors * run / columnParts * Self.vectorColumns
        let end = min(n, vectors * (run + 1) / columnParts * Self.vectorColumns)
        slk_gemm_f32_loose(
          k, n, a, product.aRow, b, product.bRow, c + batch * m * n, n, epilogue, row,
          min(m, row + chunk), first, end)
      }
    }
  }

  /// Few rows with a B that lies by columns: B takes the part of A.
  private func computeSwapped(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>,
    _ epilogue: ProductEpilogue, _ scratch: UnsafeMutableRawPointer, _ parallel: Parallel
  ) {
    let (m, n, k) = (product.m, product.n, product.k)
    let parallel = workers(parallel, k)
    let threads = parallel.threadCount
    let tile = slk_gemm_tile_rows()
    let tiles = (n + tile - 1) / tile
    // The rest of a product takes long beside its packing: each thread packs for itself rather than
    // wait for another one, and fetch from its cache what that one has packed.
    let isOwn = slotCount > 1 && threads <= slotCount
    let parts =
      isOwn ? threads : min(tiles, Cut.parts(Double(m) * Double(n) * Double(k), threads), roomParts)
    let rooms = (scratch + aRoom).assumingMemoryBound(to: Float.self)
    let roomCount = slk_gemm_f32_swapped_room(m)
    for batch in 0..<product.batchCount {
      let offsets = product.offsets(batch)
      func pack(_ slot: Int) -> UnsafeMutableRawPointer {
        let target = scratch + (bRoom + slot * slotBytes)
        slk_gemm_f32_pack(
          a + offsets.a, k, m, product.aColumn, product.aRow, target, 0,
          slk_gemm_f32_panel_count(m))
        return target
      }
      let shared = isOwn ? nil : pack(0)
      var native = epilogue.native(fromRow: batch * m)
      withUnsafePointer(to: &native) { epilogue in
        parallel.forEach(parts) { part in
          slk_gemm_f32_swapped(
            k, m, b + offsets.b, product.bColumn, shared ?? pack(part), c + batch * m * n, n,
            epilogue, tiles * part / parts * tile, min(n, tiles * (part + 1) / parts * tile),
            rooms + part * roomCount)
        }
      }
    }
  }
}
