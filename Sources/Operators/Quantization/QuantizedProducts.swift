import Base
import CKernels
import Graphs
import Tensors

/// How a scale or zero point lies over the rows of A (or the columns of B) in a batch of products.
enum LineParameter: Sendable {
  case single
  /// One for each row (column) of a matrix, the same in every batch entry.
  case lines
  /// One for each row (column) of every batch entry.
  case batchedLines

  /// - Parameters:
  ///   - factor: the shape of A or B.
  ///   - isRight: B, whose lines are its columns.
  init(_ shape: Shape, factor: Shape, isRight: Bool) throws(StackLensError) {
    let lineAxis = isRight ? factor.rank - 1 : factor.rank - 2
    if shape.count == 1 {
      self = .single
    } else if factor.rank >= 2, shape.dims == [factor[lineAxis]] {
      self = .lines
    } else {
      var expected = factor.dims
      if factor.rank >= 2 { expected[isRight ? factor.rank - 2 : factor.rank - 1] = 1 }
      guard factor.rank >= 2, shape.dims == expected else {
        throw .shapeMismatch("a scale or zero point of shape \(shape) does not fit \(factor)")
      }
      self = .batchedLines
    }
  }

  @inline(__always) func index(batch: Int, line: Int, lineCount: Int) -> Int {
    switch self {
    case .single: 0
    case .lines: line
    case .batchedLines: batch * lineCount + line
    }
  }
}

extension OperatorDefinition {
  /// int32 matrix product of 8-bit integers less their zero points. ONNX MatMulInteger-10.
  static let matMulInteger = OperatorDefinition(
    "MatMulInteger", versions: [10], inputs: 2...4,
    infer: { (context) throws(StackLensError) in
      let a = try context.input(0, oneOf: byteTypes)
      let b = try context.input(1, oneOf: byteTypes)
      _ = try context.sameElementType(0, 2)
      _ = try context.sameElementType(1, 3)
      let (_, shape) = try MatrixProduct.make(a.shape, b.shape)
      if context.hasInput(2) {
        _ = try LineParameter(context.input(2).shape, factor: a.shape, isRight: false)
      }
      if context.hasInput(3) {
        _ = try LineParameter(context.input(3).shape, factor: b.shape, isRight: true)
      }
      return [TensorType(.int32, shape)]
    },
    execution: .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        try matMulIntegerKernel(preparation, isPacked: true)
      },
      .reference { (preparation) throws(StackLensError) in
        try matMulIntegerKernel(preparation, isPacked: false)
      },
    ]),
    samples: [
      Sample([
        .random(.uint8, [2, 3, 4], low: 0, high: 255),
        .random(.int8, [4, 5], low: -127, high: 127),
        .random(.uint8, [], low: 9, high: 99), .random(.int8, [5], low: -9, high: 9),
      ]),
      Sample([
        .random(.int8, [3, 4], low: -127, high: 127), .random(.int8, [4, 5], low: -127, high: 127),
      ]),
      Sample([.random(.int8, [2, 0], low: 0, high: 1), .random(.int8, [0, 3], low: 0, high: 1)]),
    ])

  private static func matMulIntegerKernel(
    _ preparation: Preparation, isPacked: Bool
  ) throws(StackLensError) -> PreparedKernel? {
    let hasAZero = preparation.hasInput(2)
    let hasBZero = preparation.hasInput(3)
    var plan = ScratchPlan()
    let product = try IntegerProduct(
      preparation, a: 0, b: 1, aZero: hasAZero ? preparation.input(2).shape : nil,
      bZero: hasBZero ? preparation.input(3).shape : nil, isPacked: isPacked, plan: &plan)
    guard let product else { return nil }
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      product.compute(
        a: try run.input(0), b: try run.input(1),
        aZero: zeroPointParameters(hasAZero ? try run.input(2) : nil),
        bZero: zeroPointParameters(hasBZero ? try run.input(3) : nil),
        into: run.outputs[0].base.assumingMemoryBound(to: Int32.self), scratch: run.scratch,
        parallel: run.parallel)
    }
  }

  /// The matrix product of quantised factors, quantised: exact int32 sums, one rounding at the end.
  /// With 8-bit floats among the types the sums are float32. ONNX QLinearMatMul-21.
  static let qLinearMatMul = OperatorDefinition(
    "QLinearMatMul", versions: [10, 21], inputs: 8...8,
    infer: { (context) throws(StackLensError) in
      let types = byteTypes + ElementType.eightBitFloats
      let a = try context.input(0, oneOf: types)
      let b = try context.input(3, oneOf: types)
      for index in [1, 4, 6] {
        _ = try context.input(index, oneOf: [.float32, .float16, .bfloat16])
      }
      _ = try context.sameElementType(0, 2)
      _ = try context.sameElementType(3, 5)
      let type = try context.input(7, oneOf: types).elementType
      let (_, shape) = try MatrixProduct.make(a.shape, b.shape)
      for index in [1, 2] {
        _ = try LineParameter(context.input(index).shape, factor: a.shape, isRight: false)
      }
      for index in [4, 5] {
        _ = try LineParameter(context.input(index).shape, factor: b.shape, isRight: true)
      }
      for index in [6, 7] {
        _ = try LineParameter(context.input(index).shape, factor: shape, isRight: false)
      }
      return [TensorType(type, shape)]
    },
    execution: .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        try qLinearMatMulKernel(preparation, isPacked: true)
      },
      .reference { (preparation) throws(StackLensError) in
        if let kernel = try qLinearMatMulKernel(preparation, isPacked: false) { return kernel }
        return try qLinearMatMulOfFloats(preparation)
      },
    ]),
    samples: [
      Sample([
        .random(.uint8, [2, 3, 4], low: 0, high: 255), .random(.float32, [], low: 0.01, high: 0.02),
        .random(.uint8, [], low: 99, high: 130), .random(.int8, [4, 5], low: -127, high: 127),
        .random(.float32, [5], low: 0.01, high: 0.02), .random(.int8, [5], low: -9, high: 9),
        .random(.float32, [], low: 0.05, high: 0.06), .random(.uint8, [], low: 99, high: 130),
      ]),
      Sample([
        .random(.int8, [0, 4], low: 0, high: 1), .random(.float32, [], low: 1, high: 2),
        .random(.int8, [], low: 0, high: 1), .random(.int8, [4, 5], low: -9, high: 9),
        .random(.float32, [], low: 1, high: 2), .random(.int8, [], low: 0, high: 1),
        .random(.float32, [], low: 1, high: 2), .random(.int8, [], low: 0, high: 1),
      ]),
      Sample([
        .random(.float8e4m3fn, [2, 3, 4], low: -9, high: 9), .random(.float32, [], low: 1, high: 2),
        .random(.float8e4m3fn, [], low: 0, high: 1), .random(.int8, [4, 5], low: -9, high: 9),
        .random(.float32, [5], low: 1, high: 2), .random(.int8, [5], low: 0, high: 2),
        .random(.float32, [], low: 1, high: 2), .random(.float8e5m2, [], low: 0, high: 1),
      ]),
    ])

  /// Nil where one of the types is no integer.
  private static func qLinearMatMulKernel(
    _ preparation: Preparation, isPacked: Bool
  ) throws(StackLensError) -> PreparedKernel? {
    for index in [0, 3, 7] {
      guard byteTypes.contains(try preparation.input(index).elementType) else { return nil }
    }
    return preparation.outputs[0].elementType == .int8
      ? try qLinearMatMulKernel(Int8.self, preparation, isPacked: isPacked)
      : try qLinearMatMulKernel(UInt8.self, preparation, isPacked: isPacked)
  }

  private static func qLinearMatMulKernel<Q: FixedWidthInteger & Sendable>(
    _ type: Q.Type, _ preparation: Preparation, isPacked: Bool
  ) throws(StackLensError) -> PreparedKernel? {
    let (a, b) = (try preparation.input(0).shape, try preparation.input(3).shape)
    let output = preparation.outputs[0].shape
    var plan = ScratchPlan()
    let integers = try IntegerProduct(
      preparation, a: 0, b: 3, aZero: preparation.input(2).shape,
      bZero: preparation.input(5).shape, isPacked: isPacked, plan: &plan)
    guard let integers else { return nil }
    let sums = try plan.reserve(output.count, of: Int32.self)
    let aScale = try LineParameter(preparation.input(1).shape, factor: a, isRight: false)
    let bScale = try LineParameter(preparation.input(4).shape, factor: b, isRight: true)
    let yScale = try LineParameter(preparation.input(6).shape, factor: output, isRight: false)
    let yZero = try LineParameter(preparation.input(7).shape, factor: output, isRight: false)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let y = run.outputs[0].base.assumingMemoryBound(to: UInt8.self)
      let sums = (run.scratch + sums).bindMemory(to: Int32.self, capacity: output.count)
      integers.compute(
        a: try run.input(0), b: try run.input(3), aZero: zeroPointParameters(try run.input(2)),
        bZero: zeroPointParameters(try run.input(5)), into: sums, scratch: run.scratch,
        parallel: run.parallel)
      let (aScales, bScales) = (
        floatParameters(try run.input(1)), floatParameters(try run.input(4))
      )
      let yScales = floatParameters(try run.input(6))
      let yZeros = zeroPointParameters(try run.input(7))
      let product = integers.product
      let (m, n, k) = (product.m, product.n, product.k)
      let rows = product.isEmpty ? 0 : product.batchCount * m
      let (low, high) = (Int32(Q.min), Int32(Q.max))
      run.parallel.ranges(rows, grain: max(1, (1 << 14) / max(1, n))) { range in
        var scales = [Float](repeating: 0, count: n)
        for row in range {
          let (batch, i) = row.quotientAndRemainder(dividingBy: m)
          let offset = product.offsets(batch)
          let aBatch = k == 0 ? 0 : offset.a / (m * k)
          let bBatch = k == 0 ? 0 : offset.b / (n * k)
          let left = aScales[aScale.index(batch: aBatch, line: i, lineCount: m)]
          let target = yScales[yScale.index(batch: batch, line: i, lineCount: m)]
          let zero = yZeros[yZero.index(batch: batch, line: i, lineCount: m)]
          for j in 0..<n {
            let right = bScales[bScale.index(batch: bBatch, line: j, lineCount: n)]
            scales[j] = left * right / target
          }
          slk_quantise_i32_by(sums + row * n, n, scales, zero, low, high, y + row * n)
        }
      }
    }
  }
}
