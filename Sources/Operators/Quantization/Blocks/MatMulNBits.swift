import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// A · Wᵀ + bias, where W [N, K] has 2, 4 or 8 bits a weight and a scale and zero point for each
  /// block of a row. Inputs: A, W [N, blocks, bytes of a block], scales [N, blocks], zero points
  /// (packed like W, or one number each; the middle of the codes where there are none), the block of
  /// each index along K (optional), bias [N] (optional).
  ///
  /// At accuracy level 4 A is rounded to 8 bits, block by block, where W has 4.
  static let matMulNBits = OperatorDefinition(
    "MatMulNBits", domain: runtimeDomain, versions: [1], inputs: 3...6,
    attributes: [
      .required("K", .int), .required("N", .int), .required("block_size", .int),
      .int("bits", default: 4), .int("accuracy_level", default: 0),
      .int("weight_prepacked", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let a = try context.input(0, oneOf: [.float32, .float16, .bfloat16])
      let weights = try BlockWeights(context, bits: context.int("bits"))
      guard try context.int("weight_prepacked") == 0 else {
        throw .unsupported("weights in the private layout of another runtime (weight_prepacked)")
      }
      _ = try context.input(1, oneOf: [.uint8])
      _ = try context.sameElementType(0, 2, 5)
      try context.check(1, holds: weights.n * weights.rowByteCount)
      try context.check(2, holds: weights.n * weights.blockCount)
      if context.hasInput(3) {
        let zeros = try context.input(3, oneOf: [.uint8, .float32, .float16, .bfloat16])
        try context.check(
          3,
          holds: weights.n
            * (zeros.elementType == .uint8 ? weights.zeroByteCount : weights.blockCount))
      }
      if context.hasInput(4) {
        let count = try context.input(4, oneOf: [.int32]).shape.count
        guard count == weights.k || count == weights.paddedK else {
          throw .shapeMismatch("input 4 has \(count) elements, expected \(weights.k)")
        }
      }
      if context.hasInput(5) { try context.check(5, holds: weights.n) }
      return [try blockProductType(a, weights)]
    },
    execution: .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        if preparation.hasInput(4) { return nil }
        let weights = try BlockWeights(preparation, bits: preparation.int("bits"))
        var plan = ScratchPlan()
        let product = try PackedBlockProduct(
          preparation, weights, b: 1, scale: 2, zero: preparation.hasInput(3) ? 3 : nil,
          isInteger: preparation.int("accuracy_level") == 4, plan: &plan)
        return try blockKernel(preparation, product, bias: 5, plan)
      },
      .reference { (preparation) throws(StackLensError) in
        let weights = try BlockWeights(preparation, bits: preparation.int("bits"))
        return try plainBlockKernel(preparation, bias: 5) { (run) throws(StackLensError) in
          var groups: [Int]?
          if run.inputs.count > 4, let tensor = run.inputs[4] {
            let given = try tensor.integers()
            guard given.allSatisfy({ $0 >= 0 && $0 < weights.blockCount }) else {
              throw .invalidArgument("input 4 names blocks outside [0, \(weights.blockCount))")
            }
            groups = given
          }
          let zeros = run.inputs.count > 3 ? run.inputs[3] : nil
          return weights.numbers(
            try run.input(1), scales: floatParameters(try run.input(2)),
            zeros: zeros.map { weights.zeroPoints($0) }, groups: groups)
        }
      },
    ]),
    gradient: .matMulNBits,
    samples: [
      Sample(
        [.floats(3, 40), .bytes(5, 3, 8), .scale(5, 3), .bytes(5, 2), .absent, .floats(5)],
        ["K": .int(40), "N": .int(5), "block_size": .int(16)]),
      Sample(
        [.floats(2, 1, 32), .bytes(20, 1, 32), .scale(20, 1)],
        ["K": .int(32), "N": .int(20), "block_size": .int(32), "bits": .int(8)]),
      Sample(
        [.floats(9, 32), .bytes(20, 1, 8), .scale(20), .random(.float32, [20], low: 0, high: 3)],
        ["K": .int(32), "N": .int(20), "block_size": .int(32), "bits": .int(2)]),
    ])

  /// A · Wᵀ, where the weights are codes of 4 bits that stand for the values of a table: FP4
  /// (`quant_type` 0) or NF4 (1), times the largest magnitude of their block. Blocks run over W [N, K]
  /// row by row.
  static let matMulBnb4 = OperatorDefinition(
    "MatMulBnb4", domain: runtimeDomain, versions: [1], inputs: 3...3,
    attributes: [
      .required("K", .int), .required("N", .int), .required("block_size", .int),
      .required("quant_type", .int), .int("training_mode", default: 0), .int("transB", default: 1),
    ],
    infer: { (context) throws(StackLensError) in
      let a = try context.input(0, oneOf: [.float32, .float16, .bfloat16])
      _ = try context.input(1, oneOf: [.uint8])
      _ = try context.sameElementType(0, 2)
      let weights = try BlockWeights(context, bits: 4)
      let kind = try context.int("quant_type")
      guard kind == 0 || kind == 1 else {
        throw .invalidArgument("attribute 'quant_type' is \(kind), expected 0 (FP4) or 1 (NF4)")
      }
      guard try context.flag("transB") else { throw .unsupported("MatMulBnb4 with transB = 0") }
      let count = weights.n * weights.k
      try context.check(1, holds: (count + 1) / 2)
      try context.check(2, holds: (count + weights.block - 1) / weights.block)
      return [try blockProductType(a, weights)]
    },
    execution: .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        let weights = try BlockWeights(preparation, bits: 4)
        guard weights.k == weights.paddedK else { return nil }
        var plan = ScratchPlan()
        let product = try PackedBlockProduct(
          preparation, weights, b: 1, scale: 2, zero: nil,
          codebook: preparation.int("quant_type") == 0 ? fp4Values : nf4Values,
          swapsNibbles: true, plan: &plan)
        return try blockKernel(preparation, product, bias: nil, plan)
      },
      .reference { (preparation) throws(StackLensError) in
        let weights = try BlockWeights(preparation, bits: 4)
        let values = try preparation.int("quant_type") == 0 ? fp4Values : nf4Values
        return try plainBlockKernel(preparation, bias: nil) { (run) throws(StackLensError) in
          let bytes = try run.input(1).base.assumingMemoryBound(to: UInt8.self)
          let largest = floatParameters(try run.input(2))
          return (0..<weights.n * weights.k).map { index in
            let code = index % 2 == 0 ? bytes[index / 2] >> 4 : bytes[index / 2] & 15
            return values[Int(code)] * largest[index / weights.block]
          }
        }
      },
    ]),
    gradient: .matMulBnb4,
    samples: [
      Sample(
        [.floats(3, 32), .bytes(80), .scale(10)],
        ["K": .int(32), "N": .int(5), "block_size": .int(16), "quant_type": .int(1)]),
      Sample(
        [.floats(2, 5), .bytes(8), .scale(1)],
        ["K": .int(5), "N": .int(3), "block_size": .int(16), "quant_type": .int(0)]),
    ])

  private static let fp4Values: [Float] = [
    0, 0.005208333, 0.6666667, 1, 0.33333334, 0.5, 0.16666667, 0.25,
    0, -0.005208333, -0.6666667, -1, -0.33333334, -0.5, -0.16666667, -0.25,
  ]
  private static let nf4Values: [Float] = [
    -1, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.091050036, 0,
    0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1,
  ]

  private static func blockProductType(
    _ a: TensorType, _ weights: BlockWeights
  ) throws(StackLensError) -> TensorType {
    guard a.rank >= 1, a.shape[a.rank - 1] == weights.k else {
      throw .shapeMismatch("A has shape \(a.shape), expected \(weights.k) along the last axis")
    }
    return TensorType(a.elementType, try Shape(a.shape.dims.dropLast() + [weights.n]))
  }

  private static func blockKernel(
    _ preparation: Preparation, _ product: PackedBlockProduct, bias: Int?, _ plan: ScratchPlan
  ) throws(StackLensError) -> PreparedKernel {
    var plan = plan
    let yRoom = try plan.reserve(preparation.outputs[0], as: Float.self)
    let biasRoom = try plan.reserve(product.weights.n, of: Float.self)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let y = Float.target(run.outputs[0], run.scratch + yRoom)
      let zeros = run.inputs.count > 3 ? run.inputs[3] : nil
      let given = bias.flatMap { $0 < run.inputs.count ? run.inputs[$0] : nil }
      product.compute(
        try run.input(0), codes: try run.input(1), scales: try run.input(2), zeros: zeros,
        bias: given.map { Float.load($0, run.scratch + biasRoom) }, y: y, scratch: run.scratch,
        parallel: run.parallel)
      Float.store(y, run.outputs[0])
    }
  }

  /// The product with weights that `numbers` gives as [N, K].
  private static func plainBlockKernel(
    _ preparation: Preparation, bias: Int?,
    numbers: @escaping @Sendable (Invocation) throws(StackLensError) -> [Float]
  ) throws(StackLensError) -> PreparedKernel {
    let (n, k) = (try preparation.int("N"), try preparation.int("K"))
    let rows = try preparation.input(0).shape.count / k
    var plan = ScratchPlan()
    let aRoom = try plan.reserve(preparation.input(0), as: Float.self)
    let yRoom = try plan.reserve(preparation.outputs[0], as: Float.self)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let weights = try numbers(run)
      let a = Float.load(try run.input(0), run.scratch + aRoom)
      let y = Float.target(run.outputs[0], run.scratch + yRoom)
      let given = bias.flatMap { $0 < run.inputs.count ? run.inputs[$0] : nil }
      let offsets = given.map { floatParameters($0) }
      run.parallel.ranges(rows * n, grain: max(1, (1 << 14) / k)) { range in
        for index in range {
          let (row, column) = index.quotientAndRemainder(dividingBy: n)
          var sum = 0.0
          for i in 0..<k { sum += Double(a[row * k + i]) * Double(weights[column * k + i]) }
          y[index] = Float(sum + Double(offsets?[column] ?? 0))
        }
      }
      Float.store(y, run.outputs[0])
    }
  }
}

extension Inference {
  /// Checks the number of elements of an input.
  func check(_ index: Int, holds count: Int) throws(StackLensError) {
    let shape = try input(index).shape
    guard shape.count == count else {
      throw .shapeMismatch("input \(index) has shape \(shape), expected \(count) elements")
    }
  }
}
