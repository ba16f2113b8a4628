import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Sums of products by Einstein's convention: `ij,jk->ik`, with `...` for broadcast axes, repeated
  /// letters for diagonals, and an implicit output. ONNX Einsum-28.
  static let einsum = OperatorDefinition(
    "Einsum", versions: [12, 28], inputs: 1...Int.max,
    attributes: [.required("equation", .string)],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0).elementType
      guard type.isNumeric else { throw .typeMismatch("cannot multiply \(type.name)") }
      for index in 1..<max(1, context.inputs.count) { _ = try context.sameElementType(0, index) }
      var shapes: [Shape] = []
      for index in context.inputs.indices { shapes.append(try context.input(index).shape) }
      let equation = try EinsumEquation(context.string("equation"), shapes)
      return [TensorType(type, try equation.outputShape)]
    },
    execution: .kernels([
      Kernel("packed", prepare: einsumPacked),
      .reference { (preparation) throws(StackLensError) in
        switch try ComputeKind(preparation.input(0).elementType) {
        case .float: return try einsumReference(Float.self, preparation)
        case .double: return try einsumReference(Double.self, preparation)
        case .integer: return try einsumReference(Int64.self, preparation)
        }
      },
    ]),
    gradient: .einsum,
    samples: [
      Sample([.floats(2, 3, 4, 5), .floats(2, 3, 6, 5)], ["equation": .string("bhid,bhjd->bhij")]),
      Sample([.floats(3, 4), .floats(4, 5)], ["equation": .string("ij,jk")]),
      Sample([.floats(5, 5)], ["equation": .string("ii->i")]),
      Sample([.floats(5, 5)], ["equation": .string("ii")]),
      Sample([.floats(3, 4)], ["equation": .string("ij->ji")]),
      Sample([.floats(2, 3, 4), .floats(4, 5)], ["equation": .string("...i,ij->...j")]),
      Sample([.floats(3), .floats(4), .floats(3, 4)], ["equation": .string("i,j,ij->")]),
      Sample([.floats(0, 4), .floats(4, 5)], ["equation": .string("ij,jk->ik")]),
    ])

  private static func equation(_ preparation: Preparation) throws(StackLensError) -> EinsumEquation
  {
    var shapes: [Shape] = []
    for index in preparation.inputs.indices { shapes.append(try preparation.input(index).shape) }
    return try EinsumEquation(preparation.string("equation"), shapes)
  }

  private static func einsumReference<T: ComputeElement>(
    _ type: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let equation = try equation(preparation)
    var plan = ScratchPlan()
    var rooms: [Int] = []
    for index in preparation.inputs.indices {
      rooms.append(try plan.reserve(preparation.input(index), as: type))
    }
    let yRoom = try plan.reserve(preparation.outputs[0], as: type)
    let inputRooms = rooms
    let count = preparation.outputs[0].shape.count
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let y = T.target(run.outputs[0], run.scratch + yRoom)
      guard count > 0 else { return }
      var operands: [UnsafePointer<T>] = []
      for (index, room) in inputRooms.enumerated() {
        operands.append(T.load(try run.input(index), run.scratch + room))
      }
      let factors = operands
      run.parallel.ranges(count, grain: 256) { range in
        for index in range { y[index] = equation.element(index, factors) }
      }
      T.store(y, run.outputs[0])
    }
  }

  /// One factor or two contract to a batch of matrix products.
  private static func einsumPacked(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    guard try preparation.input(0).elementType == .float32, preparation.inputs.count == 2 else {
      return nil
    }
    let equation = try equation(preparation)
    guard let product = equation.matrixProduct else { return nil }
    var plan = ScratchPlan()
    let packed = try PackedProduct(
      product, packedB: product.packConstant(preparation), threadCount: preparation.threadCount,
      plan: &plan)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      packed.compute(
        Float.load(try run.input(0), run.scratch), Float.load(try run.input(1), run.scratch),
        Float.target(run.outputs[0], run.scratch), ProductEpilogue(), run.scratch, run.parallel)
    }
  }
}

extension EinsumEquation {
  /// Element `index` of the output, summing with the last label fastest.
  func element<T: ComputeElement>(_ index: Int, _ factors: [UnsafePointer<T>]) -> T {
    var offsets = [Int](repeating: 0, count: factors.count)
    var rest = index
    for label in output.reversed() {
      let position = rest % extents[label]
      rest /= extents[label]
      for factor in offsets.indices { offsets[factor] += position * strides[factor][label] }
    }
    let summed = summed
    var sum = T.zero
    guard !summed.contains(where: { extents[$0] == 0 }) else { return sum }
    var position = [Int](repeating: 0, count: summed.count)
    while true {
      var product = factors[0][offsets[0]]
      for factor in 1..<max(1, factors.count) {
        product = T.multiply(product, factors[factor][offsets[factor]])
      }
      sum = T.add(sum, product)
      var axis = summed.count - 1
      while axis >= 0 {
        let label = summed[axis]
        position[axis] += 1
        for factor in offsets.indices { offsets[factor] += strides[factor][label] }
        if position[axis] < extents[label] { break }
        for factor in offsets.indices { offsets[factor] -= extents[label] * strides[factor][label] }
        position[axis] = 0
        axis -= 1
      }
      if axis < 0 { return sum }
    }
  }

  /// The equation of two operands as a batch of matrix products that read them in place, or nil:
  /// the output must list batch, row and column labels in this order, and each kind of label must
  /// step evenly.
  var matrixProduct: MatrixProduct? {
    guard mentions.count == 2, !extents.contains(0) else { return nil }
    let left = mentions[0]
    let right = mentions[1]
    let columns = output.reversed().prefix { right[$0] && !left[$0] }.reversed()
    let rows = output.dropLast(columns.count).reversed().prefix { left[$0] && !right[$0] }
      .reversed()
    let batch = output.dropLast(columns.count + rows.count)
    let inner = summed
    guard inner.allSatisfy({ left[$0] && right[$0] || extents[$0] == 1 }),
      let (m, aRow) = collapse(Array(rows), 0), let (n, bColumn) = collapse(Array(columns), 1)
    else { return nil }
    // The inner labels may be taken in any order that steps evenly in both operands.
    let ordered = inner.filter { extents[$0] != 1 }.sorted { strides[0][$0] > strides[0][$1] }
    guard let (k, aColumn) = collapse(ordered, 0), let (_, bRow) = collapse(ordered, 1) else {
      return nil
    }
    return MatrixProduct(
      m: m, n: n, k: k, batchDims: batch.map { extents[$0] },
      aBatchStrides: batch.map { strides[0][$0] }, bBatchStrides: batch.map { strides[1][$0] },
      aRow: aRow, aColumn: k == 1 ? 1 : aColumn, bRow: bRow, bColumn: bColumn)
  }

  /// Extent and step of several labels taken as one, nil when they do not step evenly.
  private func collapse(_ labels: [Int], _ operand: Int) -> (count: Int, stride: Int)? {
    var count = 1
    var stride = 0
    for label in labels.reversed() where extents[label] != 1 {
      if count == 1 {
        stride = strides[operand][label]
      } else if strides[operand][label] != stride * count {
        return nil
      }
      count *= extents[label]
    }
    return (count, stride)
  }
}
