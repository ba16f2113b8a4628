import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// Back through LayerNormalization: from g, x, scale and (for its shape) bias, the gradients of
  /// x, scale and bias. The statistics are computed again while a row is in the cache.
  static let layerNormalizationGradient = rowNormalizationGradient(
    "LayerNormalizationGradient", isCentred: true, parts: layerNormalizationParts,
    samples: [
      Sample([.floats(2, 3, 40), .floats(2, 3, 40), .floats(40), .floats(40)], outputs: 3),
      Sample(
        [.floats(37, 4, 5), .floats(37, 4, 5), .floats(4, 5)], ["axis": .int(1)], outputs: 2),
      Sample(
        [.floats(2, 3, 4), .floats(2, 3, 4), .floats(1, 4), .floats(3, 1)], ["axis": .int(-2)],
        outputs: 3),
      Sample([.floats(0, 4), .floats(0, 4), .floats(4), .floats(4)], outputs: 3),
    ])

  /// Back through RMSNormalization: from g, x and scale, the gradients of x and scale.
  static let rmsNormalizationGradient = rowNormalizationGradient(
    "RMSNormalizationGradient", isCentred: false, parts: rmsNormalizationParts,
    samples: [
      Sample([.floats(2, 3, 40), .floats(2, 3, 40), .floats(40)], outputs: 2),
      Sample([.floats(2, 3, 4), .floats(2, 3, 4), .floats(3, 1)], ["axis": .int(1)], outputs: 2),
    ])

  private static func rowNormalizationGradient(
    _ name: String, isCentred: Bool, parts: @escaping OperatorParts, samples: [Sample]
  ) -> OperatorDefinition {
    // What flows back, with the sums that the forward operator's parts make again.
    let flow: OperatorParts = { (scope) throws(StackLensError) in
      let forward = GradientScope(
        node: scope.node, definition: scope.definition, graph: scope.graph,
        inputs: Array(scope.inputs.dropFirst()), outputs: [],
        outputGradients: [try scope.input(0)], wants: scope.inputs.dropFirst().map { $0 != nil },
        names: Array(scope.names.dropFirst()), types: scope.types)
      return try forward.flow(through: parts)
    }
    return OperatorDefinition(
      name, domain: "ai.stacklens", versions: [1], inputs: 3...(isCentred ? 4 : 3),
      outputs: 1...(isCentred ? 3 : 2),
      attributes: [.int("axis", default: -1), .float("epsilon", default: 1e-5)],
      infer: { (context) throws(StackLensError) in
        let (g, x) = (try context.input(0, oneOf: ElementType.reals), try context.input(1))
        guard g.shape == x.shape else { throw .shapeMismatch("gradient \(g) of a value \(x)") }
        let rows = try NormalizedRows(context, x.shape)
        let scale = try context.input(2)
        try rows.requireParameter(scale.shape)
        let bias = context.hasInput(3) ? try context.input(3) : scale
        try rows.requireParameter(bias.shape)
        return [x, scale] + (isCentred ? [bias] : [])
      },
      execution: .kernels([
        Kernel("vector") { (preparation) throws(StackLensError) in
          try rowGradientVector(preparation, isCentred: isCentred)
        },
        .reference { (preparation) throws(StackLensError) in
          try rowGradientReference(preparation, isCentred: isCentred)
        },
      ]),
      lower: lowered(flow), gradient: .composed(flow), samples: samples)
  }

  private static func rowGradientVector(
    _ preparation: Preparation, isCentred: Bool
  ) throws(StackLensError) -> PreparedKernel? {
    let rows = try NormalizedRows(preparation, preparation.input(1).shape)
    let (count, width) = (rows.count, rows.width)
    guard width > 0, preparation.outputs.allSatisfy({ $0.elementType == .float32 }),
      try preparation.input(0).elementType == .float32,
      preparation.outputs.dropFirst().allSatisfy({ $0.shape.count == width })
    else { return nil }
    let epsilon = try preparation.float("epsilon")
    // Sums over the rows are made in the same blocks whatever the number of threads.
    let blocks = max(1, min(32, count / 8))
    var plan = ScratchPlan()
    let room = try plan.reserve(try Shape([2 * blocks, width]).count, of: Float.self)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let (g, x) = (try run.input(0).floats, try run.input(1).floats)
      let scale = try run.input(2).floats
      let dx = run.outputs[0].floats
      let sums = (run.scratch + room).assumingMemoryBound(to: Float.self)
      sums.update(repeating: 0, count: 2 * blocks * width)
      run.parallel.forEach(blocks) { block in
        let range = count * block / blocks..<count * (block + 1) / blocks
        let start = range.lowerBound * width
        slk_layer_norm_gradient(
          g + start, x + start, scale, epsilon, isCentred, dx + start, sums + 2 * block * width,
          isCentred ? sums + (2 * block + 1) * width : nil, range.count, width)
      }
      for (index, output) in run.outputs.dropFirst().enumerated() {
        output.floats.update(repeating: 0, count: width)
        slk_sum_rows(sums + index * width, 2 * width, blocks, 0, width, output.floats)
      }
    }
  }

  private static func rowGradientReference(
    _ preparation: Preparation, isCentred: Bool
  ) throws(StackLensError) -> PreparedKernel {
    let rows = try NormalizedRows(preparation, preparation.input(1).shape)
    let scaleOffsets = try rows.offsets(preparation.input(2).shape)
    let biasOffsets = isCentred ? try rows.offsets(preparation.outputs[2].shape) : []
    let epsilon = Double(try preparation.float("epsilon"))
    let counts = preparation.outputs.map(\.shape.count)
    return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
      let (g, x, scale) = (try wide.input(0), try wide.input(1), try wide.input(2))
      let width = rows.width
      for (output, count) in zip(wide.outputs, counts).dropFirst() {
        output.update(repeating: 0, count: count)
      }
      for start in stride(from: 0, to: rows.count * width, by: max(1, width)) {
        var moments = Moments(x + start, count: width)
        if !isCentred {
          let squares = moments.variance + moments.mean * moments.mean
          moments = Moments(mean: 0, variance: squares)
        }
        let inverse = 1 / (moments.variance + epsilon).squareRoot()
        var (whole, along) = (0.0, 0.0)
        for i in 0..<width {
          let flowing = g[start + i] * scale[scaleOffsets[i]] / Double(width)
          whole += isCentred ? flowing : 0
          along += flowing * (x[start + i] - moments.mean) * inverse
        }
        for i in 0..<width {
          let normal = (x[start + i] - moments.mean) * inverse
          let flowing = g[start + i]
          wide.outputs[0][start + i] =
            inverse * (flowing * scale[scaleOffsets[i]] - whole - normal * along)
          wide.outputs[1][scaleOffsets[i]] += flowing * normal
          if isCentred { wide.outputs[2][biasOffsets[i]] += flowing }
        }
      }
    }
  }
}

/// The axes from the attribute `axis` on, as a value.
private func normalizedAxes(
  _ scope: GradientScope, _ x: Edge
) throws(StackLensError) -> Edge {
  let axis = Int64(try scope.int("axis"))
  let rank = scope.apply("Size", scope.shape(of: x))
  let zero = scope.graph.constant(try Tensor(scalar: Int64(0)))
  let start = scope.graph.constant(try Tensor(scalar: axis))
  let end = axis < 0 ? zero : rank
  return scope.apply("Range", start, end, scope.graph.constant(try Tensor(scalar: Int64(1))))
}

/// Y, mean and 1 / deviation of LayerNormalization, of the inputs x, scale and bias.
@Sendable func layerNormalizationParts(
  _ scope: GradientScope
) throws(StackLensError) -> [Edge?] {
  let (x, scale) = (try scope.input(0), try scope.input(1))
  let axes = try normalizedAxes(scope, x)
  let mean = scope.apply("ReduceMean", x, axes)
  let centred = x - mean
  let variance = scope.apply("ReduceMean", centred * centred, axes)
  let epsilon = try scope.scalar(Double(try scope.float("epsilon")), like: x)
  let inverse = scope.apply("Reciprocal", scope.apply("Sqrt", variance + epsilon))
  let y = centred * inverse * scale
  return [scope.hasInput(2) ? y + (try scope.input(2)) : y, mean, inverse]
}

/// Y of RMSNormalization, of the inputs x and scale.
@Sendable func rmsNormalizationParts(
  _ scope: GradientScope
) throws(StackLensError) -> [Edge?] {
  let (x, scale) = (try scope.input(0), try scope.input(1))
  let mean = scope.apply("ReduceMean", x * x, try normalizedAxes(scope, x))
  let epsilon = try scope.scalar(Double(try scope.float("epsilon")), like: x)
  let normal = x / scope.apply("Sqrt", mean + epsilon)
  return [scope.apply("CastLike", normal, scale) * scale]
}
