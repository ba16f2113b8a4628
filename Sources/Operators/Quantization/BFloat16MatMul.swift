import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// activation(A · B + bias) + residual with A rounded to bfloat16 and B stored so; sums and result
  /// are float32. Made by the compile passes.
  ///
  /// Inputs: A [.., M, K], any numbers; B [K, N] bfloat16; bias [N]; residual [.., M, N], both optional.
  static let bfloat16MatMul = OperatorDefinition(
    "BFloat16MatMul", domain: stackLensDomain, versions: [1], inputs: 2...4,
    attributes: [.string("activation", default: "none")],
    infer: { (context) throws(StackLensError) in
      let a = try context.input(0, oneOf: ElementType.numbers)
      let b = try context.input(1, oneOf: [.bfloat16])
      guard a.rank >= 1, b.rank == 2 else {
        throw .shapeMismatch("cannot multiply \(a.shape) by \(b.shape): expected a matrix B")
      }
      let (_, shape) = try MatrixProduct.make(a.shape, b.shape)
      if context.hasInput(2), try context.input(2, oneOf: [.float32]).shape.dims != [b.shape[1]] {
        throw .shapeMismatch("bias has shape \(try context.input(2).shape)")
      }
      if context.hasInput(3), try context.input(3, oneOf: [.float32]).shape != shape {
        throw .shapeMismatch("residual is \(try context.input(3).shape), expected \(shape)")
      }
      _ = try FusedActivation(context)
      return [TensorType(.float32, shape)]
    },
    execution: .kernels([
      Kernel("packed", prepare: bfloat16Packed),
      .reference { (preparation) throws(StackLensError) in
        let b = try preparation.input(1).shape
        let (k, n) = (b[0], b[1])
        let activation = try FusedActivation(preparation)
        var plan = ScratchPlan()
        let room = try plan.reserve(try preparation.input(0).shape.count, of: BFloat16.self)
        return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
          let (given, y) = (try run.input(0), run.outputs[0].floats)
          let a = (run.scratch + room).bindMemory(to: BFloat16.self, capacity: given.count)
          convertElements(given.base, given.elementType, a, .bfloat16, given.count)
          let weights = try run.input(1).base.assumingMemoryBound(to: BFloat16.self)
          let bias = run.inputs.count > 2 ? run.inputs[2]?.floats : nil
          let residual = run.inputs.count > 3 ? run.inputs[3]?.floats : nil
          for index in 0..<run.outputs[0].count {
            let (row, column) = index.quotientAndRemainder(dividingBy: n)
            var sum = 0.0
            for i in 0..<k {
              sum += Double(a[row * k + i].float * weights[i * n + column].float)
            }
            sum = activation(sum + Double(bias?[column] ?? 0))
            y[index] = Float(sum + Double(residual?[index] ?? 0))
          }
        }
      },
    ]),
    samples: [
      Sample([.floats(3, 40), .random(.bfloat16, [40, 50], low: -1, high: 1), .floats(50)]),
      Sample(
        [
          .floats(2, 3, 7), .random(.bfloat16, [7, 5], low: -1, high: 1), .absent,
          .floats(2, 3, 5),
        ], ["activation": .string("relu")]),
      Sample([.floats(0, 7), .random(.bfloat16, [7, 5], low: -1, high: 1)]),
    ])

  private static func bfloat16Packed(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    let (a, b) = (try preparation.input(0), try preparation.input(1))
    let (k, n) = (b.shape[0], b.shape[1])
    let rows = k == 0 ? 0 : a.shape.count / k
    guard slk_cpu_has_bf16(), a.elementType == .float32, rows > 0, n > 0 else { return nil }
    let activation = try FusedActivation(preparation)
    let byteCount = slk_gemm_bf16_packed_bytes(k, n)
    let packed = try preparation.packed(1, layout: "bf16 \(k) \(n)", byteCount: byteCount) {
      packBFloat16($0, k, n, to: $1)
    }
    var plan = ScratchPlan()
    let packRoom = try plan.reserve(packed == nil ? byteCount : 0, of: UInt8.self)
    let stride = k + k % 2
    let rowRoom = try plan.reserve(try Shape([rows, stride]).count, of: UInt16.self)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let target = packed?.base ?? run.scratch + packRoom
      if packed == nil { packBFloat16(try run.input(1), k, n, to: target) }
      let lines = (run.scratch + rowRoom).assumingMemoryBound(to: UInt16.self)
      let (x, y) = (try run.input(0).floats, run.outputs[0].floats)
      run.parallel.ranges(rows, grain: max(1, (1 << 14) / k)) { range in
        let first = range.lowerBound
        slk_bf16_rows(x + first * k, range.count, k, k, lines + first * stride, stride)
      }
      var epilogue = slk_epilogue_none()
      epilogue.bias = run.inputs.count > 2 ? run.inputs[2].map { UnsafePointer($0.floats) } : nil
      epilogue.activation = activation.code
      (epilogue.activation_p, epilogue.activation_q) = activation.parameters
      if run.inputs.count > 3, let residual = run.inputs[3] {
        epilogue.residual = UnsafePointer(residual.floats)
        (epilogue.residual_row_stride, epilogue.residual_column_stride) = (n, 1)
      }
      let cut = ProductCut(
        rows: rows, inner: k, columns: n, panels: slk_gemm_bf16_panel_count(n),
        threadCount: run.parallel.threadCount)
      withUnsafePointer(to: epilogue) { epilogue in
        cut.forEach(run.parallel) { rows, panels in
          slk_gemm_bf16(
            k, n, lines, stride, target, y, n, epilogue, rows.lowerBound, rows.upperBound,
            panels.lowerBound, panels.upperBound)
        }
      }
    }
  }

  private static func packBFloat16(
    _ b: Tensor, _ k: Int, _ n: Int, to target: UnsafeMutableRawPointer
  ) {
    slk_gemm_bf16_pack(
      floatParameters(b), k, n, n, 1, target, 0, slk_gemm_bf16_panel_count(n))
  }
}

/// How a product with a packed matrix is shared: blocks of rows that stay in the cache times runs of
/// panels. With few rows each thread streams through its panels once.
struct ProductCut {
  private let (rows, rowBlock, rowParts): (Int, Int, Int)
  private let (panels, panelParts): (Int, Int)
  private let isSerial: Bool

  init(rows: Int, inner: Int, columns: Int, panels: Int, threadCount: Int) {
    let isSmall = Double(rows) * Double(columns) * Double(inner) < 262_144
    isSerial = isSmall || threadCount == 1
    (self.rows, self.panels) = (rows, panels)
    panelParts = isSerial ? 1 : min(panels, threadCount * (rows <= 48 ? 1 : 4))
    let tile = slk_gemm_tile_rows()
    rowBlock = max(tile, 128 / tile * tile)
    rowParts = (rows + rowBlock - 1) / rowBlock
  }

  func forEach(_ parallel: Parallel, _ body: (_ rows: Range<Int>, _ panels: Range<Int>) -> Void) {
    (isSerial ? .serial : parallel).forEach(panelParts * rowParts) { part in
      let (column, row) = (part % panelParts, part / panelParts)
      body(
        row * rowBlock..<min(rows, (row + 1) * rowBlock),
        panels * column / panelParts..<panels * (column + 1) / panelParts)
    }
  }
}
