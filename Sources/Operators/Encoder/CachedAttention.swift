import Base
import CKernels
import Tensors

/// Attention of our own domain over keys and values that lie by their heads, a head at a time.
struct CachedAttention: Sendable {
  private let query: Shape
  private let (keyCount, valueWidth): (Int, Int)
  private let mask: AttentionMask?
  private let scale: Float
  private let (isGuarded, rounds): (Bool, Bool)
  private let (items, parts, partByteCount): (Int, Int, Int)

  /// Multiplications that are worth a part of their own.
  private static let partWork = 1 << 14

  /// Nil where anything is broadcast other than the mask over batch, heads and queries, and where
  /// weights are dropped.
  init?(_ preparation: Preparation) throws(StackLensError) {
    guard try preparation.flag("keys_by_head"), try preparation.input(0).elementType == .float32,
      !preparation.hasInput(4)
    else { return nil }
    let (key, value) = (try preparation.input(1).shape, try preparation.input(2).shape)
    query = try preparation.input(0).shape
    (keyCount, valueWidth) = (key[2], value[3])
    guard keyCount > 0, key.dims == [query[0], query[2], keyCount, query[3]],
      value.dims == [query[0], query[2], keyCount, valueWidth],
      preparation.outputs[0].shape.dims == [query[0], query[1], query[2], valueWidth]
    else { return nil }
    var mask: AttentionMask?
    if preparation.hasInput(3) {
      mask = AttentionMask(try preparation.input(3).shape, query: query, keyCount: keyCount)
      guard mask != nil else { return nil }
    }
    self.mask = mask
    scale = try preparation.float("scale")
    isGuarded = try preparation.flag("no_keys_as_zero")
    rounds = try preparation.flag("rounds_factors")
    items = query[0] * query[2]
    let work = try Shape([items, query[1], keyCount, query[3] + valueWidth]).count
    parts = max(1, min(preparation.threadCount * 3, items, work / Self.partWork))
    partByteCount = (slk_attention_scratch_bytes(keyCount, query[3], valueWidth) + 63) & ~63
  }

  var prepared: PreparedKernel {
    PreparedKernel(scratchByteCount: partByteCount * parts) { (run) throws(StackLensError) in
      guard run.outputs[0].count > 0 else { return }
      try compute(run)
    }
  }

  private func compute(_ run: Invocation) throws(StackLensError) {
    let (length, heads, width) = (query[1], query[2], query[3])
    let (q, k, v) = (
      try run.input(0).floats, try run.input(1).floats, try run.input(2).floats
    )
    let (y, scratch) = (run.outputs[0].floats, run.scratch)
    let bias = mask == nil ? nil : UnsafePointer(try run.input(3).floats)
    var settings = slk_attention_view()
    (settings.q_stride, settings.out_stride) = (heads * width, heads * valueWidth)
    (settings.k_stride, settings.v_stride) = (width, valueWidth)
    (settings.query_count, settings.key_count) = (length, keyCount)
    (settings.head_size, settings.value_size) = (width, valueWidth)
    settings.scale = scale
    (settings.before, settings.after) = (Int(bitPattern: UInt.max), Int(bitPattern: UInt.max))
    (settings.empty_is_zero, settings.bf16) = (isGuarded, rounds)
    let common = settings
    run.parallel.forEach(parts) { part in
      var view = common
      for item in items * part / parts..<items * (part + 1) / parts {
        let (batch, head) = item.quotientAndRemainder(dividingBy: heads)
        view.q = UnsafePointer(q + (batch * length * heads + head) * width)
        view.k = UnsafePointer(k + item * keyCount * width)
        view.v = UnsafePointer(v + item * keyCount * valueWidth)
        view.out = y + (batch * length * heads + head) * valueWidth
        if let mask, let bias {
          view.bias = bias + batch * mask.batchStride + head * mask.headStride
          view.bias_row_stride = mask.rowStride
        }
        slk_attend(&view, scratch + part * partByteCount)
      }
    }
  }
}
