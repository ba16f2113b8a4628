import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Distances between the rows of two matrices: squared Euclidean or Euclidean. Contributed CDist.
  static let cDist = OperatorDefinition(
    "CDist", domain: "com.microsoft", versions: [1], inputs: 2...2,
    attributes: [.string("metric", default: "sqeuclidean")],
    infer: { (context) throws(StackLensError) in
      let a = try context.input(0, oneOf: [.float32, .float64])
      _ = try context.sameElementType(0, 1)
      let b = try context.input(1)
      guard a.rank == 2, b.rank == 2, a.shape[1] == b.shape[1] else {
        throw .shapeMismatch("rows of \(a.shape) and \(b.shape) have no distance")
      }
      _ = try isRooted(context)
      return [TensorType(a.elementType, try Shape([a.shape[0], b.shape[0]]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let isRooted = try isRooted(preparation)
        return try preparation.input(0).elementType == .float64
          ? distances(Double.self, isRooted) : distances(Float.self, isRooted)
      }
    ]),
    gradient: .distances,
    samples: [
      Sample([.floats(3, 9), .floats(4, 9)]),
      Sample(
        [
          .random(.float64, [5, 2], low: -1, high: 1),
          .random(.float64, [1, 2], low: -1, high: 1),
        ],
        ["metric": .string("euclidean")]),
      Sample([.floats(0, 3), .floats(2, 3)]), Sample([.floats(2, 0), .floats(3, 0)]),
    ])

  private static func isRooted(_ view: some NodeView) throws(StackLensError) -> Bool {
    switch try view.string("metric") {
    case "sqeuclidean": return false
    case "euclidean": return true
    case let name:
      throw .unsupported("attribute 'metric' is '\(name)', known are sqeuclidean and euclidean")
    }
  }

  private static func distances<T: BinaryFloatingPoint & Sendable>(
    _: T.Type, _ isRooted: Bool
  ) -> PreparedKernel {
    PreparedKernel { (run) throws(StackLensError) in
      let (a, b) = (try run.input(0), try run.input(1))
      let (rows, columns, length) = (a.shape[0], b.shape[0], a.shape[1])
      let (x, y) = (
        a.base.assumingMemoryBound(to: T.self), b.base.assumingMemoryBound(to: T.self)
      )
      let output = run.outputs[0].base.assumingMemoryBound(to: T.self)
      run.parallel.ranges(rows, grain: max(1, cheapGrain / max(1, columns * length))) { range in
        for row in range {
          for column in 0..<columns {
            let distance = squaredDistance(x + row * length, y + column * length, length)
            output[row * columns + column] = isRooted ? distance.squareRoot() : distance
          }
        }
      }
    }
  }

  @inline(__always)
  private static func squaredDistance<T: BinaryFloatingPoint>(
    _ x: UnsafePointer<T>, _ y: UnsafePointer<T>, _ count: Int
  ) -> T {
    var (a, b, c, d) = (T.zero, T.zero, T.zero, T.zero)
    var i = 0
    while i + 4 <= count {
      let (p, q) = (x[i] - y[i], x[i + 1] - y[i + 1])
      let (r, s) = (x[i + 2] - y[i + 2], x[i + 3] - y[i + 3])
      a += p * p
      b += q * q
      c += r * r
      d += s * s
      i += 4
    }
    while i < count {
      let p = x[i] - y[i]
      a += p * p
      i += 1
    }
    return (a + b) + (c + d)
  }
}

extension GradientRule {
  /// Twice the differences, or these by their distance.
  fileprivate static let distances = GradientRule { (scope) throws(StackLensError) in
    let (a, b) = (try scope.input(0), try scope.input(1))
    var g = try scope.arriving()
    if try scope.string("metric") == "euclidean" {
      let zero = try scope.scalar(0, like: g)
      let isSame = scope.apply("Equal", scope.output, zero)
      let rooted = g / scope.choose(isSame, try scope.scalar(1, like: g), scope.output)
      g = scope.choose(isSame, zero, rooted)
    } else {
      g = g + g
    }
    func back(_ g: Edge, _ own: Edge, _ other: Edge) throws(StackLensError) -> Edge {
      own * scope.apply("ReduceSum", g, try scope.ints([1])) - scope.graph.matMul(g, other)
    }
    return [
      scope.wants(0) ? try back(g, a, b) : nil,
      scope.wants(1) ? try back(scope.apply("Transpose", g), b, a) : nil,
    ]
  }
}
