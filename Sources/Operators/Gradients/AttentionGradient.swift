import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// Back through Attention of our own domain: from g and its inputs, the gradients of queries,
  /// keys, values and mask. The weights are computed again, a few rows at a time.
  static let attentionGradient = OperatorDefinition(
    "AttentionGradient", domain: "ai.stacklens", versions: [1], inputs: 4...7, outputs: 1...4,
    attributes: [
      .float("scale", default: 1), .int("no_keys_as_zero", default: 0),
      .int("keeps_query_length", default: 0), .int("keys_by_head", default: 0),
      .int("rounds_factors", default: 0), .int("salt", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: [.float32, .float64, .float16, .bfloat16])
      _ = try context.sameElementType(0, 1, 2, 3, 4)
      try requireDropping(context, 5)
      let forward = Array(context.inputs.dropFirst())
      let shapes = try AttentionShapes(forward, context)
      guard g.shape == shapes.output else {
        throw .shapeMismatch("gradient \(g) of attention that makes \(shapes.output)")
      }
      let mask = context.hasInput(4) ? try context.input(4) : TensorType(g.elementType, .scalar)
      return [try context.input(1), try context.input(2), try context.input(3), mask]
    },
    execution: .kernels([
      Kernel("heads", prepare: attentionGradientByHeads),
      .reference { (preparation) throws(StackLensError) in
        let shapes = try AttentionShapes(Array(preparation.inputs.dropFirst()), preparation)
        let scale = Double(try preparation.float("scale"))
        let isGuarded = try preparation.flag("no_keys_as_zero")
        let counts = preparation.outputs.map(\.shape.count)
        let salt = try preparation.int("salt")
        return try wideKernel(Double.self, preparation, inputs: 5) {
          (wide) throws(StackLensError) in
          for (output, count) in zip(wide.outputs, counts) {
            output.update(repeating: 0, count: count)
          }
          shapes.backPlainly(
            try wide.input(0), (try wide.input(1), try wide.input(2), try wide.input(3)),
            wide.inputs.count > 4 ? wide.inputs[4] : nil, scale, isGuarded,
            try Dropping(of: wide.run, 5, salt), wide.outputs)
        }
      },
    ]),
    lower: lowered(attentionFlow), gradient: .composed(inputs: 5, attentionFlow),
    samples: [
      Sample(
        [
          .floats(2, 3, 2, 4), .floats(2, 3, 2, 4), .floats(2, 3, 2, 4), .floats(2, 3, 2, 4),
          .floats(2, 1, 1, 3),
        ], ["scale": .float(0.5)], outputs: 3),
      Sample(
        [
          .floats(1, 70, 3, 5), .floats(1, 70, 3, 5), .floats(1, 70, 3, 5), .floats(1, 70, 3, 5),
          .floats(1, 3, 70, 70),
        ], ["no_keys_as_zero": .int(1)], outputs: 3),
      Sample(
        [.floats(1, 5, 3, 2), .floats(1, 5, 3, 2), .floats(1, 5, 3, 2), .floats(1, 5, 3, 2)],
        outputs: 3),
      Sample(
        [
          .floats(2, 3, 2, 6), .floats(2, 3, 2, 4), .floats(1, 7, 2, 4), .floats(2, 7, 1, 6),
          .floats(1, 1, 1, 1),
        ], ["scale": .float(0.5)], outputs: 4),
      Sample(
        [
          .floats(2, 1, 4, 5), .floats(1, 1, 2, 4), .floats(1, 3, 2, 4), .floats(2, 3, 2, 5),
          .floats(1, 2, 2, 3),
        ], ["keeps_query_length": .int(1)], outputs: 4),
      Sample(
        [.floats(2, 0, 2, 4), .floats(2, 0, 2, 4), .floats(2, 0, 2, 4), .floats(2, 0, 2, 4)],
        outputs: 3),
      Sample(
        [
          .floats(2, 5, 3, 4), .floats(2, 5, 3, 4), .floats(2, 5, 3, 4), .floats(2, 5, 3, 4),
          .floats(2, 1, 1, 5), .tensor(quarter), .tensor(seed),
        ], ["salt": .int(5), "scale": .float(0.5)], outputs: 3),
      Sample(
        [
          .floats(1, 70, 2, 5), .floats(1, 70, 2, 5), .floats(1, 70, 2, 5),
          .floats(1, 70, 2, 5), .absent, .tensor(quarter), .tensor(seed),
        ], outputs: 3),
    ])

  /// Self-attention, one head at a time: equal shapes, a mask over the keys of each text.
  private static func attentionGradientByHeads(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    let query = try preparation.input(1)
    guard query.elementType == .float32, try preparation.input(2) == query,
      try preparation.input(3) == query, try preparation.input(0) == query,
      try !preparation.flag("keys_by_head")
    else { return nil }
    let names = preparation.node.outputs
    let wantsMask = preparation.hasInput(4) && names.count > 3 && !names[3].isEmpty
    let shape = query.shape
    let (length, heads, headSize) = (shape[1], shape[2], shape[3])
    var mask: AttentionMask?
    if preparation.hasInput(4) {
      mask = AttentionMask(try preparation.input(4).shape, query: shape)
      guard mask != nil, !wantsMask else { return nil }
    }
    let (scale, width) = (try preparation.float("scale"), heads * headSize)
    let isGuarded = try preparation.flag("no_keys_as_zero")
    let rounds = try preparation.flag("rounds_factors")
    let salt = try preparation.int("salt")
    let rows = mask
    let items = shape[0] * heads
    let parts = min(preparation.threadCount * 3, max(items, 1))
    let bytes = slk_attention_gradient_scratch_bytes(length, headSize, headSize)
    let room = (bytes + 63) & ~63
    return PreparedKernel(scratchByteCount: room * parts) { (run) throws(StackLensError) in
      run.outputs[3].floats.update(repeating: 0, count: run.outputs[3].count)
      guard run.outputs[0].count > 0 else { return }
      let (g, q) = (try run.input(0).floats, try run.input(1).floats)
      let (k, v) = (try run.input(2).floats, try run.input(3).floats)
      let (dq, dk, dv) = (run.outputs[0].floats, run.outputs[1].floats, run.outputs[2].floats)
      let bias = rows == nil ? nil : UnsafePointer(try run.input(4).floats)
      let (dropping, scratch) = (try Dropping(of: run, 5, salt), run.scratch)
      run.parallel.forEach(parts) { part in
        var view = slk_attention_view()
        (view.q_stride, view.k_stride, view.v_stride) = (width, width, width)
        (view.out_stride, view.head_size, view.value_size) = (width, headSize, headSize)
        (view.query_count, view.key_count, view.scale) = (length, length, scale)
        (view.before, view.after) = (Int(bitPattern: UInt.max), Int(bitPattern: UInt.max))
        view.empty_is_zero = isGuarded
        view.bf16 = rounds
        for item in items * part / parts..<items * (part + 1) / parts {
          let (batch, head) = item.quotientAndRemainder(dividingBy: heads)
          let start = batch * length * width + head * headSize
          (view.q, view.k, view.v) = (
            UnsafePointer(q + start), UnsafePointer(k + start), UnsafePointer(v + start)
          )
          if let rows, let bias {
            view.bias = bias + batch * rows.batchStride + head * rows.headStride
            view.bias_row_stride = rows.rowStride
          }
          if let dropping { view.dropping = dropping.native(from: item &* length &* length) }
          var flow = slk_attention_flow(
            g: g + start, dq: dq + start, dk: dk + start, dv: dv + start)
          slk_attend_back(&view, &flow, scratch + part * room)
        }
      }
    }
  }
}

/// What flows back, through the nodes that Attention stands for.
@Sendable private func attentionFlow(
  _ scope: GradientScope
) throws(StackLensError) -> [Edge?] {
  let forward = GradientScope(
    node: scope.node, definition: scope.definition, graph: scope.graph,
    inputs: Array(scope.inputs.dropFirst()), outputs: [],
    outputGradients: [try scope.input(0)],
    wants: scope.inputs.dropFirst().enumerated().map { $0 < 4 && $1 != nil },
    names: Array(scope.names.dropFirst()), types: scope.types)
  return Array(try forward.flow(through: attentionParts).prefix(4))
}

/// Attention of our own domain in the standard's operators.
@Sendable func attentionParts(_ scope: GradientScope) throws(StackLensError) -> [Edge?] {
  func turned(_ edge: Edge, _ order: [Int64]) -> Edge {
    scope.apply("Transpose", edge, attributes: ["perm": .ints(order)])
  }
  let (query, value) = (try scope.input(0), try scope.input(2))
  let byHead = try scope.flag("keys_by_head")
  let scale = try scope.scalar(Double(try scope.float("scale")), like: query)
  let keys = turned(try scope.input(1), byHead ? [0, 1, 3, 2] : [0, 2, 3, 1])
  var scores = scope.apply("MatMul", turned(query, [0, 2, 1, 3]), keys) * scale
  if scope.hasInput(3) { scores = try scores + scope.input(3) }
  var weights = scope.apply("Softmax", scores)
  if try scope.flag("no_keys_as_zero") {
    let zero = try scope.scalar(0, like: query)
    weights = scope.choose(scope.apply("IsNaN", weights), zero, weights)
  }
  if scope.hasInput(4) {
    weights = scope.graph.add(
      "SeededDropout", [weights, try scope.input(4), try scope.input(5)],
      ["salt": .int(Int64(try scope.int("salt")))], domain: "ai.stacklens")
  }
  var mixed = scope.apply("MatMul", weights, byHead ? value : turned(value, [0, 2, 1, 3]))
  if try scope.flag("keeps_query_length") {
    func extent(_ edge: Edge, _ axis: Int64) -> Edge {
      scope.apply(
        "Shape", edge, attributes: ["start": .int(axis), "end": .int(axis + 1)])
    }
    let whole = scope.graph.add(
      "Concat", [extent(mixed, 0), try scope.ints([-1]), extent(query, 1), extent(mixed, 3)],
      ["axis": .int(0)])
    mixed = scope.apply("Reshape", mixed, whole)
  }
  return [turned(mixed, [0, 2, 1, 3])]
}

extension GradientRule {
  static let attention = GradientRule(inputs: 4) { (scope) throws(StackLensError) in
    scope.graph.add(
      "AttentionGradient", [try scope.arriving()] + scope.inputs, scope.node.attributes,
      domain: "ai.stacklens", wanted: scope.inputs.indices.prefix(4).map { scope.wants($0) })
  }
}

extension AttentionShapes {
  /// The gradients of queries, keys, values and mask, row by row, added to `targets`.
  fileprivate func backPlainly(
    _ g: UnsafePointer<Double>,
    _ operands: (
      query: UnsafePointer<Double>, key: UnsafePointer<Double>, value: UnsafePointer<Double>
    ), _ mask: UnsafePointer<Double>?, _ scale: Double, _ isGuarded: Bool,
    _ dropping: Dropping?, _ targets: [UnsafeMutablePointer<Double>]
  ) {
    let (length, width) = (mixed[2], mixed[3])
    guard mixed.count > 0, keyCount > 0 else { return }
    for row in 0..<mixed.count(0..<3) {
      let (entry, i) = row.quotientAndRemainder(dividingBy: length)
      let places = keyPlaces(entry, i)
      let weights = rowWeights(places, operands.query, operands.key, mask, scale, isGuarded)
      let kept = keptShares(entry, i, dropping)
      let start = mixing.offsets(entry).b
      let arriving = g + outputRow(entry, i) * width
      let flowing = weights.indices.map { j in
        var sum = 0.0
        for column in 0..<width {
          let place = start + j * mixing.bRow + column
          sum += arriving[column] * operands.value[place]
          targets[2][place] += weights[j] * kept[j] * arriving[column]
        }
        return sum * kept[j]
      }
      let whole = zip(weights, flowing).reduce(0) { $0 + $1.0 * $1.1 }
      for (j, place) in places.enumerated() {
        let score = weights[j] * (flowing[j] - whole)
        if mask != nil { targets[3][place.mask] += score }
        for d in 0..<scoring.k {
          targets[0][place.query + d] += scale * score * operands.key[place.key + d]
          targets[1][place.key + d] += scale * score * operands.query[place.query + d]
        }
      }
    }
  }
}
