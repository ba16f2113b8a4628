import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// softmax(scale · Q Kᵀ + mask) V for each head. Made by the compile passes.
  ///
  /// Inputs: query [B, L, H, D], key [B, M, H, D], value [B, M, H, E]; mask, added to the scores
  /// [B, H, L, M] (optional); ratio and seed of a dropout of the weights with the `salt`, as
  /// SeededDropout has them (optional). Everything broadcasts as in the products and the sum that this stands
  /// for. Output: [B, L, H, E]. With no_keys_as_zero a row of weights that are not numbers, because
  /// the mask leaves no key, counts as zeros. With keys_by_head keys and values are [B, H, M, D] and
  /// [B, H, M, E], as caches hold them; keeps_query_length is told in `AttentionShapes`. With
  /// rounds_factors the products round theirs to bfloat16, where the processor has such products.
  static let attention = OperatorDefinition(
    "Attention", domain: stackLensDomain, versions: [1], inputs: 3...6,
    attributes: [
      .float("scale", default: 1), .int("no_keys_as_zero", default: 0),
      .int("keeps_query_length", default: 0), .int("keys_by_head", default: 0),
      .int("rounds_factors", default: 0), .int("salt", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      let query = try context.input(0, oneOf: [.float32, .float64, .float16, .bfloat16])
      _ = try context.sameElementType(0, 1, 2, 3)
      try requireDropping(context, 4)
      let shapes = try AttentionShapes(context.inputs, context)
      return [TensorType(query.elementType, shapes.output)]
    },
    execution: .kernels([
      Kernel("heads", prepare: attentionByHeads),
      Kernel("cached heads") { (preparation) throws(StackLensError) in
        try CachedAttention(preparation)?.prepared
      },
      Kernel("packed") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32, !preparation.hasInput(4)
        else { return nil }
        let shapes = try AttentionShapes(preparation.inputs, preparation)
        let scale = try preparation.float("scale")
        var plan = ScratchPlan()
        let scoreRoom = try plan.reserve(shapes.scores.count, of: Float.self)
        let mixedRoom = try plan.reserve(shapes.mixed.count, of: Float.self)
        let scoring = try PackedProduct(
          shapes.scoring, packedB: nil, threadCount: preparation.threadCount, plan: &plan)
        let mixing = try PackedProduct(
          shapes.mixing, packedB: nil, threadCount: preparation.threadCount, plan: &plan)
        let weights = try AttentionWeights<Float>(shapes, &plan)
        let isGuarded = try preparation.flag("no_keys_as_zero")
        return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
          let inputs = run.inputs.map { $0.map { UnsafePointer($0.floats) } }
          guard let query = inputs[0], let key = inputs[1], let value = inputs[2] else { return }
          let scores = (run.scratch + scoreRoom).assumingMemoryBound(to: Float.self)
          let mixed = (run.scratch + mixedRoom).assumingMemoryBound(to: Float.self)
          scoring.compute(
            query, key, scores, ProductEpilogue(alpha: scale), run.scratch, run.parallel)
          let masked = weights.masked(scores, inputs.count > 3 ? inputs[3] : nil, run)
          let length = shapes.keyCount
          if length > 0 {
            run.parallel.ranges(shapes.rowCount, grain: max(1, costlyGrain / length)) { range in
              let rows = masked + range.lowerBound * length
              slk_softmax_rows(rows, length, rows, length, range.count, length)
              guard isGuarded else { return }
              for i in 0..<range.count * length where rows[i].isNaN { rows[i] = 0 }
            }
          }
          mixing.compute(
            UnsafePointer(masked), value, mixed, ProductEpilogue(), run.scratch, run.parallel)
          shapes.interleave(mixed, to: run.outputs[0].floats)
        }
      },
      .reference { (preparation) throws(StackLensError) in
        let shapes = try AttentionShapes(preparation.inputs, preparation)
        let scale = Double(try preparation.float("scale"))
        let isGuarded = try preparation.flag("no_keys_as_zero")
        let salt = try preparation.int("salt")
        return try wideKernel(Double.self, preparation, inputs: 4) {
          (wide) throws(StackLensError) in
          let (query, key) = (try wide.input(0), try wide.input(1))
          let mask = wide.inputs.count > 3 ? wide.inputs[3] : nil
          shapes.plainly(
            query, key, try wide.input(2), mask, scale, isGuarded,
            try Dropping(of: wide.run, 4, salt), wide.outputs[0], wide.run.parallel)
        }
      },
    ]),
    lower: lowered(attentionParts), gradient: .attention,
    samples: [
      Sample(
        [.floats(2, 3, 2, 4), .floats(2, 3, 2, 4), .floats(2, 3, 2, 4), .floats(2, 1, 1, 3)],
        ["scale": .float(0.5)]),
      Sample(
        [.floats(1, 5, 3, 2), .floats(1, 5, 3, 2), .floats(1, 5, 3, 2)],
        ["no_keys_as_zero": .int(1)]),
      Sample(
        [.floats(2, 3, 2, 4), .floats(2, 3, 2, 4), .floats(2, 3, 2, 4), .floats(2, 2, 3, 3)]),
      Sample(
        [.floats(2, 3, 2, 4), .floats(1, 7, 2, 4), .floats(2, 7, 1, 6), .floats(1, 1, 1, 1)],
        ["scale": .float(0.5)]),
      Sample(
        [.floats(1, 1, 2, 4), .floats(1, 1, 2, 4), .floats(1, 3, 2, 4), .floats(2, 1, 5, 3)]),
      Sample(
        [.floats(1, 1, 2, 4), .floats(1, 3, 2, 4), .floats(2, 3, 2, 5), .floats(1, 2, 5, 3)],
        ["keeps_query_length": .int(1)]),
      Sample(
        [.floats(2, 1, 3, 4), .floats(2, 3, 7, 4), .floats(2, 3, 7, 5), .floats(2, 1, 1, 7)],
        ["keys_by_head": .int(1), "scale": .float(0.5), "no_keys_as_zero": .int(1)]),
      Sample(
        [.floats(1, 6, 2, 4), .floats(1, 2, 6, 4), .floats(1, 2, 6, 4), .floats(2, 6, 6)],
        ["keys_by_head": .int(1)]),
      Sample(
        [.floats(2, 3, 2, 4), .floats(1, 2, 7, 4), .floats(2, 1, 7, 6), .floats(1, 1, 3, 1)],
        ["keys_by_head": .int(1)]),
      Sample([.floats(2, 0, 2, 4), .floats(2, 3, 2, 4), .floats(2, 3, 2, 4)]),
      Sample(
        [
          .floats(2, 5, 3, 4), .floats(2, 5, 3, 4), .floats(2, 5, 3, 4), .absent,
          .tensor(quarter), .tensor(seed),
        ], ["salt": .int(5)]),
      Sample(
        [
          .floats(2, 3, 2, 4), .floats(1, 7, 2, 4), .floats(2, 7, 1, 6), .floats(1, 1, 1, 1),
          .tensor(quarter), .tensor(seed),
        ], ["scale": .float(0.5)]),
      Sample([.floats(2, 2, 2, 4), .floats(2, 0, 2, 4), .floats(2, 0, 2, 4)]),
      Sample([
        .random(.float16, [1, 2, 1, 4], low: -1, high: 1),
        .random(.float16, [1, 3, 1, 4], low: -1, high: 1),
        .random(.float16, [1, 3, 1, 4], low: -1, high: 1),
      ]),
    ])

  /// Self-attention in one pass over each head: equal shapes, a mask over the keys of each text.
  private static func attentionByHeads(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    let query = try preparation.input(0)
    guard query.elementType == .float32, try preparation.input(1) == query,
      try preparation.input(2) == query, try !preparation.flag("keys_by_head")
    else { return nil }
    let shape = query.shape
    let (length, heads, headSize) = (shape[1], shape[2], shape[3])
    var mask: AttentionMask?
    if preparation.hasInput(3) {
      mask = AttentionMask(try preparation.input(3).shape, query: shape)
      guard mask != nil else { return nil }
    }
    let (scale, width) = (try preparation.float("scale"), heads * headSize)
    let isGuarded = try preparation.flag("no_keys_as_zero")
    let rounds = try preparation.flag("rounds_factors")
    let salt = try preparation.int("salt")
    let rows = mask
    let items = shape[0] * heads
    let parts = min(preparation.threadCount * 3, max(items, 1))
    let scratchBytes = (slk_attention_scratch_bytes(length, headSize, headSize) + 63) & ~63
    return PreparedKernel(scratchByteCount: scratchBytes * parts) { (run) throws(StackLensError) in
      guard run.outputs[0].count > 0 else { return }
      var settings = slk_attention()
      settings.q = UnsafePointer(try run.input(0).floats)
      settings.k = UnsafePointer(try run.input(1).floats)
      settings.v = UnsafePointer(try run.input(2).floats)
      (settings.q_stride, settings.k_stride) = (width, width)
      (settings.v_stride, settings.out_stride) = (width, width)
      settings.out = run.outputs[0].floats
      settings.head_size = headSize
      settings.scale = scale
      settings.no_keys_as_zero = isGuarded
      settings.bf16 = rounds
      let bias = rows == nil ? nil : UnsafePointer(try run.input(3).floats)
      let dropping = try Dropping(of: run, 4, salt)
      let (common, scratch) = (settings, run.scratch)
      run.parallel.forEach(parts) { part in
        var settings = common
        for item in items * part / parts..<items * (part + 1) / parts {
          let batch = item / heads
          if let rows, let bias {
            settings.bias = bias + batch * rows.batchStride
            settings.bias_head_stride = rows.headStride
            settings.bias_row_stride = rows.rowStride
          }
          if let dropping {
            settings.dropping = dropping.native(from: item &* length &* length)
          }
          slk_attention_head(
            &settings, batch * length, (batch + 1) * length, item % heads,
            scratch + part * scratchBytes)
        }
      }
    }
  }
}

/// How a mask is read beside the scores of one head: the keys of a row lie side by side.
struct AttentionMask {
  let batchStride: Int
  let headStride: Int
  let rowStride: Int

  /// Nil for a mask that does not have all keys, or that repeats the scores.
  /// - Parameter keyCount: nil where there are as many keys as queries.
  init?(_ mask: Shape, query: Shape, keyCount: Int? = nil) {
    let dims = [Int](repeating: 1, count: max(0, 4 - mask.rank)) + mask.dims
    let scores = [query[0], query[2], query[1], keyCount ?? query[1]]
    guard dims.count == 4, dims[3] == scores[3],
      zip(dims, scores).allSatisfy({ $0 == 1 || $0 == $1 })
    else { return nil }
    rowStride = dims[2] == 1 ? 0 : dims[3]
    headStride = dims[1] == 1 ? 0 : dims[2] * dims[3]
    batchStride = dims[0] == 1 ? 0 : dims[1] * dims[2] * dims[3]
  }
}
