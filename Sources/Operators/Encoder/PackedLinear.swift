import Base
import CKernels
import Graphs
import Tensors

/// Number formats of the matrix products of an encoder.
public enum Precision: String, Sendable, CaseIterable {
  case fp32, bf16, int8

  /// Whether this processor has the instructions that make the format worth while.
  public var isSupported: Bool {
    switch self {
    case .fp32: true
    case .bf16: slk_cpu_has_bf16()
    case .int8: slk_cpu_has_vnni()
    }
  }
}

extension OperatorDefinition {
  /// y = activation(x Wᵀ + b) + residual over the rows in use.
  ///
  /// Inputs: x [T, K], weight [N, K] (constant), bias [N], offsets [S + 1], residual [T, N]
  /// (optional). Activation: none or gelu. Precision: fp32, bf16, or int8 (activations quantised for
  /// each row, weights for each output column; sums of `groups` parts of K are scaled apart).
  static let packedLinear = OperatorDefinition(
    "PackedLinear", domain: stackLensDomain, versions: [1], inputs: 4...5,
    attributes: [
      .string("activation", default: "none"), .string("precision", default: "fp32"),
      .int("groups", default: 2),
    ],
    infer: { (context) throws(StackLensError) in
      let (x, weight, bias) = (try context.input(0), try context.input(1), try context.input(2))
      guard x.elementType == .float32, x.rank == 2, weight.elementType == .float32,
        weight.rank == 2, weight.shape[1] == x.shape[1], bias.shape.dims == [weight.shape[0]]
      else { throw .shapeMismatch("cannot multiply \(x) by the transpose of \(weight) + \(bias)") }
      try PackedRows.check(context.input(3))
      let output = TensorType(.float32, try Shape([x.shape[0], weight.shape[0]]))
      if context.hasInput(4), try context.input(4) != output {
        throw .shapeMismatch("residual is \(try context.input(4)), expected \(output)")
      }
      return [output]
    },
    execution: .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        try PackedLinear(preparation)?.prepared
      },
      .reference { (preparation) throws(StackLensError) in try PackedLinear.plain(preparation) },
    ]),
    samples: [
      Sample([.floats(5, 8), .floats(3, 8), .floats(3), .ints([0, 2, 5])]),
      Sample(
        [.floats(4, 6), .floats(7, 6), .floats(7), .ints([0, 4]), .floats(4, 7)],
        ["activation": .string("gelu")]),
    ])

  /// The domain of operators that exist for speed.
  static let stackLensDomain = "ai.stacklens"
}

/// The packed kernels behind PackedLinear, bound to one weight.
private struct PackedLinear {
  private let (inner, columns): (Int, Int)
  private let activation: Int32
  private let precision: Precision
  private let groups: Int
  private let weight: Tensor
  private let rows: Int

  /// Nil when the weight is not constant.
  init?(_ preparation: Preparation) throws(StackLensError) {
    let type = try preparation.input(1)
    (columns, inner) = (type.shape[0], type.shape[1])
    rows = try preparation.input(0).shape[0]
    let name = try preparation.string("precision")
    guard let precision = Precision(rawValue: name) else {
      throw .invalidArgument("precision '\(name)' is none of fp32, bf16, int8")
    }
    self.precision = precision
    let exact = try Self.activation(preparation)
    let isGelu = exact == Int32(SLK_UNARY_GELU_ERF.rawValue)
    activation = isGelu && precision != .fp32 ? Int32(SLK_UNARY_GELU_FAST.rawValue) : exact
    groups = try preparation.int("groups")
    guard groups >= 1, groups <= 64 else { throw .invalidArgument("groups is \(groups)") }
    let (k, n, groupCount) = (inner, columns, groups)
    let (byteCount, panels) =
      switch precision {
      case .fp32: (slk_gemm_f32_packed_bytes(k, n), slk_gemm_f32_panel_count(n))
      case .bf16: (slk_gemm_bf16_packed_bytes(k, n), slk_gemm_bf16_panel_count(n))
      case .int8: (slk_gemm_i8_packed_bytes(k, n, groups), slk_gemm_i8_panel_count(n))
      }
    guard
      let packed = try preparation.packed(
        1, layout: "linear \(name) \(groups)", byteCount: byteCount,
        fill: { source, target in
          preparation.parallel.ranges(panels, grain: 1) { range in
            let (b, first, last) = (source.floats, range.lowerBound, range.upperBound)
            switch precision {
            case .fp32: slk_gemm_f32_pack(b, k, n, 1, k, target, first, last)
            case .bf16: slk_gemm_bf16_pack(b, k, n, 1, k, target, first, last)
            case .int8: slk_gemm_i8_pack(b, k, n, 1, k, groupCount, target, first, last)
            }
          }
        })
    else { return nil }
    weight = packed
  }

  static func activation(_ node: some NodeView) throws(StackLensError) -> Int32 {
    switch try node.string("activation") {
    case "none": Int32(SLK_UNARY_IDENTITY.rawValue)
    case "gelu": Int32(SLK_UNARY_GELU_ERF.rawValue)
    case let other: throw .invalidArgument("activation '\(other)' is neither none nor gelu")
    }
  }

  private var panelCount: Int {
    switch precision {
    case .fp32: slk_gemm_f32_panel_count(columns)
    case .bf16: slk_gemm_bf16_panel_count(columns)
    case .int8: slk_gemm_i8_panel_count(columns)
    }
  }

  /// Bytes of one row of x in the number format of the product, and of all rows together.
  private var rowByteCount: Int {
    switch precision {
    case .fp32: 0
    case .bf16: (inner + inner % 2) * 2
    case .int8: slk_gemm_i8_row_bytes(inner)
    }
  }
  private var convertedByteCount: Int { (rowByteCount * rows + 63) & ~63 }

  var prepared: PreparedKernel {
    let scales = precision == .int8 ? rows * groups * 4 : 0
    return PreparedKernel(scratchByteCount: convertedByteCount + scales) {
      (run) throws(StackLensError) in try self.run(run)
    }
  }

  private func run(_ run: Invocation) throws(StackLensError) {
    let (x, bias) = (try run.input(0), try run.input(2))
    let used = try PackedRows.count(run.input(3), rows: rows)
    let residual = run.inputs.count > 4 ? run.inputs[4] : nil
    let y = run.outputs[0].floats
    let scratch = run.scratch
    if precision != .fp32 {
      run.parallel.ranges(used, grain: 16) { range in convert(x.floats, range, scratch) }
    }
    // One text: threads share the columns. Many rows: blocks of rows too, so that a block of x stays
    // in the cache while all columns use it.
    let tile = slk_gemm_tile_rows()
    let threads = run.parallel.threadCount
    // With few rows a thread streams through its columns once and fetches ahead: one part a thread.
    let perThread = used <= 48 ? 1 : 4
    let columnParts = threads == 1 ? 1 : min(panelCount, threads * perThread)
    let rowBlock = max(tile, 128 / tile * tile)
    let rowParts = (used + rowBlock - 1) / rowBlock
    run.parallel.forEach(columnParts * rowParts) { part in
      let (column, row) = (part % columnParts, part / columnParts)
      var epilogue = slk_epilogue_none()
      epilogue.bias = UnsafePointer(bias.floats)
      epilogue.activation = activation
      if let residual {
        epilogue.residual = UnsafePointer(residual.floats)
        epilogue.residual_row_stride = columns
        epilogue.residual_column_stride = 1
      }
      multiply(
        x.floats, y, scratch, &epilogue, row * rowBlock..<min(used, (row + 1) * rowBlock),
        panelCount * column / columnParts..<panelCount * (column + 1) / columnParts)
    }
  }

  private func convert(
    _ x: UnsafePointer<Float>, _ rows: Range<Int>, _ scratch: UnsafeMutableRawPointer
  ) {
    let source = x + rows.lowerBound * inner
    let target = scratch + rows.lowerBound * rowByteCount
    if precision == .bf16 {
      slk_bf16_rows(
        source, rows.count, inner, inner, target.assumingMemoryBound(to: UInt16.self),
        rowByteCount / 2)
    } else {
      let scales = (scratch + convertedByteCount).assumingMemoryBound(to: Float.self)
      slk_i8_quantise_rows(
        source, rows.count, inner, inner, groups, target, scales + rows.lowerBound * groups)
    }
  }

  private func multiply(
    _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>,
    _ scratch: UnsafeMutableRawPointer, _ epilogue: UnsafePointer<slk_epilogue>,
    _ rows: Range<Int>, _ panels: Range<Int>
  ) {
    let (first, last) = (rows.lowerBound, rows.upperBound)
    switch precision {
    case .fp32:
      slk_gemm_f32(
        inner, columns, x, inner, weight.base, y, columns, epilogue, first, last,
        panels.lowerBound, panels.upperBound)
    case .bf16:
      slk_gemm_bf16(
        inner, columns, scratch.assumingMemoryBound(to: UInt16.self), rowByteCount / 2,
        weight.base, y, columns, epilogue, first, last, panels.lowerBound, panels.upperBound)
    case .int8:
      let scales = (scratch + convertedByteCount).assumingMemoryBound(to: Float.self)
      slk_gemm_i8(
        inner, columns, groups, scratch, scales, 128, weight.base, y, columns, epilogue, first,
        last,
        panels.lowerBound, panels.upperBound)
    }
  }

  /// The oracle: float32 sums in plain order, whatever the precision asked for.
  static func plain(_ preparation: Preparation) throws(StackLensError) -> PreparedKernel {
    let weightType = try preparation.input(1)
    let (n, k) = (weightType.shape[0], weightType.shape[1])
    let rows = try preparation.input(0).shape[0]
    let activation = try activation(preparation)
    return PreparedKernel { (run) throws(StackLensError) in
      let (x, weight, bias) = (try run.input(0), try run.input(1), try run.input(2))
      let used = try PackedRows.count(run.input(3), rows: rows)
      let residual = run.inputs.count > 4 ? run.inputs[4] : nil
      let y = run.outputs[0].floats
      for row in 0..<used {
        for column in 0..<n {
          var sum: Float = 0
          for index in 0..<k {
            sum += x.floats[row * k + index] * weight.floats[column * k + index]
          }
          y[row * n + column] = sum + bias.floats[column]
        }
        slk_unary_f32(activation, y + row * n, y + row * n, n, 1, 0)
        if let residual {
          for column in 0..<n { y[row * n + column] += residual.floats[row * n + column] }
        }
      }
    }
  }
}
