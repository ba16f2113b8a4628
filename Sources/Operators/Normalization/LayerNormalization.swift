import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// (x - mean) / sqrt(variance + epsilon) * scale + bias over the axes from `axis` on, with the
  /// mean and 1 / sqrt(...) as further outputs. ONNX LayerNormalization-17.
  static let layerNormalization = OperatorDefinition(
    "LayerNormalization", versions: [17], inputs: 2...3, outputs: 1...3,
    attributes: [
      .int("axis", default: -1), .float("epsilon", default: 1e-5), .int("stash_type", default: 1),
    ],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: ElementType.reals)
      _ = try context.sameElementType(0, 1, 2)
      let rows = try NormalizedRows(context, type.shape)
      for index in 1...2 where context.hasInput(index) {
        try rows.requireParameter(context.input(index).shape)
      }
      let code = try context.int("stash_type")
      guard let stash = Int32(exactly: code).flatMap(ElementType.init), stash.isFloat else {
        throw .invalidArgument("attribute 'stash_type' is \(code), expected a floating-point type")
      }
      let dims = type.shape.dims.enumerated().map { $0 < rows.axis ? $1 : 1 }
      let statistics = TensorType(stash, try Shape(dims))
      return [type, statistics, statistics]
    },
    execution: .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        let input = try preparation.input(0)
        let rows = try NormalizedRows(preparation, input.shape)
        let (count, width) = (rows.count, rows.width)
        let scaleCount = try preparation.input(1).shape.count
        let biasCount = preparation.hasInput(2) ? try preparation.input(2).shape.count : width
        guard input.elementType == .float32, scaleCount == width, biasCount == width, width > 0,
          preparation.outputs[1].elementType == .float32
        else { return nil }
        let epsilon = try preparation.float("epsilon")
        return PreparedKernel { (run) throws(StackLensError) in
          let x = try run.input(0).base.assumingMemoryBound(to: Float.self)
          let scale = try run.input(1).base.assumingMemoryBound(to: Float.self)
          let hasBias = run.inputs.count > 2
          let bias = hasBias ? run.inputs[2]?.base.assumingMemoryBound(to: Float.self) : nil
          let y = run.outputs[0].base.assumingMemoryBound(to: Float.self)
          let mean = run.outputs[1].base.assumingMemoryBound(to: Float.self)
          let inverse = run.outputs[2].base.assumingMemoryBound(to: Float.self)
          run.parallel.ranges(count, grain: max(1, costlyGrain / width)) { range in
            let first = range.lowerBound
            slk_layer_norm(
              x + first * width, width, nil, 0, scale, bias, epsilon, y + first * width, width,
              range.count, width, mean + first, inverse + first)
          }
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let rows = try NormalizedRows(preparation, preparation.input(0).shape)
        let scaleOffsets = try rows.offsets(preparation.input(1).shape)
        let biasOffsets =
          preparation.hasInput(2) ? try rows.offsets(preparation.input(2).shape) : []
        let epsilon = Double(try preparation.float("epsilon"))
        return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
          let (x, scale) = (try wide.input(0), try wide.input(1))
          let bias = wide.inputs.count > 2 ? wide.inputs[2] : nil
          let (y, means, inverses) = (wide.outputs[0], wide.outputs[1], wide.outputs[2])
          let width = rows.width
          wide.run.parallel.ranges(rows.count, grain: max(1, costlyGrain / max(1, width))) {
            for row in $0 {
              let line = x + row * width
              let moments = Moments(line, count: width)
              let inverse = 1 / (moments.variance + epsilon).squareRoot()
              means[row] = moments.mean
              inverses[row] = inverse
              for i in 0..<width {
                let value = (line[i] - moments.mean) * inverse * scale[scaleOffsets[i]]
                y[row * width + i] = bias.map { value + $0[biasOffsets[i]] } ?? value
              }
            }
          }
        }
      },
    ]),
    oldestRead: 1, lower: lowerLayerNormalization, gradient: .layerNormalization,
    samples: [
      Sample([.floats(2, 3, 40), .floats(40), .floats(40)], outputs: 3),
      Sample([.floats(2, 3, 4), .floats(3, 4)], ["axis": .int(1)]),
      Sample([.floats(2, 3, 4), .floats(1, 4), .floats(3, 1)], ["axis": .int(-2)]),
      Sample([.floats(0, 4), .floats(4), .floats(4)]),
      Sample([
        .random(.float16, [3, 8], low: -1, high: 1), .random(.float16, [8], low: -1, high: 1),
      ]),
      Sample([
        .random(.float64, [3, 8], low: -1, high: 1), .random(.float64, [8], low: -1, high: 1),
      ]),
    ])

  /// x / sqrt(mean(x²) + epsilon) * scale over the axes from `axis` on. ONNX RMSNormalization-23.
  static let rmsNormalization = OperatorDefinition(
    "RMSNormalization", versions: [23], inputs: 2...2,
    attributes: [
      .int("axis", default: -1), .float("epsilon", default: 1e-5), .int("stash_type", default: 1),
    ],
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: ElementType.reals)
      let scale = try context.input(1, oneOf: ElementType.reals)
      try NormalizedRows(context, type.shape).requireParameter(scale.shape)
      return [TensorType(scale.elementType, type.shape)]
    },
    execution: .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        let (input, scale) = (try preparation.input(0), try preparation.input(1))
        let rows = try NormalizedRows(preparation, input.shape)
        let (count, width) = (rows.count, rows.width)
        guard input.elementType == .float32, scale.elementType == .float32,
          scale.shape.count == width, width > 0
        else { return nil }
        let epsilon = try preparation.float("epsilon")
        return PreparedKernel { (run) throws(StackLensError) in
          let x = try run.input(0).base.assumingMemoryBound(to: Float.self)
          let scale = try run.input(1).base.assumingMemoryBound(to: Float.self)
          let y = run.outputs[0].base.assumingMemoryBound(to: Float.self)
          run.parallel.ranges(count, grain: max(1, costlyGrain / width)) { range in
            let start = range.lowerBound * width
            slk_rms_norm(x + start, width, scale, epsilon, y + start, width, range.count, width)
          }
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let rows = try NormalizedRows(preparation, preparation.input(0).shape)
        let offsets = try rows.offsets(preparation.input(1).shape)
        let epsilon = Double(try preparation.float("epsilon"))
        return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
          let (x, scale, y) = (try wide.input(0), try wide.input(1), wide.outputs[0])
          for row in 0..<rows.count {
            let line = x + row * rows.width
            var squares = 0.0
            for i in 0..<rows.width { squares += line[i] * line[i] }
            let inverse = 1 / (squares / Double(rows.width) + epsilon).squareRoot()
            for i in 0..<rows.width {
              y[row * rows.width + i] = line[i] * inverse * scale[offsets[i]]
            }
          }
        }
      },
    ]),
    lower: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 23 else { return [node] }
      let axes = try normalizedAxes(node, opset, rewriter)
      var old = Decomposition(node, opset)
      let isHalf = rewriter.isHalf(node.inputs[0])
      let x = isHalf ? old.widened(node.inputs[0], &rewriter) : node.inputs[0]
      let square = old.apply("Mul", [x, x], &rewriter)
      let mean = try old.reduceMean(square, axes, &rewriter)
      let epsilon = floatAttribute(node, "epsilon", 1e-5)
      let least =
        isHalf
        ? rewriter.constant(try Tensor(scalar: epsilon), "epsilon")
        : try old.scalar(Double(epsilon), &rewriter)
      let raised = old.apply("Add", [mean, least], &rewriter)
      let root = old.apply("Sqrt", [raised], &rewriter)
      var normal = old.apply("Div", [x, root], &rewriter)
      let types = (rewriter.elementType(of: x), rewriter.elementType(of: node.inputs[1]))
      // The result has the type of the scale.
      if opset >= 15, types.0 == nil || types.0 != types.1 || isHalf {
        normal = old.apply("CastLike", [normal, node.inputs[1]], &rewriter)
      }
      return old.finish("Mul", [normal, node.inputs[1]])
    },
    gradient: .rmsNormalization,
    samples: [
      Sample([.floats(2, 3, 40), .floats(40)]),
      Sample([.floats(2, 3, 4), .floats(3, 1)], ["axis": .int(1)]),
      Sample([.floats(0, 4), .floats(4)]),
      Sample([.random(.float16, [3, 8], low: -1, high: 1), .floats(8)]),
    ])

  private static let lowerLayerNormalization: Convert = {
    (node, opset, rewriter) throws(StackLensError) in
    guard opset < 17 else { return [node] }
    let axes = try normalizedAxes(node, opset, rewriter)
    var old = Decomposition(node, opset)
    let x = node.inputs[0]
    let mean = try old.reduceMean(x, axes, &rewriter)
    let centred = old.apply("Sub", [x, mean], &rewriter)
    let square = old.apply("Mul", [centred, centred], &rewriter)
    let variance = try old.reduceMean(square, axes, &rewriter)
    let raised = try old.apply(
      "Add",
      [variance, old.scalar(Double(floatAttribute(node, "epsilon", 1e-5)), twin: 1, &rewriter)],
      &rewriter)
    let root = old.apply("Sqrt", [raised], &rewriter)
    let normal = old.apply("Div", [centred, root], &rewriter)
    if node.outputs.count > 1, !node.outputs[1].isEmpty { old.output(1, "Identity", [mean]) }
    if node.outputs.count > 2, !node.outputs[2].isEmpty { old.output(2, "Reciprocal", [root]) }
    guard node.inputs.count > 2, !node.inputs[2].isEmpty else {
      return old.finish("Mul", [normal, node.inputs[1]])
    }
    let scaled = old.apply("Mul", [normal, node.inputs[1]], &rewriter)
    return old.finish("Add", [scaled, node.inputs[2]])
  }

  /// The axes of each row, counted from the end. With an axis counted from the start they follow
  /// from the rank.
  private static func normalizedAxes(
    _ node: Node, _ opset: Int, _ rewriter: Rewriter
  ) throws(StackLensError) -> [Int64] {
    guard case .int(var axis)? = node.attributes["axis"] else { return [-1] }
    if axis >= 0 {
      guard let rank = rewriter.rank(of: node.inputs[0]), axis < rank else {
        throw .unsupported(
          "\(node.opType) from axis \(axis) on cannot be written for opset \(opset): "
            + "the rank of '\(node.inputs[0])' is not known")
      }
      axis -= Int64(rank)
    }
    guard axis >= -64 else { throw .invalidArgument("attribute 'axis' is \(axis)") }
    return Array(axis...(-1))
  }

  private static func floatAttribute(_ node: Node, _ name: String, _ other: Float) -> Float {
    if case .float(let value)? = node.attributes[name] { value } else { other }
  }
}

extension Rewriter {
  /// Whether a value surely has a type of 16 bits, in which means lose too much.
  fileprivate func isHalf(_ name: String) -> Bool {
    [.float16, .bfloat16].contains(elementType(of: name))
  }
}

extension Decomposition {
  /// The value as float32.
  fileprivate mutating func widened(_ input: String, _ rewriter: inout Rewriter) -> String {
    apply("Cast", [input], ["to": .int(Int64(ElementType.float32.rawValue))], &rewriter)
  }

  /// The mean along some axes, each kept as an axis of one.
  fileprivate mutating func reduceMean(
    _ input: String, _ axes: [Int64], _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    if targetOpset < 18 { return apply("ReduceMean", [input], ["axes": .ints(axes)], &rewriter) }
    return apply("ReduceMean", [input, try rewriter.ints(axes, "axes")], &rewriter)
  }
}

/// The rows that a normalisation over the axes from `axis` on works on.
struct NormalizedRows: Sendable {
  let axis: Int
  let count: Int
  let width: Int
  private let shape: Shape

  init(_ view: some NodeView, _ shape: Shape) throws(StackLensError) {
    axis = shape.rank == 0 ? 0 : try view.axis("axis", rank: shape.rank)
    count = shape.count(0..<axis)
    width = shape.count(axis..<shape.rank)
    self.shape = try Shape(Array(shape.dims[axis...]))
  }

  /// - Throws: `.shapeMismatch` when the parameter does not broadcast to a row.
  func requireParameter(_ parameter: Shape) throws(StackLensError) {
    guard try parameter.broadcast(with: shape) == shape else {
      throw .shapeMismatch("a parameter of shape \(parameter) does not broadcast to \(shape)")
    }
  }

  /// Where the parameter for each element of a row lies.
  func offsets(_ parameter: Shape) throws(StackLensError) -> [Int] {
    try requireParameter(parameter)
    let strides = parameter.broadcastStrides(to: shape)
    return (0..<width).map { index in
      var (offset, rest) = (0, index)
      for axis in (0..<shape.rank).reversed() {
        let (next, place) = rest.quotientAndRemainder(dividingBy: shape[axis])
        offset += place * strides[axis]
        rest = next
      }
      return offset
    }
  }
}

/// Mean and variance of a run of numbers, the variance from a second pass.
struct Moments {
  let mean: Double
  let variance: Double

  init(mean: Double, variance: Double) {
    (self.mean, self.variance) = (mean, variance)
  }

  @inline(__always)
  init<T: RealElement>(_ x: UnsafePointer<T>, count: Int) {
    var sum = 0.0
    for i in 0..<count { sum += x[i].double }
    let mean = sum / Double(count)
    var squares = 0.0
    for i in 0..<count {
      let distance = x[i].double - mean
      squares += distance * distance
    }
    self.mean = mean
    variance = squares / Double(count)
  }
}
