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
      gradient: isProduct ? nil : .cumSum,
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
