import Base
import Glibc
import Graphs
import Tensors

/// What a reduction makes of the elements.
enum Reduction: Sendable {
  case sum, mean, max, min, product, l1, l2, logSum, logSumExp, sumOfSquares

  /// Whether integers are reduced in floating point.
  var isReal: Bool { self == .l2 || self == .logSum || self == .logSumExp }
}

extension OperatorTable {
  /// Reductions over the axes of input 1, over all of them without it. Sums of floating-point
  /// elements accumulate in double precision.
  static let reductions: [OperatorDefinition] = [
    .reduce("ReduceSum", [1, 11, 13], .sum, axesSince: 13),
    .reduce("ReduceMean", [1, 11, 13, 18], .mean),
    .reduce("ReduceMax", [1, 11, 12, 13, 18, 20], .max, on: ElementType.numbers + [.bool]),
    .reduce("ReduceMin", [1, 11, 12, 13, 18, 20], .min, on: ElementType.numbers + [.bool]),
    .reduce("ReduceProd", [1, 11, 13, 18], .product),
    .reduce("ReduceL1", [1, 11, 13, 18], .l1),
    .reduce("ReduceL2", [1, 11, 13, 18], .l2),
    .reduce("ReduceLogSum", [1, 11, 13, 18, 28], .logSum, low: 0.1),
    .reduce("ReduceLogSumExp", [1, 11, 13, 18, 28], .logSumExp),
    .reduce("ReduceSumSquare", [1, 11, 13, 18], .sumOfSquares),
  ]
}

extension OperatorDefinition {
  fileprivate static func reduce(
    _ name: String, _ versions: [Int], _ reduction: Reduction, axesSince: Int = 18,
    on types: [ElementType] = ElementType.numbers, low: Double = -3
  ) -> OperatorDefinition {
    let samples = [
      Sample([.random(.float32, [3, 4, 5], low: low, high: 3), .ints([1])]),
      Sample(
        [.random(.float32, [3, 4, 70], low: low, high: 3), .ints([0, -2])], ["keepdims": .int(0)]),
      Sample([.random(.float32, [2, 3, 4], low: low, high: 3)]),
      Sample(
        [.random(.float32, [2, 3], low: low, high: 3), .ints([])], ["noop_with_empty_axes": .int(1)]
      ),
      Sample([.random(.float32, [], low: low, high: 3)]),
      Sample([.random(.float32, [2, 0, 4], low: low, high: 3), .ints([1])]),
      Sample([.random(.float64, [2, 9], low: low, high: 3), .ints([-1])]),
      Sample([.random(.float16, [2, 9], low: low, high: 3), .ints([-1])]),
      Sample([.random(.int64, [2, 9], low: 1, high: 4), .ints([0])]),
    ]
    return OperatorDefinition(
      name, versions: versions, inputs: 1...2,
      attributes: [.int("keepdims", default: 1), .int("noop_with_empty_axes", default: 0)],
      infer: { (context) throws(StackLensError) in
        let input = try context.input(0, oneOf: types)
        let axes = try reducedAxes(
          context.flag("noop_with_empty_axes"), input.shape, context.optionalValue(1))
        let keepsDims = try context.flag("keepdims")
        var dims: [Int] = []
        for axis in 0..<input.rank {
          if !axes.contains(axis) {
            dims.append(input.shape[axis])
          } else if keepsDims {
            dims.append(1)
          }
        }
        return [TensorType(input.elementType, try Shape(dims))]
      },
      execution: .kernels([
        Kernel("vector") { (preparation) throws(StackLensError) in
          guard try preparation.input(0).elementType == .float32,
            VectorReduction(reduction, count: 1) != nil
          else { return nil }
          let isEmptyNoop = try preparation.flag("noop_with_empty_axes")
          return PreparedKernel { (run) throws(StackLensError) in
            let plan = try plan(isEmptyNoop, run)
            guard let vector = VectorReduction(reduction, count: plan.reducedCount) else { return }
            plan.reduce(
              try run.input(0).base.assumingMemoryBound(to: Float.self),
              run.outputs[0].base.assumingMemoryBound(to: Float.self), vector, run.parallel)
          }
        },
        .reference { (preparation) throws(StackLensError) in
          try reduceKernel(preparation, reduction)
        },
      ]),
      lift: liftAttributes(before: axesSince, ["axes"]),
      lower: { (node, opset, rewriter) throws(StackLensError) in
        guard opset < axesSince else { return [node] }
        var node = node
        let isEmptyNoop: Bool
        if case .int(let flag)? = node.attributes.removeValue(forKey: "noop_with_empty_axes") {
          isEmptyNoop = flag != 0
        } else {
          isEmptyNoop = false
        }
        if let axes = try constantInts(node, 1, "axes", opset, rewriter), !axes.isEmpty {
          node.attributes["axes"] = .ints(axes)
        } else if isEmptyNoop {
          throw .unsupported("\(node.opType) over no axes cannot be written for opset \(opset)")
        }
        node.inputs = [node.inputs[0]]
        return [node]
      },
      gradient: .reduction(reduction), samples: samples)
  }

  private static func reducedAxes(
    _ isEmptyNoop: Bool, _ shape: Shape, _ axes: Tensor?
  ) throws(StackLensError) -> [Int] {
    let given = try axes?.integers() ?? []
    if given.isEmpty {
      return isEmptyNoop ? [] : Array(0..<shape.rank)
    }
    return try checkedAxes(given, rank: shape.rank)
  }

  private static func reduceKernel(
    _ preparation: Preparation, _ reduction: Reduction
  ) throws(StackLensError) -> PreparedKernel {
    let type = try preparation.input(0).elementType
    if type == .float32 || type.isHalf {
      return try realKernel(Float.self, preparation, reduction)
    }
    if type == .float64 || reduction.isReal {
      return try realKernel(Double.self, preparation, reduction)
    }
    if type == .uint64 { return try wholeKernel(UInt64.self, preparation, reduction) }
    return try wholeKernel(Int64.self, preparation, reduction)
  }

  /// Axes are read while running: an eager call has no constants.
  private static func plan(
    _ isEmptyNoop: Bool, _ run: Invocation
  ) throws(StackLensError) -> ReductionPlan {
    let input = try run.input(0)
    let axes = run.inputs.count > 1 ? run.inputs[1] : nil
    let plan = ReductionPlan(input.shape, axes: try reducedAxes(isEmptyNoop, input.shape, axes))
    guard plan.outputCount == run.outputs[0].count else {
      throw .shapeMismatch("axes do not reduce \(input.shape) to \(run.outputs[0].shape)")
    }
    return plan
  }

  private static func realKernel<T: RealElement>(
    _: T.Type, _ preparation: Preparation, _ reduction: Reduction
  ) throws(StackLensError) -> PreparedKernel {
    let isEmptyNoop = try preparation.flag("noop_with_empty_axes")
    return try wideKernel(T.self, preparation, inputs: 1) { (wide) throws(StackLensError) in
      let plan = try plan(isEmptyNoop, wide.run)
      let (x, y) = (try wide.input(0), wide.outputs[0])
      let parallel = wide.run.parallel
      let count = Double(plan.reducedCount)
      @inline(__always) func sum(_ value: (T) -> Double, _ finish: (Double) -> Double) {
        plan.reduce(
          x, parallel, from: 0.0, step: { $1 + value($2) }, combine: { $0 + $1 },
          store: { y[$0] = T(rounding: finish($1)) })
      }
      @inline(__always) func greatest(_ sign: Double, _ store: (Int, Double) -> Void) {
        plan.reduce(
          x, parallel, from: -Double.infinity,
          step: { (_, best, value) in
            let value = sign * value.double
            return value > best || value.isNaN ? value : best
          },
          combine: { $0.isNaN || $0 > $1 ? $0 : $1 }, store: store)
      }
      switch reduction {
      case .sum:
        plan.reduce(
          x, parallel, from: 0.0, step: { $1 + $2.double }, combine: { $0 + $1 },
          store: { y[$0] = T(rounding: $1) })
      case .mean:
        plan.reduce(
          x, parallel, from: 0.0, step: { $1 + $2.double }, combine: { $0 + $1 },
          store: { y[$0] = T(rounding: $1 / count) })
      case .l1: sum({ $0.double.magnitude }, { $0 })
      case .l2: sum({ $0.double * $0.double }, { $0.squareRoot() })
      case .sumOfSquares: sum({ $0.double * $0.double }, { $0 })
      case .logSum: sum({ $0.double }, { log($0) })
      case .max: greatest(1) { y[$0] = T(rounding: $1) }
      case .min: greatest(-1) { y[$0] = T(rounding: -$1) }
      case .product:
        plan.reduce(
          x, parallel, from: 1.0, step: { $1 * $2.double }, combine: { $0 * $1 },
          store: { y[$0] = T(rounding: $1) })
      case .logSumExp:
        greatest(1) { y[$0] = T(rounding: $1) }
        plan.reduce(
          x, parallel, from: 0.0,
          step: { (output, sum, value) in
            let shift = y[output].double
            return sum + exp(shift.isFinite ? value.double - shift : value.double)
          },
          combine: { $0 + $1 },
          store: { (output, sum) in
            let shift = y[output].double
            y[output] = T(rounding: shift.isFinite ? shift + log(sum) : log(sum))
          })
      }
    }
  }

  private static func wholeKernel<T: FixedWidthInteger & TensorElement>(
    _: T.Type, _ preparation: Preparation, _ reduction: Reduction
  ) throws(StackLensError) -> PreparedKernel {
    let type = try preparation.input(0).elementType
    let isEmptyNoop = try preparation.flag("noop_with_empty_axes")
    return try wideKernel(T.self, preparation, inputs: 1) { (wide) throws(StackLensError) in
      let plan = try plan(isEmptyNoop, wide.run)
      let (x, y) = (try wide.input(0), wide.outputs[0])
      let parallel = wide.run.parallel
      let (lowest, highest) = wholeRange(type, T.self)
      @inline(__always) func sum(_ value: (T) -> T, _ finish: (T) -> T = { $0 }) {
        plan.reduce(
          x, parallel, from: 0, step: { $1 &+ value($2) }, combine: { $0 &+ $1 },
          store: { y[$0] = finish($1) })
      }
      switch reduction {
      case .sum: sum { $0 }
      case .mean:
        let count = T(truncatingIfNeeded: Swift.max(1, plan.reducedCount))
        sum({ $0 }, { $0 / count })
      case .l1: sum { $0 < 0 ? 0 &- $0 : $0 }
      case .sumOfSquares: sum { $0 &* $0 }
      case .max:
        plan.reduce(
          x, parallel, from: lowest, step: { Swift.max($1, $2) }, combine: { Swift.max($0, $1) },
          store: { y[$0] = $1 })
      case .min:
        plan.reduce(
          x, parallel, from: highest, step: { Swift.min($1, $2) }, combine: { Swift.min($0, $1) },
          store: { y[$0] = $1 })
      case .product:
        plan.reduce(
          x, parallel, from: 1, step: { $1 &* $2 }, combine: { $0 &* $1 }, store: { y[$0] = $1 })
      case .l2, .logSum, .logSumExp: break
      }
    }
  }

  /// The least and the greatest value of an integer type or bool.
  private static func wholeRange<T: FixedWidthInteger>(
    _ type: ElementType, _: T.Type
  ) -> (T, T) {
    switch type {
    case .bool: (0, 1)
    case .int8: (T(clamping: Int8.min), T(clamping: Int8.max))
    case .int16: (T(clamping: Int16.min), T(clamping: Int16.max))
    case .int32: (T(clamping: Int32.min), T(clamping: Int32.max))
    case .uint8: (0, T(clamping: UInt8.max))
    case .uint16: (0, T(clamping: UInt16.max))
    case .uint32: (0, T(clamping: UInt32.max))
    default: (.min, .max)
    }
  }
}
