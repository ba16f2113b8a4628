import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// A product of quantised matrices as numbers, with what follows it in one step:
  /// activation(A · B + bias) + residual, quantised where a scale for the result is given. Made by
  /// the compile passes.
  ///
  /// Inputs: A [.., M, K], bytes or float32; B [K, N], bytes; scale of B, one or [N]; scale of A, one
  /// or [.., M, 1]; zero point of A; zero points of B, one or [N]; bias [N]; residual [.., M, N];
  /// scale and zero point of the result. All from the fourth on are optional. A float32 A is
  /// quantised on the way, symmetrically for each row where `rows` is 1, otherwise by its range as
  /// DynamicQuantizeLinear does.
  static let quantizedMatMul = OperatorDefinition(
    "QuantizedMatMul", domain: stackLensDomain, versions: [1], inputs: 3...10,
    attributes: [.string("activation", default: "none"), .int("rows", default: 0)],
    infer: { (context) throws(StackLensError) in
      let a = try context.input(0, oneOf: byteTypes + [.float32])
      let b = try context.input(1, oneOf: byteTypes)
      guard a.rank >= 1, b.rank == 2 else {
        throw .shapeMismatch("cannot multiply \(a.shape) by \(b.shape): expected a matrix B")
      }
      let (_, shape) = try MatrixProduct.make(a.shape, b.shape)
      for index in [2, 3, 6, 7, 8] where context.hasInput(index) {
        _ = try context.input(index, oneOf: [.float32])
      }
      try context.checkSingle(2, orVectorOf: b.shape[1])
      if context.hasInput(3) {
        let scale = try context.input(3).shape
        guard scale.count == 1 || scale.dims == a.shape.dims.dropLast() + [1] else {
          throw .shapeMismatch("input 3 has shape \(scale), which is no scale for \(a.shape)")
        }
      }
      guard context.hasInput(3) == (a.elementType != .float32) else {
        throw .invalidArgument("bytes need a scale, float32 has none")
      }
      if context.hasInput(4) { _ = try context.sameElementType(0, 4) }
      try context.checkSingle(4, 8, 9)
      _ = try context.sameElementType(1, 5)
      try context.checkSingle(5, orVectorOf: b.shape[1])
      if context.hasInput(6), try context.input(6).shape.dims != [b.shape[1]] {
        throw .shapeMismatch("bias has shape \(try context.input(6).shape)")
      }
      if context.hasInput(7), try context.input(7).shape != shape {
        throw .shapeMismatch("residual is \(try context.input(7).shape), expected \(shape)")
      }
      _ = try FusedActivation(context)
      guard context.hasInput(8) else { return [TensorType(.float32, shape)] }
      let type = context.hasInput(9) ? try context.input(9, oneOf: byteTypes).elementType : .uint8
      return [TensorType(type, shape)]
    },
    execution: .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        try QuantizedProduct(preparation)?.prepared
      },
      .reference { (preparation) throws(StackLensError) in
        try plainQuantizedProduct(preparation)
      },
    ]),
    samples: [
      Sample([.bytes(2, 3, 8), .signedBytes(8, 5), .scale(5), .scale(), .zero()]),
      Sample(
        [.floats(3, 40), .signedBytes(40, 50), .scale(50), .absent, .absent, .absent, .floats(50)],
        ["rows": .int(1), "activation": .string("relu")]),
      Sample([
        .floats(9, 7), .signedBytes(7, 3), .scale(), .absent, .absent, .absent, .absent,
        .floats(9, 3),
      ]),
      Sample([
        .signedBytes(4, 6), .bytes(6, 3), .scale(), .scale(4, 1), .absent, .zero(3), .absent,
        .absent, .scale(), .signedZero(),
      ]),
      Sample([
        .bytes(4, 16), .signedBytes(16, 33), .scale(33), .scale(), .zero(), .absent, .floats(33),
        .absent, .random(.float32, [], low: 0.1, high: 0.2), .zero(),
      ]),
      Sample([.bytes(0, 4), .signedBytes(4, 5), .scale(), .scale()]),
    ])

  /// The formula, one sum at a time.
  private static func plainQuantizedProduct(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let b = try preparation.input(1).shape
    let (k, n) = (b[0], b[1])
    let count = preparation.outputs[0].shape.count
    let rows = n == 0 ? 0 : count / n
    let activation = try FusedActivation(preparation)
    let isByRows = try preparation.flag("rows")
    let type = preparation.outputs[0].elementType
    return PreparedKernel { (run) throws(StackLensError) in
      func optional(_ index: Int) -> Tensor? {
        index < run.inputs.count ? run.inputs[index] : nil
      }
      var a = [Int32](repeating: 0, count: rows * k)
      var aScales = [Float](repeating: 0, count: rows)
      let x = try run.input(0)
      if x.elementType == .float32 {
        PlainQuantization.quantise(x.floats, rows, k, isByRows, &a, &aScales)
      } else {
        a.withUnsafeMutableBufferPointer { target in
          guard let base = target.baseAddress else { return }
          widenIntegers(x.base, x.elementType, x.count, to: base)
        }
        let zero = zeroPointParameters(optional(4))[0]
        for i in a.indices { a[i] -= zero }
        let scales = floatParameters(try run.input(3))
        for row in 0..<rows { aScales[row] = scales[scales.count == 1 ? 0 : row] }
      }
      var weights = [Int32](repeating: 0, count: k * n)
      let bTensor = try run.input(1)
      weights.withUnsafeMutableBufferPointer { target in
        guard let base = target.baseAddress else { return }
        widenIntegers(bTensor.base, bTensor.elementType, bTensor.count, to: base)
      }
      let zeros = zeroPointParameters(optional(5))
      let bScales = floatParameters(try run.input(2))
      let bias = optional(6).map { floatParameters($0) }
      let residual = optional(7)?.floats
      let yScale = optional(8).map { floatParameters($0)[0] }
      let yZero = Float(zeroPointParameters(optional(9))[0])
      for index in 0..<count {
        let (row, column) = index.quotientAndRemainder(dividingBy: n)
        let zero = zeros[zeros.count == 1 ? 0 : column]
        var sum: Int32 = 0
        for i in 0..<k { sum &+= a[row * k + i] &* (weights[i * n + column] - zero) }
        var value = Float(sum) * bScales[bScales.count == 1 ? 0 : column] * aScales[row]
        value += bias.map { $0[column] } ?? 0
        if activation != .none { value = Float(activation(Double(value))) }
        if let residual { value += residual[index] }
        switch type {
        case .float32: run.outputs[0].floats[index] = value
        case .int8:
          run.outputs[0].base.assumingMemoryBound(to: Int8.self)[index] = quantized(
            value / (yScale ?? 1), zeroPoint: yZero, as: Int8.self)
        default:
          run.outputs[0].base.assumingMemoryBound(to: UInt8.self)[index] = quantized(
            value / (yScale ?? 1), zeroPoint: yZero, as: UInt8.self)
        }
      }
    }
  }
}

/// Quantisation of float32 rows as the fused product does it, for its reference kernel.
private enum PlainQuantization {
  static func quantise(
    _ x: UnsafePointer<Float>, _ rows: Int, _ k: Int, _ isByRows: Bool, _ a: inout [Int32],
    _ scales: inout [Float]
  ) {
    if isByRows {
      for row in 0..<rows {
        var largest: Float = 0
        for i in row * k..<(row + 1) * k { largest = max(largest, abs(x[i])) }
        let inverse = largest < 1e-35 ? 0 : 127 / largest
        scales[row] = largest < 1e-35 ? 0 : largest / 127
        for i in row * k..<(row + 1) * k { a[i] = Int32(nearestInteger(x[i] * inverse)) }
      }
      return
    }
    let range = DynamicRange(x, rows * k)
    for row in 0..<rows { scales[row] = range.scale }
    for i in 0..<rows * k {
      let byte = quantized(x[i] / range.scale, zeroPoint: Float(range.zero), as: UInt8.self)
      a[i] = Int32(byte) - Int32(range.zero)
    }
  }
}

/// The scale and zero point that DynamicQuantizeLinear gives a tensor.
struct DynamicRange {
  let scale: Float
  let zero: UInt8

  init(_ x: UnsafePointer<Float>, _ count: Int) {
    var low: Float = 0
    var high: Float = 0
    slk_range_f32(x, count, &low, &high)
    self.init(low, high)
  }

  init(_ low: Float, _ high: Float) {
    let range = (high - low) / 255
    scale = range == 0 ? 1 : range
    zero = quantized(0 - low / scale, zeroPoint: 0, as: UInt8.self)
  }
}

/// The packed kernel behind QuantizedMatMul: 8-bit rows of A times packed B, scaled, and the rest of
/// the step while the sums are in registers. Weights whose zero points are not the middle of their
/// type are left to others.
private struct QuantizedProduct: Sendable {
  private let (rows, k, n): (Int, Int, Int)
  private let activation: FusedActivation
  private let isByRows: Bool
  private let isFloat: Bool
  private let isSigned: Bool
  private let packed: Tensor?
  private let output: ElementType
  private let (packRoom, byteRoom, scaleRoom, valueRoom, scratchByteCount):
    (Int, Int, Int, Int, Int)

  init?(_ preparation: Preparation) throws(StackLensError) {
    let (a, b) = (try preparation.input(0), try preparation.input(1))
    (k, n) = (b.shape[0], b.shape[1])
    rows = k == 0 ? 0 : a.shape.count / k
    guard rows > 0, n > 0, k < 1 << 16, n < 1 << 31 else { return nil }
    let isBSigned = b.elementType == .int8
    if preparation.hasInput(5) {
      guard let zero = preparation.constant(5),
        zeroPointParameters(zero).allSatisfy({ $0 == (isBSigned ? 0 : 128) })
      else { return nil }
    } else if !isBSigned {
      return nil
    }
    activation = try FusedActivation(preparation)
    isByRows = try preparation.flag("rows")
    isFloat = a.elementType == .float32
    isSigned = a.elementType == .int8
    output = preparation.outputs[0].elementType
    let (k, n) = (k, n)
    let byteCount = slk_gemm_i8_packed_bytes(k, n, 1)
    if let scales = preparation.constant(2) {
      // The packed form holds the scales as well, so its name has to tell them apart.
      let address = UInt(bitPattern: scales.base)
      packed = try preparation.packed(
        1, layout: "scaled integers \(k) \(n) \(address)", byteCount: byteCount
      ) { Self.pack($0, floatParameters(scales), k, n, preparation.parallel, to: $1) }
    } else {
      packed = nil
    }
    var plan = ScratchPlan()
    packRoom = try plan.reserve(packed == nil ? byteCount : 0, of: UInt8.self)
    byteRoom = try plan.reserve(
      try Shape([rows, slk_gemm_i8_row_bytes(k)]).count, of: UInt8.self)
    scaleRoom = try plan.reserve(rows, of: Float.self)
    valueRoom = try plan.reserve(
      output == .float32 ? 0 : preparation.outputs[0].shape.count, of: Float.self)
    scratchByteCount = plan.byteCount
  }

  private static func pack(
    _ b: Tensor, _ scales: [Float], _ k: Int, _ n: Int, _ parallel: Parallel,
    to target: UnsafeMutableRawPointer
  ) {
    parallel.ranges(slk_gemm_i8_panel_count(n), grain: 1) { range in
      slk_gemm_i8_pack_integers(
        b.base, b.elementType == .int8, k, n, n, 1, scales, scales.count == 1 ? 0 : 1, target,
        range.lowerBound, range.upperBound)
    }
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: scratchByteCount) { (run) throws(StackLensError) in
      try self.run(run)
    }
  }

  private func run(_ run: Invocation) throws(StackLensError) {
    func optional(_ index: Int) -> Tensor? { index < run.inputs.count ? run.inputs[index] : nil }
    if packed == nil {
      Self.pack(
        try run.input(1), floatParameters(try run.input(2)), k, n, run.parallel,
        to: run.scratch + packRoom)
    }
    let b = packed?.base ?? run.scratch + packRoom
    let (lines, zero) = try prepareRows(run, optional(3), optional(4))
    let scales = (run.scratch + scaleRoom).assumingMemoryBound(to: Float.self)
    let values =
      output == .float32
      ? run.outputs[0].floats : (run.scratch + valueRoom).assumingMemoryBound(to: Float.self)
    var epilogue = slk_epilogue_none()
    epilogue.bias = optional(6).map { UnsafePointer($0.floats) }
    epilogue.activation = activation.code
    (epilogue.activation_p, epilogue.activation_q) = activation.parameters
    if let residual = optional(7) {
      epilogue.residual = UnsafePointer(residual.floats)
      epilogue.residual_row_stride = n
      epilogue.residual_column_stride = 1
    }
    let cut = ProductCut(
      rows: rows, inner: k, columns: n, panels: slk_gemm_i8_panel_count(n),
      threadCount: run.parallel.threadCount)
    withUnsafePointer(to: epilogue) { epilogue in
      cut.forEach(run.parallel) { rows, panels in
        slk_gemm_i8(
          k, n, 1, lines, scales, zero, b, values, n, epilogue, rows.lowerBound,
          rows.upperBound, panels.lowerBound, panels.upperBound)
      }
    }
    guard output != .float32, let scale = optional(8).map({ floatParameters($0)[0] }) else {
      return
    }
    let (low, high): (Int32, Int32) = output == .int8 ? (-128, 127) : (0, 255)
    let yZero = zeroPointParameters(optional(9))[0]
    let y = run.outputs[0].base.assumingMemoryBound(to: UInt8.self)
    run.parallel.ranges(rows * n, grain: 1 << 15) { range in
      slk_quantise_f32(
        values + range.lowerBound, range.count, scale, yZero, low, high, y + range.lowerBound)
    }
  }

  /// The rows of A as the kernels read them, with the byte that stands for 0; their scales go into
  /// the scratch.
  private func prepareRows(
    _ run: Invocation, _ scale: Tensor?, _ zero: Tensor?
  ) throws(StackLensError) -> (lines: UnsafeRawPointer, zero: Int32) {
    let a = try run.input(0)
    let bytes = run.scratch + byteRoom
    let scales = (run.scratch + scaleRoom).assumingMemoryBound(to: Float.self)
    let rowBytes = slk_gemm_i8_row_bytes(k)
    let (k, grain) = (k, max(1, (1 << 14) / k))
    if isFloat {
      let x = a.floats
      if isByRows {
        run.parallel.ranges(rows, grain: grain) { range in
          let first = range.lowerBound
          slk_i8_quantise_rows(
            x + first * k, range.count, k, k, 1, bytes + first * rowBytes, scales + first)
        }
        return (UnsafeRawPointer(bytes), 128)
      }
      let range = DynamicRange(x, rows * k)
      scales.update(repeating: range.scale, count: rows)
      run.parallel.ranges(rows, grain: grain) { rows in
        let first = rows.lowerBound
        slk_i8_quantise_rows_by(
          x + first * k, rows.count, k, k, range.scale, Int32(range.zero),
          bytes + first * rowBytes)
      }
      return (UnsafeRawPointer(bytes), Int32(range.zero))
    }
    if let scale, scale.count == rows {
      scales.update(from: scale.floats, count: rows)
    } else {
      scales.update(repeating: scale.map { floatParameters($0)[0] } ?? 1, count: rows)
    }
    let byte = zeroPointParameters(zero)[0] + (isSigned ? 128 : 0)
    // Unsigned rows without filling lie as the kernels want them.
    if !isSigned, rowBytes == k { return (UnsafeRawPointer(a.base), byte) }
    let isSigned = isSigned
    run.parallel.ranges(rows, grain: grain) { range in
      let first = range.lowerBound
      slk_integer_rows(
        a.base + first * k, isSigned, range.count, k, k, bytes + first * rowBytes, nil)
    }
    return (UnsafeRawPointer(bytes), byte)
  }
}
