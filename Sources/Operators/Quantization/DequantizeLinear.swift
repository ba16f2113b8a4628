import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// y = (x - zero point) scale; one scale, one for each index of an axis, or one for each block.
  /// ONNX DequantizeLinear-28.
  static let dequantizeLinear = OperatorDefinition(
    "DequantizeLinear", versions: [10, 13, 19, 21, 23, 24, 25, 28], inputs: 2...3,
    attributes: [
      .int("axis", default: 1), .int("block_size", default: 0), .int("output_dtype", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: quantizedTypes + [.int32])
      let scale = try context.input(1, oneOf: [.float32, .float16, .bfloat16, .float8e8m0])
      _ = try QuantizationLayout(context, x: x.shape, scale: scale.shape)
      if context.hasInput(2) {
        _ = try context.sameElementType(0, 2)
        let zero = try context.input(2).shape
        guard zero == scale.shape || zero.count == 1 && scale.shape.count == 1 else {
          throw .shapeMismatch("zero point \(zero) and scale \(scale.shape) differ in shape")
        }
      }
      let type = try declaredType(context) ?? scale.elementType
      guard [.float32, .float16, .bfloat16].contains(type) else {
        throw .typeMismatch("cannot dequantise to \(type.name)")
      }
      return [TensorType(type, x.shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        switch try preparation.input(0).elementType {
        case .int8: return try dequantizeKernel(Int8.self, preparation)
        case .uint8: return try dequantizeKernel(UInt8.self, preparation)
        case .int16: return try dequantizeKernel(Int16.self, preparation)
        case .uint16: return try dequantizeKernel(UInt16.self, preparation)
        case .int32: return try dequantizeKernel(Int32.self, preparation)
        default: return try dequantizeSmall(preparation)
        }
      }
    ]),
    lower: lowerQuantization,
    gradient: .none(
      "the scales of quantised values are not trained", instead: "freeze them", inputs: 2),
    samples: [
      Sample([
        .random(.uint8, [2, 3, 4], low: 0, high: 255), .random(.float32, [], low: 0.01, high: 0.02),
        .random(.uint8, [], low: 99, high: 130),
      ]),
      Sample([
        .random(.int8, [2, 3, 4], low: -99, high: 99),
        .random(.float32, [3], low: 0.01, high: 0.02), .random(.int8, [3], low: -9, high: 9),
      ]),
      Sample(
        [.random(.int8, [2, 6], low: -99, high: 99), .random(.float32, [2, 3], low: 1, high: 2)],
        ["block_size": .int(2), "axis": .int(-1)]),
      Sample([.random(.int32, [0, 3], low: -9, high: 9), .random(.float32, [], low: 1, high: 2)]),
      Sample([
        .random(.int4, [2, 3], low: -8, high: 8), .random(.float32, [3], low: 1, high: 2),
        .random(.int4, [3], low: -2, high: 2),
      ]),
      Sample([
        .random(.float8e4m3fn, [5], low: -9, high: 9), .random(.float16, [], low: 1, high: 2),
      ]),
    ])

  /// For types of which the elements are codes.
  private static func dequantizeSmall(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let layout = try QuantizationLayout(
      preparation, x: preparation.input(0).shape, scale: preparation.input(1).shape)
    let hasZero = preparation.hasInput(2)
    var plan = ScratchPlan()
    let room = try plan.reserve(preparation.outputs[0], as: Float.self)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let x = try run.input(0)
      let y = Float.target(run.outputs[0], run.scratch + room)
      let scales = floatParameters(try run.input(1))
      let zeros = hasZero ? floatParameters(try run.input(2)) : [0]
      let zeroStep = zeros.count > 1 ? 1 : 0
      run.parallel.ranges(x.count, grain: cheapGrain) { range in
        convertElements(
          x.base + range.lowerBound, x.elementType, y + range.lowerBound, .float32, range.count)
      }
      layout.forEachRun { start, count, first, step in
        for i in start..<start + count {
          let index = first + (i - start) * step
          y[i] = (y[i] - zeros[index * zeroStep]) * scales[index]
        }
      }
      Float.store(y, run.outputs[0])
    }
  }

  private static func dequantizeKernel<Q: FixedWidthInteger & Sendable>(
    _ type: Q.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let layout = try QuantizationLayout(
      preparation, x: preparation.input(0).shape, scale: preparation.input(1).shape)
    let hasZero = preparation.hasInput(2)
    var plan = ScratchPlan()
    let room = try plan.reserve(preparation.outputs[0], as: Float.self)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let x = try run.input(0).base.assumingMemoryBound(to: Q.self)
      let y = Float.target(run.outputs[0], run.scratch + room)
      let scales = floatParameters(try run.input(1))
      let zeros = zeroPointParameters(hasZero ? try run.input(2) : nil)
      let zeroStep = zeros.count > 1 ? 1 : 0
      layout.forEachRun { start, count, first, step in
        if step == 0 && MemoryLayout<Q>.size < 4 {
          let scale = scales[first]
          let zero = zeros[first * zeroStep]
          run.parallel.ranges(count, grain: 1 << 15) { range in
            if MemoryLayout<Q>.size == 1 {
              slk_dequantise_bytes(
                UnsafeRawPointer(x + start + range.lowerBound).assumingMemoryBound(to: UInt8.self),
                Q.isSigned ? 1 : 0, range.count, scale, zero, y + start + range.lowerBound)
              return
            }
            for i in range {
              y[start + i] = Float(Int32(truncatingIfNeeded: x[start + i]) &- zero) * scale
            }
          }
          return
        }
        for i in 0..<count {
          let index = first + i * step
          let zero = Int64(zeros[index * zeroStep])
          y[start + i] = Float(Int64(x[start + i]) - zero) * scales[index]
        }
      }
      Float.store(y, run.outputs[0])
    }
  }
}
