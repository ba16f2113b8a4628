import Base
import Graphs
import Tensors

extension OperatorTable {
  /// Operators of any number of inputs that broadcast together, folded from the left.
  static let variadics: [OperatorDefinition] = [
    .variadic("Max", [1, 6, 8, 12, 13], .max, on: ElementType.numbers),
    .variadic("Min", [1, 6, 8, 12, 13], .min, on: ElementType.numbers),
    .variadic("Sum", [1, 6, 8, 13], .add, on: ElementType.reals),
    .variadic("Mean", [1, 6, 8, 13], .add, on: ElementType.reals, isMean: true),
  ]
}

extension OperatorDefinition {
  fileprivate static func variadic(
    _ name: String, _ versions: [Int], _ function: BinaryFunction, on types: [ElementType],
    isMean: Bool = false
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, versions: versions, inputs: 1...Int(Int32.max),
      infer: { (context) throws(StackLensError) in
        let first = try context.input(0, oneOf: types)
        var shape = first.shape
        for index in context.inputs.indices.dropFirst() {
          _ = try context.sameElementType(0, index)
          shape = try shape.broadcast(with: context.input(index).shape)
        }
        return [TensorType(first.elementType, shape)]
      },
      execution: .kernels([
        Kernel("vector") { (preparation) throws(StackLensError) in
          let type = try preparation.input(0).elementType
          guard let code = function.code, type == .float32 else { return nil }
          return try fold(preparation, isMean: isMean) { function.vectorRow(code, type, $0) }
        },
        .reference { (preparation) throws(StackLensError) in
          let type = try preparation.input(0).elementType
          return try fold(preparation, isMean: isMean) { function.referenceRow(type, $0) }
        },
      ]),
      lower: { (node, opset, rewriter) throws(StackLensError) in
        opset < 8 ? try lowerBroadcasting(node, opset, &rewriter) : [node]
      },
      gradient: function == .add ? .total(isMean: isMean) : .extreme,
      samples: [
        Sample([.floats(2, 3), .floats(3), .floats(2, 1)]), Sample([.floats(4, 5)]),
        Sample([.floats(), .floats(2, 3)]), Sample([.floats(0, 3), .floats(3)]),
        Sample([
          .random(.float16, [2, 3], low: -9, high: 9), .random(.float16, [3], low: 0, high: 9),
        ]),
        Sample([.floats(2, 40), .floats(2, 40), .floats(40), .floats(2, 40)]),
      ])
  }

  /// Before opset 8 all inputs had one shape; sums can be written as operators that broadcast.
  private static func lowerBroadcasting(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    let shapes = node.inputs.map { rewriter.dims(of: $0) }
    let isSame = shapes.allSatisfy { $0 == shapes[0] && $0?.contains(nil) == false }
    guard !isSame, node.inputs.count > 1 else { return [node] }
    guard node.opType == "Sum" else {
      throw .unsupported("\(node.opType) that broadcasts needs opset 8, not \(opset)")
    }
    var steps = Decomposition(node, opset)
    var sum = node.inputs[0]
    for input in node.inputs.dropFirst().dropLast() {
      sum = steps.apply("Add", [sum, input], &rewriter)
    }
    return steps.finish("Add", [sum, node.inputs[node.inputs.count - 1]])
  }

  /// Sums of more than two half-precision inputs round after every step, as the operators that
  /// this one stands for do.
  private static func fold(
    _ preparation: Preparation, isMean: Bool, _ body: @escaping @Sendable (BinaryRow) -> Void
  ) throws(StackLensError) -> PreparedKernel {
    let output = preparation.outputs[0]
    let type = output.elementType
    let first = try preparation.input(0).shape
    guard preparation.inputs.count > 1 else { return copied(type, first) }
    var pairs: [BroadcastLoop] = []
    for index in preparation.inputs.indices.dropFirst() {
      let left = index == 1 ? first : output.shape
      pairs.append(
        BroadcastLoop([left, try preparation.input(index).shape], to: output.shape))
    }
    let loops = pairs
    let divisor = Double(preparation.inputs.count)
    return PreparedKernel { (run) throws(StackLensError) in
      let y = run.outputs[0].base
      let size = type.byteSize
      for (index, loop) in loops.enumerated() {
        let (a, b) = (index == 0 ? try run.input(0).base : y, try run.input(index + 1).base)
        loop.run(run.parallel, grain: cheapGrain) { (starts, output, count) in
          body(
            BinaryRow(
              a: a + starts[0] * size, aStep: loop.rowStrides[0], b: b + starts[1] * size,
              bStep: loop.rowStrides[1], y: y + output * size, count: count))
        }
      }
      if isMean { scaleReals(type, y, run.outputs[0].count, 1 / divisor) }
    }
  }

  /// The only input as it is.
  private static func copied(_ type: ElementType, _ shape: Shape) -> PreparedKernel {
    let size = type.byteSize
    return PreparedKernel { (run) throws(StackLensError) in
      let (x, y) = (try run.input(0).base, run.outputs[0].base)
      run.parallel.ranges(shape.count, grain: cheapGrain) { range in
        (y + range.lowerBound * size).copyMemory(
          from: x + range.lowerBound * size, byteCount: range.count * size)
      }
    }
  }

  private static func scaleReals(
    _ type: ElementType, _ y: UnsafeMutableRawPointer, _ count: Int, _ factor: Double
  ) {
    func each<T: RealElement>(_: T.Type) {
      let values = y.assumingMemoryBound(to: T.self)
      for i in 0..<count { values[i] = T(rounding: values[i].double * factor) }
    }
    switch type {
    case .float32: each(Float.self)
    case .float64: each(Double.self)
    case .float16: each(Float16.self)
    default: each(BFloat16.self)
    }
  }
}
