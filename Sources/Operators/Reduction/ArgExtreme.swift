import Base
import Graphs
import Tensors

extension OperatorTable {
  static let reduction: [OperatorDefinition] =
    reductions + [
      .argExtreme("ArgMax", isMax: true), .argExtreme("ArgMin", isMax: false),
      .cumulative("CumSum", [11, 14], isProduct: false),
      .cumulative("CumProd", [26], isProduct: true),
    ]
}

extension OperatorDefinition {
  /// The index of the greatest or least element along an axis, the first or the last of equal
  /// ones; NaN wins over every number.
  fileprivate static func argExtreme(_ name: String, isMax: Bool) -> OperatorDefinition {
    OperatorDefinition(
      name, versions: [1, 11, 12, 13], inputs: 1...1,
      attributes: [
        .int("axis", default: 0), .int("keepdims", default: 1),
        .int("select_last_index", default: 0),
      ],
      infer: { (context) throws(StackLensError) in
        let input = try context.input(0, oneOf: ElementType.numbers)
        let (axis, shape) = try nonScalar(context, input.shape)
        var dims = shape.dims
        if try context.flag("keepdims") { dims[axis] = 1 } else { dims.remove(at: axis) }
        if input.rank == 0 { dims = [] }
        let output = try Shape(dims)
        guard shape[axis] > 0 || output.count == 0 else {
          throw .shapeMismatch("\(name) along the empty axis \(axis) of \(input.shape)")
        }
        return [TensorType(.int64, output)]
      },
      execution: .kernels([
        .reference { (preparation) throws(StackLensError) in
          switch try preparation.input(0).elementType {
          case .float32, .float16, .bfloat16:
            try argKernel(Float.self, preparation, isMax) { $0.isNaN }
          case .float64: try argKernel(Double.self, preparation, isMax) { $0.isNaN }
          case .uint64: try argKernel(UInt64.self, preparation, isMax) { _ in false }
          default: try argKernel(Int64.self, preparation, isMax) { _ in false }
          }
        }
      ]),
      lower: dropAttribute("select_last_index", before: 12) { $0.isInt(0) },
      gradient: .zero,
      samples: [
        Sample([.floats(3, 4, 5)], ["axis": .int(1)]),
        Sample([.floats(3, 40)], ["axis": .int(-1), "keepdims": .int(0)]),
        Sample([.random(.int32, [4, 9], low: 0, high: 3)], ["select_last_index": .int(1)]),
        Sample([.floats(0, 4)], ["axis": .int(1)]), Sample([.floats()]),
        Sample([.floats()], ["axis": .int(-1), "keepdims": .int(0)]),
      ])
  }

  /// The axis attribute and the shape, a scalar seen as one element.
  private static func nonScalar(
    _ view: some NodeView, _ shape: Shape
  ) throws(StackLensError) -> (axis: Int, shape: Shape) {
    let shape = shape.rank == 0 ? try Shape([1]) : shape
    return (try view.axis("axis", rank: shape.rank), shape)
  }

  private static func argKernel<T: Comparable & TensorElement>(
    _: T.Type, _ preparation: Preparation, _ isMax: Bool,
    _ isNaN: @escaping @Sendable (T) -> Bool
  ) throws(StackLensError) -> PreparedKernel {
    let (axis, shape) = try nonScalar(preparation, preparation.input(0).shape)
    let layout = AxisLayout(shape, axis: axis)
    let takesLast = try preparation.flag("select_last_index")
    return try wideKernel(T.self, preparation, outputs: 0) { (wide) throws(StackLensError) in
      let x = try wide.input(0)
      let y = wide.run.outputs[0].base.assumingMemoryBound(to: Int64.self)
      wide.run.parallel.ranges(layout.outer * layout.inner, grain: layout.grain) { range in
        for line in range {
          let (block, column) = line.quotientAndRemainder(dividingBy: layout.inner)
          var place = block * layout.length * layout.inner + column
          var best = x[place]
          var index = 0
          for i in 1..<max(1, layout.length) {
            place += layout.inner
            let value = x[place]
            let isBetter = isMax ? value > best : value < best
            if isBetter || (takesLast && value == best)
              || (isNaN(value) && (takesLast || !isNaN(best)))
            {
              if isNaN(best) && !isNaN(value) { continue }
              (best, index) = (value, i)
            }
          }
          y[line] = Int64(index)
        }
      }
    }
  }
}
