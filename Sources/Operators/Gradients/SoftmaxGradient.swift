import Base
import CKernels
import Glibc
import Graphs
import Tensors

extension OperatorDefinition {
  /// Back through Softmax or, where `is_log` is set, LogSoftmax along one axis: from g and the
  /// result y, y (g - Σ g y) or g - exp(y) Σ g.
  static let softmaxGradient = OperatorDefinition(
    "SoftmaxGradient", domain: "ai.stacklens", versions: [1], inputs: 2...2,
    attributes: [.int("axis", default: -1), .int("is_log", default: 0)],
    infer: { (context) throws(StackLensError) in
      let (g, y) = (try context.input(0, oneOf: ElementType.reals), try context.input(1))
      guard g == y else { throw .shapeMismatch("gradient \(g) of a value \(y)") }
      _ = try lines(context, g.shape)
      return [g]
    },
    execution: .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        let input = try preparation.input(0)
        let layout = try lines(preparation, input.shape)
        guard input.elementType == .float32, layout.inner == 1 else { return nil }
        let isLog = try preparation.flag("is_log")
        let (rows, length) = (layout.outer, layout.length)
        return PreparedKernel { (run) throws(StackLensError) in
          let (g, y) = (try run.input(0).floats, try run.input(1).floats)
          let dx = run.outputs[0].floats
          guard length > 0 else { return }
          run.parallel.ranges(rows, grain: layout.grain) { range in
            let start = range.lowerBound * length
            let work = isLog ? slk_log_softmax_gradient_rows : slk_softmax_gradient_rows
            work(g + start, y + start, dx + start, range.count, length)
          }
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let layout = try lines(preparation, preparation.input(0).shape)
        let isLog = try preparation.flag("is_log")
        return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
          let (g, y, dx) = (try wide.input(0), try wide.input(1), wide.outputs[0])
          layout.forEachLine(wide.run.parallel) { start in
            let places = (0..<layout.length).map { start + $0 * layout.inner }
            var sum = 0.0
            for place in places { sum += isLog ? g[place] : g[place] * y[place] }
            for place in places {
              dx[place] =
                isLog ? g[place] - exp(y[place]) * sum : y[place] * (g[place] - sum)
            }
          }
        }
      },
    ]),
    lower: lowered { (scope) throws(StackLensError) in [try softmaxParts(scope)] },
    gradient: .composed { (scope) throws(StackLensError) in [try softmaxParts(scope)] },
    samples: [
      Sample([.floats(3, 4, 35), .floats(3, 4, 35)]),
      Sample([.floats(3, 4, 5), .floats(3, 4, 5)], ["axis": .int(1)]),
      Sample([.floats(2, 70), .floats(2, 70)], ["is_log": .int(1)]),
      Sample([.floats(3, 4, 5), .floats(3, 4, 5)], ["axis": .int(0), "is_log": .int(1)]),
      Sample([.floats(), .floats()]), Sample([.floats(3, 0), .floats(3, 0)]),
    ])

  private static func lines(
    _ view: some NodeView, _ shape: Shape
  ) throws(StackLensError) -> AxisLayout {
    if shape.rank == 0 { return AxisLayout(outer: 1, length: 1, inner: 1) }
    return AxisLayout(shape, axis: try view.axis("axis", rank: shape.rank))
  }

  private static func softmaxParts(_ scope: GradientScope) throws(StackLensError) -> Edge {
    let (g, y) = (try scope.input(0), try scope.input(1))
    // A scalar has no axis and is its own sum.
    let rank = scope.shape(of: scope.shape(of: y))
    let axis = scope.apply(
      "Slice", try scope.ints([Int64(try scope.int("axis"))]), try scope.ints([0]), rank)
    func sum(_ edge: Edge) -> Edge {
      scope.apply("ReduceSum", edge, axis, attributes: ["noop_with_empty_axes": .int(1)])
    }
    return try scope.flag("is_log") ? g - scope.apply("Exp", y) * sum(g) : y * (g - sum(g * y))
  }
}
