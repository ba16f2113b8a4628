import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// softmax(scale · Q Kᵀ + mask) V for each head. Made by the compile passes.
  ///
  /// Inputs: query, key, value [B, L, heads · d]; mask, added to the scores, of a shape that
  /// broadcasts to [B, 1, L, L] (optional). Output: [B, L, heads · d].
  static let attention = OperatorDefinition(
    "Attention", domain: stackLensDomain, versions: [1], inputs: 3...4,
    attributes: [.required("heads", .int), .float("scale", default: 1)],
    infer: { (context) throws(StackLensError) in
      let query = try context.input(0, oneOf: [.float32])
      let heads = try context.int("heads")
      guard query.rank == 3, heads > 0, query.shape[2] % heads == 0,
        try context.input(1) == query, try context.input(2) == query
      else {
        throw .unsupported(
          "queries \(query), keys \(try context.input(1)) and values \(try context.input(2)) of "
            + "\(heads) heads must have one shape [batch, length, heads · width]")
      }
      if context.hasInput(3) { _ = try AttentionMask(context.input(3), query.shape) }
      return [query]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let shape = try preparation.input(0).shape
        let (heads, scale) = (try preparation.int("heads"), try preparation.float("scale"))
        let (length, width) = (shape[1], shape[2])
        let mask =
          preparation.hasInput(3) ? try AttentionMask(preparation.input(3), shape) : nil
        let parts = min(preparation.threadCount * 3, max(shape[0] * heads, 1))
        let scratchBytes = (slk_attention_scratch_bytes(length, width / heads) + 63) & ~63
        return PreparedKernel(scratchByteCount: scratchBytes * parts) {
          (run) throws(StackLensError) in
          var settings = slk_attention()
          settings.q = UnsafePointer(try run.input(0).floats)
          settings.k = UnsafePointer(try run.input(1).floats)
          settings.v = UnsafePointer(try run.input(2).floats)
          (settings.q_stride, settings.k_stride) = (width, width)
          (settings.v_stride, settings.out_stride) = (width, width)
          settings.out = run.outputs[0].floats
          settings.head_size = width / heads
          settings.scale = scale
          let items = shape[0] * heads
          let bias = mask == nil ? nil : UnsafePointer(try run.input(3).floats)
          let (common, scratch) = (settings, run.scratch)
          run.parallel.forEach(parts) { part in
            var settings = common
            for item in items * part / parts..<items * (part + 1) / parts {
              let batch = item / heads
              if let mask, let bias {
                settings.bias = bias + batch * mask.batchStride
                settings.bias_row_stride = mask.rowStride
              }
              slk_attention_head(
                &settings, batch * length, (batch + 1) * length, item % heads,
                scratch + part * scratchBytes)
            }
          }
        }
      }
    ]),
    samples: [
      Sample(
        [.floats(2, 3, 8), .floats(2, 3, 8), .floats(2, 3, 8), .floats(2, 1, 1, 3)],
        ["heads": .int(2), "scale": .float(0.5)]),
      Sample([.floats(1, 5, 6), .floats(1, 5, 6), .floats(1, 5, 6)], ["heads": .int(3)]),
    ])
}

/// How a mask is read for one text: the keys of a row lie side by side.
private struct AttentionMask {
  let batchStride: Int
  let rowStride: Int

  init(_ type: TensorType, _ query: Shape) throws(StackLensError) {
    let length = query[1]
    let dims = [Int](repeating: 1, count: max(0, 4 - type.rank)) + type.shape.dims
    guard type.elementType == .float32, dims.count == 4, dims[0] == 1 || dims[0] == query[0],
      dims[1] == 1, dims[2] == 1 || dims[2] == length, dims[3] == length
    else {
      throw .unsupported("mask \(type) does not broadcast to [\(query[0]), 1, \(length), \(length)]")
    }
    rowStride = dims[2] == 1 ? 0 : length
    batchStride = dims[0] == 1 ? 0 : dims[2] * length
  }
}
