import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Y = alpha A' B' + beta C, A' and B' possibly transposed, C broadcast to Y. ONNX Gemm-13.
  static let gemm = OperatorDefinition(
    "Gemm", versions: [6, 7, 9, 11, 13], inputs: 2...3,
    attributes: [
      .float("alpha", default: 1), .float("beta", default: 1), .int("transA", default: 0),
      .int("transB", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let type = try productType(context)
      let (_, shape) = try gemmProduct(
        context, context.input(0).shape, context.input(1).shape)
      if context.hasInput(2) {
        _ = try context.sameElementType(0, 2)
        let addend = try context.input(2).shape
        guard addend.rank <= 2, try addend.broadcast(with: shape) == shape else {
          throw .shapeMismatch("C of shape \(addend) does not broadcast to \(shape)")
        }
      }
      return [TensorType(type, shape)]
    },
    execution: .kernels([
      Kernel("packed", prepare: gemmPacked),
      .reference { (preparation) throws(StackLensError) in
        switch try ComputeKind(preparation.input(0).elementType) {
        case .float: return try gemmReference(Float.self, preparation)
        case .double: return try gemmReference(Double.self, preparation)
        case .integer: return try gemmReference(Int64.self, preparation)
        }
      },
    ]),
    lift: liftWithout(before: 7, ["broadcast"]),
    lower: { (node, opset, _) throws(StackLensError) in
      guard opset >= 11 || (node.inputs.count == 3 && !node.inputs[2].isEmpty) else {
        throw .unsupported("Gemm without C needs opset 11 or newer, asked for \(opset)")
      }
      return [node]
    },
    gradient: .gemm,
    samples: [
      Sample([.floats(3, 4), .floats(4, 5), .floats(5)]),
      Sample(
        [.floats(4, 3), .floats(5, 4), .floats(3, 1)],
        ["transA": .int(1), "transB": .int(1), "alpha": .float(0.5), "beta": .float(2)]),
      Sample([.floats(3, 4), .floats(4, 5)]),
      Sample([.floats(3, 4), .floats(4, 5), .floats()]),
      Sample([.floats(20, 33), .floats(70, 33), .floats(20, 70)], ["transB": .int(1)]),
      Sample([.floats(2, 0), .floats(0, 3), .floats(2, 3)]),
    ])

  static func gemmProduct(
    _ view: some NodeView, _ a: Shape, _ b: Shape
  ) throws(StackLensError) -> (product: MatrixProduct, output: Shape) {
    guard a.rank == 2, b.rank == 2 else {
      throw .shapeMismatch("Gemm multiplies matrices, found shapes \(a) and \(b)")
    }
    return try MatrixProduct.make(
      a, b, transA: view.flag("transA"), transB: view.flag("transB"))
  }

  private static func gemmReference<T: ComputeElement>(
    _ type: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (product, shape) = try gemmProduct(
      preparation, preparation.input(0).shape, preparation.input(1).shape)
    let alpha = try preparation.float("alpha")
    let beta = try preparation.float("beta")
    let hasAddend = preparation.hasInput(2)
    var plan = ScratchPlan()
    let aRoom = try plan.reserve(preparation.input(0), as: type)
    let bRoom = try plan.reserve(preparation.input(1), as: type)
    let addendRoom = hasAddend ? try plan.reserve(preparation.input(2), as: type) : 0
    let strides =
      hasAddend ? try preparation.input(2).shape.broadcastStrides(to: shape) : [0, 0]
    let yRoom = try plan.reserve(preparation.outputs[0], as: type)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let a = T.load(try run.input(0), run.scratch + aRoom)
      let b = T.load(try run.input(1), run.scratch + bRoom)
      let y = T.target(run.outputs[0], run.scratch + yRoom)
      product.computeReference(a, b, y, run.parallel)
      if alpha != 1 {
        for i in 0..<shape.count { y[i] = y[i].scaled(by: alpha) }
      }
      if hasAddend {
        let c = T.load(try run.input(2), run.scratch + addendRoom)
        for i in 0..<product.m {
          for j in 0..<product.n {
            let addend = c[i * strides[0] + j * strides[1]].scaled(by: beta)
            y[i * product.n + j] = T.add(y[i * product.n + j], addend)
          }
        }
      }
      T.store(y, run.outputs[0])
    }
  }

  private static func gemmPacked(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    guard try preparation.input(0).elementType == .float32 else { return nil }
    let (product, shape) = try gemmProduct(
      preparation, preparation.input(0).shape, preparation.input(1).shape)
    let alpha = try preparation.float("alpha")
    let beta = try preparation.float("beta")
    let hasAddend = preparation.hasInput(2)
    let strides =
      hasAddend ? try preparation.input(2).shape.broadcastStrides(to: shape) : [0, 0]
    var plan = ScratchPlan()
    let packed = try PackedProduct(
      product, packedB: product.packConstant(preparation), threadCount: preparation.threadCount,
      plan: &plan)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      var epilogue = ProductEpilogue(alpha: alpha)
      if hasAddend {
        let addend = Float.load(try run.input(2), run.scratch)
        if beta == 1, strides[0] == 0, strides[1] == 1 {
          epilogue.bias = addend
        } else {
          epilogue.residual = addend
          (epilogue.residualRow, epilogue.residualColumn) = (strides[0], strides[1])
          epilogue.beta = beta
        }
      }
      packed.compute(
        Float.load(try run.input(0), run.scratch), Float.load(try run.input(1), run.scratch),
        Float.target(run.outputs[0], run.scratch), epilogue, run.scratch, run.parallel)
    }
  }
}
