import Base
import CKernels
import Glibc
import Graphs
import Tensors

extension OperatorDefinition {
  /// y = exp(x - max) / sum(exp(x - max)) along one axis. ONNX Softmax-13. In float16 and bfloat16 each
  /// step is rounded, as in the function that the standard gives for it.
  static let softmax = alongAxis("Softmax", gradient: .softmax) { (layout) in
    { (x, y, count, parallel) in softmaxLines(layout, x, y, count, parallel) }
  } line: { (x, y, length, step, type) in
    var greatest = -Double.infinity
    for i in 0..<length { greatest = larger(greatest, x[i * step]) }
    var sum = 0.0
    for i in 0..<length {
      let value = rounded(exp(rounded(x[i * step] - greatest, type)), type)
      y[i * step] = value
      sum += value
    }
    sum = rounded(sum, type)
    for i in 0..<length { y[i * step] /= sum }
  }

  /// y = x - max - log(sum(exp(x - max))) along one axis. ONNX LogSoftmax-13.
  static let logSoftmax = alongAxis("LogSoftmax", gradient: .logSoftmax) { (layout) in
    guard layout.inner == 1 else { return nil }
    return { (x, y, rows, parallel) in
      parallel.ranges(rows, grain: layout.grain) { range in
        let start = range.lowerBound * layout.length
        slk_log_softmax_rows(
          x + start, layout.length, y + start, layout.length, range.count, layout.length)
      }
    }
  } line: { (x, y, length, step, _) in
    var greatest = -Double.infinity
    for i in 0..<length { greatest = larger(greatest, x[i * step]) }
    var sum = 0.0
    for i in 0..<length { sum += exp(x[i * step] - greatest) }
    let shift = greatest + log(sum)
    for i in 0..<length { y[i * step] = x[i * step] - shift }
  }

  /// 1 at the first greatest element along one axis, 0 elsewhere. ONNX Hardmax-13.
  static let hardmax = alongAxis("Hardmax", gradient: .zero) { (_) in
    nil
  } line: { (x, y, length, step, _) in
    var best = 0
    for i in 0..<length {
      if x[i * step] > x[best * step] { best = i }
      y[i * step] = 0
    }
    if length > 0 { y[best * step] = 1 }
  }

  private static func larger(_ a: Double, _ b: Double) -> Double { a.isNaN || a > b ? a : b }

  /// The value as a half type holds it; other types hold it as it is.
  private static func rounded(_ value: Double, _ type: ElementType) -> Double {
    switch type {
    case .float16: Double(Float16(value))
    case .bfloat16: Double(BFloat16(Float(value)).float)
    default: value
    }
  }

  /// Work on `rows` lines of float32.
  private typealias Lines =
    @Sendable (
      _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ rows: Int, Parallel
    ) -> Void

  /// An operator on every line along the attribute `axis`: `vector` gives the float32 kernel where
  /// there is one, `line` computes one line of `length` elements `step` apart.
  private static func alongAxis(
    _ name: String, gradient: GradientRule, vector: @escaping @Sendable (AxisLayout) -> Lines?,
    line:
      @escaping @Sendable (
        _ x: UnsafePointer<Double>, _ y: UnsafeMutablePointer<Double>, _ length: Int, _ step: Int,
        _ type: ElementType
      ) -> Void
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, versions: [1, 11, 13], inputs: 1...1, attributes: [.int("axis", default: -1)],
      infer: { (context) throws(StackLensError) in
        let input = try context.input(0, oneOf: ElementType.reals)
        _ = try layout(context, input.shape)
        return [input]
      },
      execution: .kernels([
        Kernel("vector") { (preparation) throws(StackLensError) in
          let input = try preparation.input(0)
          let layout = try layout(preparation, input.shape)
          guard input.elementType == .float32, layout.length > 0, let work = vector(layout) else {
            return nil
          }
          return PreparedKernel { (run) throws(StackLensError) in
            work(
              try run.input(0).base.assumingMemoryBound(to: Float.self),
              run.outputs[0].base.assumingMemoryBound(to: Float.self), layout.outer * layout.inner,
              run.parallel)
          }
        },
        .reference { (preparation) throws(StackLensError) in
          let input = try preparation.input(0)
          let layout = try layout(preparation, input.shape)
          return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
            let (x, y) = (try wide.input(0), wide.outputs[0])
            layout.forEachLine(wide.run.parallel) { start in
              line(x + start, y + start, layout.length, layout.inner, input.elementType)
            }
          }
        },
      ]),
      lift: liftFlattened,
      lower: { (node, opset, rewriter) throws(StackLensError) in
        opset < 13 ? try lowerToLastAxis(node, opset, &rewriter) : [node]
      },
      gradient: gradient,
      samples: [
        Sample([.random(.float32, [3, 4, 35], low: -9, high: 9)]),
        Sample([.random(.float32, [3, 40, 70], low: -9, high: 9)], ["axis": .int(1)]),
        Sample([.random(.float32, [4, 5], low: -500, high: 500)], ["axis": .int(0)]),
        Sample([.floats(0, 5)]), Sample([.floats(3, 0)]), Sample([.floats()]),
        Sample([.random(.float64, [2, 9], low: -9, high: 9)]),
        Sample([.random(.float16, [2, 9], low: -9, high: 9)]),
      ])
  }

  private static func layout(
    _ view: some NodeView, _ shape: Shape
  ) throws(StackLensError) -> AxisLayout {
    if shape.rank == 0 { return AxisLayout(outer: 1, length: 1, inner: 1) }
    return AxisLayout(shape, axis: try view.axis("axis", rank: shape.rank))
  }

  /// Before opset 13 only the last axis stands alone, and before opset 11 it has no name without the
  /// rank.
  private static func lowerToLastAxis(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    var axis: Int64 = -1
    if case .int(let value)? = node.attributes["axis"] { axis = value }
    var node = node
    guard let rank = rewriter.rank(of: node.inputs[0]).map(Int64.init) else {
      guard axis == -1, opset >= 11 else {
        throw .unsupported(
          "\(node.opType) along axis \(axis) of unknown rank needs opset 13, not \(opset)")
      }
      node.attributes["axis"] = .int(-1)
      return [node]
    }
    let place = axis < 0 ? axis + rank : axis
    guard place >= 0, place < rank else {
      throw .unsupported("\(node.opType) along axis \(axis) of rank \(rank)")
    }
    node.attributes["axis"] = .int(opset < 11 ? rank - 1 : -1)
    guard place < rank - 1 else { return [node] }
    var turn = Array(0..<rank)
    turn.swapAt(Int(place), Int(rank - 1))
    var steps = Decomposition(node, opset)
    let turned = steps.apply("Transpose", node.inputs, ["perm": .ints(turn)], &rewriter)
    let result = steps.apply(node.opType, [turned], node.attributes, &rewriter)
    return steps.finish("Transpose", [result], ["perm": .ints(turn)])
  }

  /// Before opset 13 the axes from `axis` (1 by default) to the last counted as one.
  private static let liftFlattened: Convert = { (node, opset, rewriter) throws(StackLensError) in
    guard opset < 13 else { return [node] }
    var axis: Int64 = 1
    if case .int(let value)? = node.attributes["axis"] { axis = value }
    if axis == -1 {
      var node = node
      node.attributes["axis"] = .int(-1)
      return [node]
    }
    var flat = Decomposition(node, opset)
    let shape = flat.apply("Shape", [node.inputs[0]], &rewriter)
    let matrix = flat.apply("Flatten", [node.inputs[0]], ["axis": .int(axis)], &rewriter)
    let result = flat.apply(node.opType, [matrix], ["axis": .int(-1)], &rewriter)
    return flat.finish("Reshape", [result, shape])
  }

  private static func softmaxLines(
    _ layout: AxisLayout, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>,
    _ rows: Int, _ parallel: Parallel
  ) {
    let (length, inner) = (layout.length, layout.inner)
    if inner == 1 {
      return parallel.ranges(rows, grain: layout.grain) { range in
        let start = range.lowerBound * length
        slk_softmax_rows(x + start, length, y + start, length, range.count, length)
      }
    }
    let blockWidth = 64
    let blocks = (inner + blockWidth - 1) / blockWidth
    let grain = max(1, costlyGrain / (length * min(inner, blockWidth)))
    parallel.ranges(layout.outer * blocks, grain: grain) { range in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * blockWidth) { buffer in
        guard let greatest = buffer.baseAddress else { return }
        let sums = greatest + blockWidth
        for item in range {
          let (outer, block) = item.quotientAndRemainder(dividingBy: blocks)
          let column = block * blockWidth
          let width = min(blockWidth, inner - column)
          let start = outer * length * inner + column
          softmaxColumns(x + start, y + start, length, inner, width, greatest, sums)
        }
      }
    }
  }

  /// Softmax down `width` neighbouring columns.
  private static func softmaxColumns(
    _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ length: Int, _ step: Int,
    _ width: Int, _ greatest: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Float>
  ) {
    greatest.update(from: x, count: width)
    sums.update(repeating: 0, count: width)
    let (maximum, difference) = (Int32(SLK_BINARY_MAX.rawValue), Int32(SLK_BINARY_SUB.rawValue))
    for i in 1..<max(1, length) {
      slk_binary_f32(maximum, greatest, 1, x + i * step, 1, greatest, width)
    }
    for i in 0..<length {
      let row = y + i * step
      slk_binary_f32(difference, x + i * step, 1, greatest, 1, row, width)
      slk_unary_f32(Int32(SLK_UNARY_EXP.rawValue), row, row, width, 0, 0)
      slk_axpy(1, row, sums, width)
    }
    let quotient = Int32(SLK_BINARY_DIV.rawValue)
    for i in 0..<length {
      slk_binary_f32(quotient, y + i * step, 1, sums, 1, y + i * step, width)
    }
  }
}
