import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Running sums or products along the axis that input 1 names.
  static func cumulative(
    _ name: String, _ versions: [Int], isProduct: Bool
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, versions: versions, inputs: 2...2,
      attributes: [.int("exclusive", default: 0), .int("reverse", default: 0)],
      infer: { (context) throws(StackLensError) in
        let axis = try context.input(1, oneOf: [.int32, .int64])
        guard axis.shape.count == 1 else {
          throw .shapeMismatch("axis is \(axis), expected a scalar")
        }
        return [try context.input(0, oneOf: ElementType.numbers)]
      },
      execution: .kernels([
        .reference { (preparation) throws(StackLensError) in
          switch (try preparation.input(0).elementType.isFloat, isProduct) {
          case (true, false): try cumulativeKernel(0.0, preparation) { $0 + $1 }
          case (true, true): try cumulativeKernel(1.0, preparation) { $0 * $1 }
          case (false, false): try cumulativeKernel(Int64(0), preparation) { $0 &+ $1 }
          case (false, true): try cumulativeKernel(Int64(1), preparation) { $0 &* $1 }
          }
        }
      ]),
      lower: { (node, opset, rewriter) throws(StackLensError) in
        isProduct && opset < 26 ? try lowerProduct(node, opset, &rewriter) : [node]
      },
      gradient: isProduct ? .cumProd : .cumSum,
      samples: [
        Sample([.floats(3, 4, 5), .ints([1])]),
        Sample([.floats(3, 4), .ints([-1])], ["exclusive": .int(1)]),
        Sample([.floats(7), .ints([0])], ["reverse": .int(1)]),
        Sample(
          [.random(.int32, [2, 5], low: -3, high: 3), .ints([1])],
          ["reverse": .int(1), "exclusive": .int(1)]),
        Sample([.floats(0, 4), .ints([1])]),
      ])
  }

  /// In older operators: a Scan that carries the product of one slice.
  private static func lowerProduct(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    guard opset >= 11,
      let axis = rewriter.value(of: node.inputs[1])?.real.flatMap({ Int64(exactly: $0) }),
      axis.magnitude < 64, let type = rewriter.elementType(of: node.inputs[0])
    else {
      throw .unsupported("CumProd along a computed axis cannot be written for opset \(opset)")
    }
    var steps = Decomposition(node, opset)
    let shape = steps.apply("Shape", [node.inputs[0]], &rewriter)
    let zero = try rewriter.ints([0], "zero")
    var parts = [
      steps.apply("Slice", [shape, zero, try rewriter.ints([axis], "axis")], &rewriter)
    ]
    if axis != -1 {
      let (next, end) = (try rewriter.ints([axis + 1], "next"), try rewriter.ints([.max], "end"))
      parts.append(steps.apply("Slice", [shape, next, end], &rewriter))
    }
    let slice = steps.apply("Concat", parts, ["axis": .int(0)], &rewriter)
    let unit = try Tensor(uninitialized: type, Shape([1]))
    withUnsafeBytes(of: 1.0) { one in
      if let one = one.baseAddress { convertElements(one, .float64, unit.base, type, 1) }
    }
    let ones = steps.apply("ConstantOfShape", [slice], ["value": .tensor(unit)], &rewriter)

    let names = ["before", "item", "product", "kept"].map { rewriter.fresh($0) }
    let isExclusive = node.isSet("exclusive")
    var body = Graph(name: "product")
    body.inputs = names[0...1].map { ValueInfo($0, .tensor(type, nil)) }
    body.outputs = names[2...3].map { ValueInfo($0, .tensor(type, nil)) }
    body.nodes = [
      Node("Mul", inputs: [names[0], names[1]], outputs: [names[2]]),
      Node("Identity", inputs: [isExclusive ? names[0] : names[2]], outputs: [names[3]]),
    ]
    let back: Int64 = node.isSet("reverse") ? 1 : 0
    var scan = Node(
      "Scan", inputs: [ones, node.inputs[0]], outputs: [rewriter.fresh("last"), node.outputs[0]],
      attributes: [
        "body": .graph(body), "num_scan_inputs": .int(1), "scan_input_axes": .ints([axis]),
        "scan_output_axes": .ints([axis]), "scan_input_directions": .ints([back]),
        "scan_output_directions": .ints([back]),
      ])
    scan.name = node.name
    return steps.nodes + [scan]
  }

  @inline(__always)
  private static func cumulativeKernel<T: TensorElement>(
    _ unit: T, _ preparation: Preparation,
    _ combine: @escaping @Sendable (T, T) -> T
  ) throws(StackLensError) -> PreparedKernel {
    let isExclusive = try preparation.flag("exclusive")
    let isReverse = try preparation.flag("reverse")
    return try wideKernel(T.self, preparation, inputs: 1) { (wide) throws(StackLensError) in
      let shape = try wide.run.input(0).shape
      let named = try wide.run.input(1).integers()[0]
      if shape.rank == 0 {
        wide.outputs[0].pointee = isExclusive ? unit : try wide.input(0).pointee
        return
      }
      let layout = AxisLayout(shape, axis: try shape.axis(named))
      let (x, y) = (try wide.input(0), wide.outputs[0])
      layout.forEachLine(wide.run.parallel) { start in
        var total = unit
        for step in 0..<layout.length {
          let place = start + (isReverse ? layout.length - 1 - step : step) * layout.inner
          let next = combine(total, x[place])
          y[place] = isExclusive ? total : next
          total = next
        }
      }
    }
  }
}
