import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// y = saturate(round(x / scale) + zero point), halves to even; one scale, one for each index of an
  /// axis, or one for each block. Floating-point types are rounded to instead. ONNX
  /// QuantizeLinear-28.
  static let quantizeLinear = OperatorDefinition(
    "QuantizeLinear", versions: [10, 13, 19, 21, 23, 24, 25, 28], inputs: 2...3,
    attributes: [
      .int("axis", default: 1), .int("saturate", default: 1), .int("block_size", default: 0),
      .int("output_dtype", default: 0), .int("precision", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: [.float32, .float16, .bfloat16, .int32])
      let scale = try context.input(
        1, oneOf: [.float32, .float16, .bfloat16, .int32, .float8e8m0])
      _ = try QuantizationLayout(context, x: x.shape, scale: scale.shape)
      _ = try quotientType(context, scale.elementType)
      var type = try declaredType(context) ?? .uint8
      if context.hasInput(2) {
        let zero = try context.input(2)
        guard zero.shape == scale.shape || zero.shape.count == 1 && scale.shape.count == 1 else {
          throw .shapeMismatch("zero point \(zero.shape) and scale \(scale.shape) differ in shape")
        }
        if try context.int("output_dtype") != 0, zero.elementType != type {
          throw .typeMismatch(
            "zero point is \(zero.elementType.name) but output_dtype says \(type.name)")
        }
        type = zero.elementType
      }
      guard quantizedTypes.contains(type) else {
        throw .unsupported("QuantizeLinear to \(type.name)")
      }
      return [TensorType(type, x.shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        switch preparation.outputs[0].elementType {
        case .int8, .int4, .int2: return try quantizeKernel(Int8.self, preparation)
        case .uint8, .uint4, .uint2: return try quantizeKernel(UInt8.self, preparation)
        case .int16: return try quantizeKernel(Int16.self, preparation)
        case .uint16: return try quantizeKernel(UInt16.self, preparation)
        default: return try quantizeToFloats(preparation)
        }
      }
    ]),
    lower: lowerQuantization, gradient: .quantised,
    samples: [
      Sample([.floats(2, 3, 4), .random(.float32, [], low: 0.01, high: 0.02)]),
      Sample([
        .floats(2, 3, 4), .random(.float32, [3], low: 0.01, high: 0.02),
        .random(.int8, [3], low: -9, high: 9),
      ]),
      Sample(
        [.floats(2, 6), .random(.float32, [2, 2], low: 0.01, high: 0.02)],
        ["block_size": .int(3), "axis": .int(-1)]),
      Sample([.floats(0, 3), .random(.float32, [], low: 0.01, high: 0.02)]),
      Sample([
        .floats(7), .random(.float32, [], low: 0.1, high: 0.2),
        .random(.int4, [], low: -1, high: 2),
      ]),
      Sample(
        [.floats(7), .random(.float32, [], low: 0.001, high: 0.002)],
        ["output_dtype": .int(17), "saturate": .int(0)]),
    ])

  /// The type that attribute `output_dtype` names, nil for 0.
  static func declaredType(_ view: some NodeView) throws(StackLensError) -> ElementType? {
    let code = try view.int("output_dtype")
    if code == 0 { return nil }
    guard let narrow = Int32(exactly: code), let type = ElementType(rawValue: narrow) else {
      throw .unsupported("element type number \(code) in attribute 'output_dtype'")
    }
    return type
  }

  /// The type whose precision the division has.
  static func quotientType(
    _ view: some NodeView, _ scale: ElementType
  ) throws(StackLensError) -> ElementType {
    let code = try view.int("precision")
    if code == 0 { return scale == .float8e8m0 ? .float32 : scale }
    guard let narrow = Int32(exactly: code), let type = ElementType(rawValue: narrow),
      [.float32, .float16, .bfloat16].contains(type)
    else { throw .unsupported("element type number \(code) in attribute 'precision'") }
    return type
  }

  static let lowerQuantization: Convert = { (node, opset, rewriter) throws(StackLensError) in
    var node = node
    let introduced = [
      ("saturate", 19, Int64(1)), ("block_size", 21, 0), ("output_dtype", 21, 0),
      ("precision", 23, 0),
    ]
    for (name, first, value) in introduced where opset < first {
      if case .int(let found)? = node.attributes[name], found != value {
        throw .unsupported(
          "attribute '\(name)' = \(found) needs opset \(first), asked for \(opset)")
      }
      node.attributes[name] = nil
    }
    if case .int(let code)? = node.attributes["output_dtype"] {
      try Int32(exactly: code).flatMap(ElementType.init(rawValue:))?.check(isIn: opset)
    }
    if node.opType == "DequantizeLinear", opset < 23,
      case .int(let type)? =
        node.attributes["output_dtype"], type != 0
    {
      throw .unsupported("attribute 'output_dtype' needs opset 23, asked for \(opset)")
    }
    if node.opType == "DequantizeLinear" { node.attributes["saturate"] = nil }
    if opset < 13 {
      guard node.inputs.count > 1, let scale = rewriter.value(of: node.inputs[1]), scale.count == 1
      else {
        throw .unsupported("a scale that is not one constant needs opset 13, asked for \(opset)")
      }
      node.attributes["axis"] = nil
    }
    return [node]
  }

  private static func quantizeKernel<Q: FixedWidthInteger & Sendable>(
    _ type: Q.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    let input = try preparation.input(0)
    let scaleType = try preparation.input(1)
    let layout = try QuantizationLayout(preparation, x: input.shape, scale: scaleType.shape)
    let precision = try quotientType(preparation, scaleType.elementType)
    let hasZero = preparation.hasInput(2)
    var plan = ScratchPlan()
    let room = try plan.reserve(
      input.elementType == .float32 ? 0 : input.shape.count, of: Float.self)
    let type = preparation.outputs[0].elementType
    guard let limits = type.smallIntegerRange else { return nil }
    let (low, high) = (Float(limits.lowerBound), Float(limits.upperBound))
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let x = floats(try run.input(0), run.scratch + room)
      let y = run.outputs[0].base.assumingMemoryBound(to: Q.self)
      let scales = floatParameters(try run.input(1))
      let zeros = zeroPointParameters(hasZero ? try run.input(2) : nil).map { Float($0) }
      let zeroStep = zeros.count > 1 ? 1 : 0
      layout.forEachRun { start, count, first, step in
        if step == 0 && precision == .float32 {
          let scale = scales[first]
          let zero = zeros[first * zeroStep]
          run.parallel.ranges(count, grain: 1 << 15) { range in
            if MemoryLayout<Q>.size == 1 {
              slk_quantise_f32(
                x + start + range.lowerBound, range.count, scale, Int32(zero), limits.lowerBound,
                limits.upperBound,
                run.outputs[0].base.assumingMemoryBound(to: UInt8.self) + start + range.lowerBound)
              return
            }
            for i in range {
              y[start + i] = quantized(
                x[start + i] / scale, zeroPoint: zero, low: low, high: high, as: Q.self)
            }
          }
          return
        }
        for i in 0..<count {
          let index = first + i * step
          let quotient = rounded(x[start + i] / scales[index], to: precision)
          y[start + i] = quantized(
            quotient, zeroPoint: zeros[index * zeroStep], low: low, high: high, as: Q.self)
        }
      }
      if type.isPacked { type.storeSmallIntegers(y, to: y, run.outputs[0].count) }
    }
  }

  private static func quantizeToFloats(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let input = try preparation.input(0)
    let scaleType = try preparation.input(1)
    let layout = try QuantizationLayout(preparation, x: input.shape, scale: scaleType.shape)
    let precision = try quotientType(preparation, scaleType.elementType)
    let rounding = SmallFloatRounding(saturates: try preparation.flag("saturate"))
    let hasZero = preparation.hasInput(2)
    var plan = ScratchPlan()
    let room = try plan.reserve(
      input.elementType == .float32 ? 0 : input.shape.count, of: Float.self)
    let quotientRoom = try plan.reserve(input.shape.count, of: Double.self)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let x = floats(try run.input(0), run.scratch + room)
      let quotients = (run.scratch + quotientRoom).assumingMemoryBound(to: Double.self)
      let scales = floatParameters(try run.input(1))
      let zeros = hasZero ? floatParameters(try run.input(2)) : [0]
      let zeroStep = zeros.count > 1 ? 1 : 0
      layout.forEachRun { start, count, first, step in
        for i in 0..<count {
          let index = first + i * step
          let quotient = rounded(x[start + i] / scales[index], to: precision)
          quotients[start + i] = Double(quotient + zeros[index * zeroStep])
        }
      }
      let output = run.outputs[0]
      run.parallel.ranges(output.count, grain: costlyGrain) { range in
        output.elementType.storeSmallFloats(
          quotients + range.lowerBound, to: output.base + range.lowerBound, range.count, rounding)
      }
    }
  }

  /// The elements as float32, in place where they are.
  private static func floats(
    _ tensor: Tensor, _ room: UnsafeMutableRawPointer
  ) -> UnsafePointer<Float> {
    if tensor.elementType != .float32 {
      convertElements(tensor.base, tensor.elementType, room, .float32, tensor.count)
    }
    let base = tensor.elementType == .float32 ? tensor.base : room
    return UnsafePointer(base.assumingMemoryBound(to: Float.self))
  }

  /// Quantises to uint8 with the range of the data, made to include 0; gives the values, the scale
  /// and the zero point. ONNX DynamicQuantizeLinear-11.
  static let dynamicQuantizeLinear = OperatorDefinition(
    "DynamicQuantizeLinear", versions: [11], inputs: 1...1, outputs: 3...3,
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: [.float32])
      return [
        TensorType(.uint8, x.shape), TensorType(.float32, .scalar), TensorType(.uint8, .scalar),
      ]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        PreparedKernel { (run) throws(StackLensError) in
          let tensor = try run.input(0)
          let x = tensor.base.assumingMemoryBound(to: Float.self)
          let y = run.outputs[0].base.assumingMemoryBound(to: UInt8.self)
          var low: Float = 0
          var high: Float = 0
          for i in 0..<tensor.count {
            low = x[i] < low ? x[i] : low
            high = x[i] > high ? x[i] : high
          }
          let range = (high - low) / 255
          let scale: Float = range == 0 ? 1 : range
          let zero = quantized(0 - low / scale, zeroPoint: 0, as: UInt8.self)
          run.parallel.ranges(tensor.count, grain: 1 << 15) { range in
            slk_quantise_f32(
              x + range.lowerBound, range.count, scale, Int32(zero), 0, 255, y + range.lowerBound)
          }
          run.outputs[1].base.storeBytes(of: scale, as: Float.self)
          run.outputs[2].base.storeBytes(of: zero, as: UInt8.self)
        }
      }
    ]),
    gradient: .quantised,
    samples: [
      Sample([.floats(3, 5)], outputs: 3), Sample([.floats(0)], outputs: 3),
      Sample([.floats()], outputs: 3),
    ])
}
