import Base
import Glibc
import Graphs
import Tensors

extension OperatorDefinition {
  /// x divided by its L1 or L2 norm along one axis; lines of zeros stay zero.
  /// ONNX LpNormalization-22.
  static let lpNormalization = OperatorDefinition(
    "LpNormalization", versions: [1, 22], inputs: 1...1,
    attributes: [.int("axis", default: -1), .int("p", default: 2)],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: ElementType.reals)
      _ = try context.axis("axis", rank: type.rank)
      let p = try context.int("p")
      guard p == 1 || p == 2 else {
        throw .invalidArgument("attribute 'p' is \(p), expected 1 or 2")
      }
      return [type]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        switch try preparation.input(0).elementType {
        case .float64: try lpKernel(Double.self, preparation)
        default: try lpKernel(Float.self, preparation)
        }
      }
    ]),
    gradient: .lpNormalization,
    samples: [
      Sample([.floats(3, 4, 5)]), Sample([.floats(3, 4, 5)], ["axis": .int(1), "p": .int(1)]),
      Sample([.floats(0, 4)]), Sample([.random(.float16, [3, 8], low: -1, high: 1)]),
    ])

  private static func lpKernel<T: RealElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let shape = try preparation.input(0).shape
    let layout = AxisLayout(shape, axis: try preparation.axis("axis", rank: shape.rank))
    let isSquare = try preparation.int("p") == 2
    return try wideKernel(T.self, preparation) { (wide) throws(StackLensError) in
      let (x, y) = (try wide.input(0), wide.outputs[0])
      layout.forEachLine(wide.run.parallel) { start in
        var sum = 0.0
        for i in 0..<layout.length {
          let value = x[start + i * layout.inner].double
          sum += isSquare ? value * value : value.magnitude
        }
        let norm = isSquare ? sum.squareRoot() : sum
        for i in 0..<layout.length {
          let place = start + i * layout.inner
          y[place] = norm == 0 ? T(rounding: 0) : T(rounding: x[place].double / norm)
        }
      }
    }
  }

  /// (x - mean) / standard deviation over the given axes. ONNX MeanVarianceNormalization-13.
  static let meanVarianceNormalization = OperatorDefinition(
    "MeanVarianceNormalization", versions: [1, 9, 13], inputs: 1...1,
    attributes: [.optional("axes", .ints)],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: ElementType.reals)
      _ = try checkedAxes(try context.ints("axes") ?? [0, 2, 3], rank: type.rank)
      return [type]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let shape = try preparation.input(0).shape
        let axes = try checkedAxes(try preparation.ints("axes") ?? [0, 2, 3], rank: shape.rank)
        let plan = ReductionPlan(shape, axes: axes)
        let reduced = try Shape(shape.dims.enumerated().map { axes.contains($0) ? 1 : $1 })
        let loop = BroadcastLoop([shape, reduced], to: shape)
        return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
          guard shape.count > 0 else { return }
          let (x, y) = (try wide.input(0), wide.outputs[0])
          let count = Double(plan.reducedCount)
          var means = [Double](repeating: 0, count: plan.outputCount)
          var deviations = means
          plan.reduce(
            x, .serial, from: 0.0, step: { $1 + $2 }, combine: { $0 + $1 },
            store: { means[$0] = $1 / count })
          plan.reduce(
            x, .serial, from: 0.0,
            step: { (output, sum, value) in
              let distance = value - means[output]
              return sum + distance * distance
            },
            combine: { $0 + $1 }, store: { deviations[$0] = ($1 / count).squareRoot() + 1e-9 })
          loop.run(.serial, grain: cheapGrain) { (starts, output, count) in
            for i in 0..<count {
              let statistic = starts[1] + i * loop.rowStrides[1]
              y[output + i] = (x[output + i] - means[statistic]) / deviations[statistic]
            }
          }
        }
      }
    ]),
    lift: { (node, opset, rewriter) throws(StackLensError) in
      opset < 9 ? try liftAcrossChannels(node, &rewriter) : [node]
    },
    lower: { (node, opset, _) throws(StackLensError) in
      guard opset >= 9 else {
        throw .unsupported("MeanVarianceNormalization needs opset 9, not \(opset)")
      }
      return [node]
    },
    gradient: .meanVarianceNormalization,
    samples: [
      Sample([.floats(2, 3, 4, 5)]), Sample([.floats(3, 4)], ["axes": .ints([-1])]),
      Sample([.floats(0, 3)], ["axes": .ints([0])]),
    ])

  /// The experimental first form, for images.
  private static func liftAcrossChannels(
    _ node: Node, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    var node = node
    let isAcross = node.attributes.removeValue(forKey: "across_channels")?.isTrue ?? false
    let scales = node.attributes.removeValue(forKey: "normalize_variance")?.isTrue ?? true
    let axes: [Int64] = isAcross ? [0, 1, 2, 3] : [0, 2, 3]
    node.attributes["axes"] = .ints(axes)
    guard !scales, node.inputs.count == 1 else { return [node] }
    var steps = Decomposition(node, Int.max)
    let mean = steps.apply(
      "ReduceMean", [node.inputs[0], try rewriter.ints(axes, "axes")], &rewriter)
    return steps.finish("Sub", [node.inputs[0], mean])
  }

  /// x / (bias + alpha / size * sum of squares over `size` neighbouring channels)^beta.
  /// ONNX LRN-13.
  static let localResponseNormalization = OperatorDefinition(
    "LRN", versions: [1, 13], inputs: 1...1,
    attributes: [
      .float("alpha", default: 1e-4), .float("beta", default: 0.75), .float("bias", default: 1),
      .required("size", .int),
    ],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: ElementType.reals)
      guard type.rank >= 2 else {
        throw .shapeMismatch("data is \(type), expected at least the axes of batch and channels")
      }
      let size = try context.int("size")
      guard size > 0 else { throw .invalidArgument("attribute 'size' is \(size), expected over 0") }
      return [type]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        switch try preparation.input(0).elementType {
        case .float64: try responseKernel(Double.self, preparation)
        default: try responseKernel(Float.self, preparation)
        }
      }
    ]),
    gradient: .localResponse,
    samples: [
      Sample([.floats(2, 5, 3, 3)], ["size": .int(3)]),
      Sample([.floats(1, 4, 7)], ["size": .int(2), "alpha": .float(0.1), "bias": .float(2)]),
      Sample([.floats(0, 4, 7)], ["size": .int(9)]),
    ])

  private static func responseKernel<T: RealElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let layout = AxisLayout(try preparation.input(0).shape, axis: 1)
    let size = try preparation.int("size")
    let (before, after) = ((size - 1) / 2, size / 2)
    let factor = Double(try preparation.float("alpha")) / Double(size)
    let (beta, bias) = (
      Double(try preparation.float("beta")), Double(try preparation.float("bias"))
    )
    return try wideKernel(T.self, preparation) { (wide) throws(StackLensError) in
      let (x, y) = (try wide.input(0), wide.outputs[0])
      layout.forEachLine(wide.run.parallel) { start in
        for channel in 0..<layout.length {
          let first = channel > before ? channel - before : 0
          let last = after < layout.length - 1 - channel ? channel + after : layout.length - 1
          var squares = 0.0
          for neighbour in first...last {
            let value = x[start + neighbour * layout.inner].double
            squares += value * value
          }
          let place = start + channel * layout.inner
          y[place] = T(rounding: x[place].double / Glibc.pow(bias + factor * squares, beta))
        }
      }
    }
  }
}
