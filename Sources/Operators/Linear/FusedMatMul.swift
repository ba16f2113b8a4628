import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// Y = activation(alpha A' B' + bias + residual), and 0 where gate is not above 0: a product with what
  /// follows it in one step, which may be the gradient of a ReLU whose value is the gate. bias has one
  /// value for each column, residual broadcasts with the product. With rounds_factors
  /// float32 factors are rounded to bfloat16, where the processor has such products. Made by the
  /// compile passes.
  static let fusedMatMul = OperatorDefinition(
    "FusedMatMul", domain: "ai.stacklens", versions: [1], inputs: 2...5,
    attributes: [
      .string("activation", default: "none"), .int("transA", default: 0),
      .int("transB", default: 0), .float("alpha", default: 1), .int("rounds_factors", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: [.float32, .float64, .float16, .bfloat16])
      _ = try context.sameElementType(0, 1, 2, 3, 4)
      _ = try FusedActivation(context)
      let (product, shape) = try fusedProduct(
        context, context.input(0).shape, context.input(1).shape)
      if context.hasInput(2) {
        let bias = try context.input(2).shape
        guard bias.dims == [product.n] else {
          throw .shapeMismatch("bias has shape \(bias), expected [\(product.n)]")
        }
      }
      let made = context.hasInput(3) ? try shape.broadcast(with: context.input(3).shape) : shape
      if context.hasInput(4) {
        let gate = try context.input(4).shape
        guard gate == made else {
          throw .shapeMismatch("gate has shape \(gate), expected \(made)")
        }
      }
      return [TensorType(type.elementType, made)]
    },
    execution: .kernels([
      Kernel("packed", prepare: fusedPacked),
      .reference { (preparation) throws(StackLensError) in
        try preparation.input(0).elementType == .float64
          ? try fusedReference(Double.self, preparation)
          : try fusedReference(Float.self, preparation)
      },
    ]),
    samples: [
      Sample([.floats(3, 4), .floats(4, 5), .floats(5)], ["activation": .string("gelu_erf")]),
      Sample(
        [.floats(2, 3, 4), .floats(5, 4), .absent, .floats(2, 3, 5)],
        ["activation": .string("relu"), "transB": .int(1), "alpha": .float(0.5)]),
      Sample(
        [.floats(9, 40), .floats(40, 50), .floats(50), .floats(9, 50)],
        ["activation": .string("silu")]),
      Sample([.floats(1, 40), .floats(50, 40)], ["transB": .int(1)]),
      Sample(
        [.floats(70, 20), .floats(70, 33), .floats(33), .floats(20, 33)],
        ["transA": .int(1), "alpha": .float(0.5)]),
      Sample(
        [.floats(3, 4), .floats(4, 5), .floats(5), .floats(2, 1, 5)],
        ["activation": .string("tanh")]),
      Sample([.floats(9, 40), .floats(40, 50), .absent, .absent, .floats(9, 50)]),
      Sample(
        [.floats(2, 3, 40), .floats(40, 20), .floats(20), .floats(2, 3, 20), .floats(2, 3, 20)],
        ["alpha": .float(0.5), "activation": .string("sigmoid")]),
      Sample([.floats(3, 4), .floats(4, 5), .absent, .floats(2, 1, 5), .floats(2, 3, 5)]),
    ])

  /// The contribution operator: alpha A' B' with the last two axes possibly swapped.
  static let contribFusedMatMul = OperatorDefinition(
    "FusedMatMul", domain: "com.microsoft", versions: [1], inputs: 2...2,
    attributes: [
      .float("alpha", default: 1), .int("transA", default: 0), .int("transB", default: 0),
      .int("transBatchA", default: 0), .int("transBatchB", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: [.float32, .float64, .float16, .bfloat16])
      _ = try context.sameElementType(0, 1)
      let (_, shape) = try contribProduct(context, context.input(0).shape, context.input(1).shape)
      return [TensorType(type.elementType, shape)]
    },
    execution: .kernels([
      Kernel("packed") { (preparation) throws(StackLensError) in
        try contribProduct(preparation, preparation.input(0).shape, preparation.input(1).shape)
          .product.packedKernel(preparation, alpha: preparation.float("alpha"))
      },
      .reference { (preparation) throws(StackLensError) in
        let (product, _) = try contribProduct(
          preparation, preparation.input(0).shape, preparation.input(1).shape)
        let alpha = try preparation.float("alpha")
        return try preparation.input(0).elementType == .float64
          ? try product.referenceKernel(Double.self, preparation, alpha: alpha)
          : try product.referenceKernel(Float.self, preparation, alpha: alpha)
      },
    ]),
    gradient: .fusedMatMul,
    samples: [
      Sample(
        [.floats(2, 4, 3), .floats(2, 4, 5)], ["transA": .int(1), "alpha": .float(0.25)]),
      Sample([.floats(3, 4), .floats(5, 4)], ["transB": .int(1)]),
      Sample(
        [.floats(3, 2, 4), .floats(4, 2, 5)],
        ["transBatchA": .int(1), "transBatchB": .int(1)]),
    ])

  private static func fusedProduct(
    _ view: some NodeView, _ a: Shape, _ b: Shape
  ) throws(StackLensError) -> (product: MatrixProduct, output: Shape) {
    guard b.rank > 1 else { throw .shapeMismatch("B has shape \(b), expected rank 2 or more") }
    return try MatrixProduct.make(a, b, transA: view.flag("transA"), transB: view.flag("transB"))
  }

  private static func contribProduct(
    _ view: some NodeView, _ a: Shape, _ b: Shape
  ) throws(StackLensError) -> (product: MatrixProduct, output: Shape) {
    try MatrixProduct.make(
      a, b, transA: view.flag("transA"), transB: view.flag("transB"),
      batchLastA: view.flag("transBatchA"), batchLastB: view.flag("transBatchB"))
  }

  private static func fusedPacked(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    guard try preparation.input(0).elementType == .float32 else { return nil }
    let (product, shape) = try fusedProduct(
      preparation, preparation.input(0).shape, preparation.input(1).shape)
    let activation = try FusedActivation(preparation)
    let alpha = try preparation.float("alpha")
    var plan = ScratchPlan()
    let spread = try SpreadResidual(preparation, product: shape, Float.self, &plan)
    let rounds = try preparation.flag("rounds_factors") && slk_cpu_has_bf16()
    let packed = try PackedProduct(
      product, packedB: rounds ? nil : product.packConstant(preparation), roundsFactors: rounds,
      threadCount: preparation.threadCount, plan: &plan)
    let hasBias = preparation.hasInput(2)
    let hasResidual = preparation.hasInput(3)
    let hasGate = preparation.hasInput(4)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      var epilogue = ProductEpilogue(alpha: alpha, activation: activation)
      if hasBias { epilogue.bias = Float.load(try run.input(2), run.scratch) }
      let y = Float.target(run.outputs[0], run.scratch)
      let residual = hasResidual ? Float.load(try run.input(3), run.scratch) : nil
      if let residual, spread == nil {
        epilogue.residual = residual
        (epilogue.residualRow, epilogue.residualColumn) = (product.n, 1)
      }
      let gate = hasGate ? try run.input(4).floats : nil
      if spread != nil {
        epilogue.activation = .none
      } else if let gate {
        (epilogue.gate, epilogue.gateRow) = (UnsafePointer(gate), product.n)
      }
      packed.compute(
        Float.load(try run.input(0), run.scratch), Float.load(try run.input(1), run.scratch),
        spread?.target(run) ?? y, epilogue, run.scratch, run.parallel)
      if let spread, let residual {
        spread.add(residual, to: y, run)
        activation.apply(y, run.outputs[0].count)
        if let gate { close(y, gate, run.outputs[0].count) }
      }
    }
  }

  /// Leaves 0 where a gate is not above 0.
  private static func close<T: ComputeElement & BinaryFloatingPoint>(
    _ y: UnsafeMutablePointer<T>, _ gate: UnsafePointer<T>, _ count: Int
  ) {
    for i in 0..<count where !(gate[i] > 0) { y[i] = 0 }
  }

  private static func fusedReference<T: ComputeElement & BinaryFloatingPoint>(
    _ type: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (product, shape) = try fusedProduct(
      preparation, preparation.input(0).shape, preparation.input(1).shape)
    let activation = try FusedActivation(preparation)
    let alpha = try preparation.float("alpha")
    var plan = ScratchPlan()
    var rooms: [Int] = []
    for input in preparation.inputs {
      rooms.append(
        try input.map { (input) throws(StackLensError) in
          try plan.reserve(input, as: type)
        } ?? 0)
    }
    let yRoom = try plan.reserve(preparation.outputs[0], as: type)
    let inputRooms = rooms
    let spread = try SpreadResidual(preparation, product: shape, type, &plan)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let operands = zip(run.inputs, inputRooms).map { tensor, room in
        tensor.map { T.load($0, run.scratch + room) }
      }
      guard let a = operands[0], let b = operands[1] else {
        throw .invalidArgument("a factor is missing")
      }
      let bias = operands.count > 2 ? operands[2] : nil
      let residual = operands.count > 3 ? operands[3] : nil
      let y = T.target(run.outputs[0], run.scratch + yRoom)
      let sums = spread?.target(run) ?? y
      product.computeReference(a, b, sums, run.parallel)
      for i in 0..<shape.count {
        sums[i] = sums[i].scaled(by: alpha)
        if let bias { sums[i] += bias[i % product.n] }
        if let residual, spread == nil { sums[i] += residual[i] }
      }
      if let spread, let residual { spread.add(residual, to: y, run) }
      if activation != .none {
        for i in 0..<run.outputs[0].count { y[i] = T(activation(Double(y[i]))) }
      }
      if operands.count > 4, let gate = operands[4] { close(y, gate, run.outputs[0].count) }
      T.store(y, run.outputs[0])
    }
  }
}

/// A residual of another shape than the product: the product is kept apart until both are added.
private struct SpreadResidual<T: ComputeElement>: Sendable {
  private let room: Int
  private let loop: BroadcastLoop

  /// Nil where there is no residual or its shape is the product's.
  init?(
    _ preparation: Preparation, product: Shape, _: T.Type, _ plan: inout ScratchPlan
  ) throws(StackLensError) {
    guard preparation.hasInput(3) else { return nil }
    let residual = try preparation.input(3).shape
    guard residual != product else { return nil }
    room = try plan.reserve(product.count, of: T.self)
    loop = BroadcastLoop([product, residual], to: preparation.outputs[0].shape)
  }

  /// Where the product goes.
  func target(_ run: Invocation) -> UnsafeMutablePointer<T> {
    (run.scratch + room).assumingMemoryBound(to: T.self)
  }

  func add(_ residual: UnsafePointer<T>, to y: UnsafeMutablePointer<T>, _ run: Invocation) {
    let sums = target(run)
    let strides = loop.rowStrides
    loop.run(run.parallel, grain: cheapGrain) { starts, output, count in
      let (left, right) = (sums + starts[0], residual + starts[1])
      for i in 0..<count {
        y[output + i] = T.add(left[i * strides[0]], right[i * strides[1]])
      }
    }
  }
}
