import Base
import CKernels
import Graphs
import Tensors

extension OperatorTable {
  static let quantization: [OperatorDefinition] = [
    .quantizeLinear, .dequantizeLinear, .dynamicQuantizeLinear, .matMulInteger, .qLinearMatMul,
    .convInteger, .qLinearConv, .qLinearAdd, .qLinearMul, .qLinearGlobalAveragePool,
    .qLinearAveragePool, .dynamicQuantizeMatMul, .matMulIntegerToFloat, .qGemm,
    .dynamicQuantizeLSTM, .contribQuantizeLinear, .contribDequantizeLinear, .qLinearSigmoid,
    .qLinearLeakyRelu, .qLinearSoftmax, .qLinearReduceMean, .qLinearConcat, .qLinearWhere,
    .contribQLinearConv, .qEmbedLayerNormalization, .matMulNBits, .matMulBnb4,
    .gatherBlockQuantized, .quantizedMatMul, .quantizeRows, .byteTable,
    .bfloat16MatMul, .qAttention,
  ]
}

/// A value in units of the output scale, rounded (halves to even), moved by the zero point and
/// saturated. NaN gives the lowest value.
@inline(__always) func quantizedExactly<Q: FixedWidthInteger>(
  _ value: Double, zeroPoint: Double, as type: Q.Type
) -> Q {
  let limit = 1_048_576.0
  let bounded = value > -limit ? (value < limit ? value : limit) : -limit
  let rounded = (bounded + 6_755_399_441_055_744) - 6_755_399_441_055_744 + zeroPoint
  return Q(min(max(rounded, Double(Q.min)), Double(Q.max)))
}

extension OperatorDefinition {
  /// Quantised a + b with NumPy broadcasting; the sum is exact before its one rounding.
  static let qLinearAdd = quantizedBinary("QLinearAdd", isProduct: false)

  /// Quantised a * b with NumPy broadcasting; the product is exact before its one rounding.
  static let qLinearMul = quantizedBinary("QLinearMul", isProduct: true)

  private static func quantizedBinary(_ name: String, isProduct: Bool) -> OperatorDefinition {
    OperatorDefinition(
      name, domain: "com.microsoft", versions: [1], inputs: 7...8,
      infer: { (context) throws(StackLensError) in
        let a = try context.input(0, oneOf: byteTypes)
        let b = try context.input(3)
        _ = try context.sameElementType(0, 2, 3, 5, 7)
        for index in [1, 4, 6] { _ = try context.input(index, oneOf: [.float32]) }
        try context.checkSingle(1, 2, 4, 5, 6, 7)
        return [TensorType(a.elementType, try a.shape.broadcast(with: b.shape))]
      },
      execution: .kernels([
        Kernel("vector") { (preparation) throws(StackLensError) in
          try quantizedBinaryVector(isProduct, preparation)
        },
        .reference { (preparation) throws(StackLensError) in
          preparation.outputs[0].elementType == .int8
            ? try quantizedBinaryKernel(Int8.self, isProduct, preparation)
            : try quantizedBinaryKernel(UInt8.self, isProduct, preparation)
        },
      ]),
      samples: [
        Sample([
          .random(.uint8, [2, 3, 4], low: 0, high: 255),
          .random(.float32, [], low: 0.01, high: 0.02), .random(.uint8, [], low: 99, high: 130),
          .random(.uint8, [3, 1], low: 0, high: 255),
          .random(.float32, [], low: 0.01, high: 0.02), .random(.uint8, [], low: 99, high: 130),
          .random(.float32, [], low: 0.02, high: 0.03), .random(.uint8, [], low: 99, high: 130),
        ]),
        Sample([
          .random(.int8, [], low: -9, high: 9), .random(.float32, [], low: 1, high: 2), .absent,
          .random(.int8, [0], low: -9, high: 9), .random(.float32, [], low: 1, high: 2), .absent,
          .random(.float32, [], low: 1, high: 2), .absent,
        ]),
      ])
  }

  /// In float32, with the quotients of scales taken first.
  private static func quantizedBinaryVector(
    _ isProduct: Bool, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let shape = preparation.outputs[0].shape
    let (a, b) = (try preparation.input(0).shape, try preparation.input(3).shape)
    let loop = BroadcastLoop([a, b], to: shape)
    let strides = loop.rowStrides
    let isSigned = preparation.outputs[0].elementType == .int8
    return PreparedKernel { (run) throws(StackLensError) in
      func zero(_ index: Int) -> Int32 {
        zeroPointParameters(index < run.inputs.count ? run.inputs[index] : nil)[0]
      }
      let a = try run.input(0).base.assumingMemoryBound(to: UInt8.self)
      let b = try run.input(3).base.assumingMemoryBound(to: UInt8.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: UInt8.self)
      let aScale = floatParameters(try run.input(1))[0]
      let bScale = floatParameters(try run.input(4))[0]
      let yScale = floatParameters(try run.input(6))[0]
      let how = slk_byte_pairs(
        is_signed: isSigned ? 1 : 0, is_product: isProduct ? 1 : 0,
        a_factor: (isProduct ? aScale * bScale : aScale) / yScale, b_factor: bScale / yScale,
        a_zero: zero(2), b_zero: zero(5), zero: zero(7), low: isSigned ? -128 : 0,
        high: isSigned ? 127 : 255)
      withUnsafePointer(to: how) { how in
        loop.run(run.parallel, grain: cheapGrain) { starts, output, count in
          slk_combine_bytes(
            how, a + starts[0], strides[0], b + starts[1], strides[1], y + output, count)
        }
      }
    }
  }

  private static func quantizedBinaryKernel<Q: FixedWidthInteger & Sendable>(
    _ type: Q.Type, _ isProduct: Bool, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let shape = preparation.outputs[0].shape
    let aSteps = try preparation.input(0).shape.broadcastStrides(to: shape)
    let bSteps = try preparation.input(3).shape.broadcastStrides(to: shape)
    let inner = shape.dims.last ?? 1
    let rowCount = inner == 0 ? 0 : shape.count / inner
    return PreparedKernel { (run) throws(StackLensError) in
      func zero(_ index: Int) -> Double {
        let tensor = index < run.inputs.count ? run.inputs[index] : nil
        return Double(zeroPointParameters(tensor)[0])
      }
      let a = try run.input(0).base.assumingMemoryBound(to: Q.self)
      let b = try run.input(3).base.assumingMemoryBound(to: Q.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: Q.self)
      let aScale = Double(floatParameters(try run.input(1))[0])
      let bScale = Double(floatParameters(try run.input(4))[0])
      let yScale = Double(floatParameters(try run.input(6))[0])
      let (aZero, bZero, yZero) = (zero(2), zero(5), zero(7))
      let aStep = aSteps.last ?? 0
      let bStep = bSteps.last ?? 0
      run.parallel.ranges(rowCount, grain: max(1, (1 << 13) / max(1, inner))) { rows in
        for row in rows {
          var rest = row
          var left = a
          var right = b
          for axis in (0..<max(0, shape.rank - 1)).reversed() {
            left += rest % shape[axis] * aSteps[axis]
            right += rest % shape[axis] * bSteps[axis]
            rest /= shape[axis]
          }
          for i in 0..<inner {
            let p = aScale * (Double(left[i * aStep]) - aZero)
            let q = bScale * (Double(right[i * bStep]) - bZero)
            y[row * inner + i] = quantizedExactly(
              (isProduct ? p * q : p + q) / yScale, zeroPoint: yZero, as: Q.self)
          }
        }
      }
    }
  }
}
