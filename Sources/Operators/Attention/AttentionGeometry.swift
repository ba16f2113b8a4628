import Base
import Graphs
import Tensors

/// The extents of ONNX Attention and where each head lies in memory.
struct AttentionGeometry: Sendable {
  /// Elements from one batch entry, head and row to the next; rows are contiguous.
  struct Layout: Sendable {
    let batch: Int
    let head: Int
    let row: Int

    /// [batch, heads, length, width], or [batch, length, heads * width].
    init(_ shape: Shape, heads: Int) {
      // Heads without elements may be many: only extents are multiplied.
      batch = shape.count(1..<shape.rank)
      (head, row) =
        shape.rank == 4
        ? (shape.count(2..<4), shape[3]) : (shape[2] / max(1, heads), shape[2])
    }

    /// Where a row of a head begins.
    func start(_ batch: Int, _ head: Int, _ row: Int = 0) -> Int {
      batch * self.batch + head * self.head + row * self.row
    }
  }
  let batch: Int
  let queryHeads: Int
  let keyHeads: Int
  let queryCount: Int
  /// Keys that come before those of this call, and all keys.
  let pastCount: Int
  let keyCount: Int
  let headSize: Int
  let valueSize: Int
  let query: Layout
  let key: Layout
  let value: Layout
  let output: Layout
  let hasPast: Bool
  let outputShape: Shape
  let presentKeyShape: Shape
  let presentValueShape: Shape
  let scoreShape: Shape
  /// Steps of the mask over batch, heads, queries and keys, and how many keys it covers.
  let maskSteps: [Int]
  let maskedKeyCount: Int

  /// - Throws: `.shapeMismatch` or `.invalidArgument` saying which extents do not fit.
  init(_ view: some NodeView, _ inputs: [TensorType?]) throws(StackLensError) {
    func shape(_ index: Int) -> Shape? { index < inputs.count ? inputs[index]?.shape : nil }
    guard let q = shape(0), let k = shape(1), let v = shape(2) else {
      throw .invalidArgument("query, key or value is missing")
    }
    guard q.rank == 3 || q.rank == 4, k.rank == q.rank, v.rank == q.rank else {
      throw .shapeMismatch(
        "query \(q), key \(k) and value \(v) must all have 3 or all have 4 axes")
    }
    (queryHeads, keyHeads) = try Self.heads(view, q, k)
    let isFlat = q.rank == 3
    func extents(
      _ shape: Shape, _ heads: Int, _ name: String
    ) throws(StackLensError) -> (length: Int, width: Int) {
      guard isFlat ? shape[2] % heads == 0 : shape[1] == heads else {
        throw .shapeMismatch("\(name) of shape \(shape) does not hold \(heads) heads")
      }
      return isFlat ? (shape[1], shape[2] / heads) : (shape[2], shape[3])
    }
    let (queries, keys) = (try extents(q, queryHeads, "query"), try extents(k, keyHeads, "key"))
    let values = try extents(v, keyHeads, "value")
    guard k[0] == q[0], v[0] == q[0], keys.width == queries.width, keys.length == values.length
    else { throw .shapeMismatch("query \(q), key \(k) and value \(v) do not fit together") }
    (batch, queryCount) = (q[0], queries.length)
    (headSize, valueSize) = (queries.width, values.width)
    (hasPast, pastCount) = try Self.past(
      shape(4), shape(5), [q[0], keyHeads], headSize, valueSize)
    keyCount = try extentSum([pastCount, keys.length])
    try requireWalkable(keyCount, k)
    try requireWalkable(queryCount, q)
    (query, key, value) = (
      Layout(q, heads: queryHeads), Layout(k, heads: keyHeads), Layout(v, heads: keyHeads)
    )
    outputShape = try Shape(
      isFlat
        ? [batch, queryCount, extentProduct(queryHeads, valueSize)]
        : [batch, queryHeads, queryCount, valueSize])
    output = Layout(outputShape, heads: queryHeads)
    presentKeyShape = try Shape([batch, keyHeads, keyCount, headSize])
    presentValueShape = try Shape([batch, keyHeads, keyCount, valueSize])
    scoreShape = try Shape([batch, queryHeads, queryCount, keyCount])
    (maskSteps, maskedKeyCount) = try Self.mask(shape(3), scoreShape)
    if let counts = shape(6) {
      guard !hasPast else {
        throw .invalidArgument("nonpad_kv_seqlen and past keys exclude each other")
      }
      guard counts.dims == [batch] else {
        throw .shapeMismatch("nonpad_kv_seqlen has shape \(counts), expected [\(batch)]")
      }
    }
  }

  /// How many heads queries and keys have: attributes for three axes, extents for four.
  private static func heads(
    _ view: some NodeView, _ q: Shape, _ k: Shape
  ) throws(StackLensError) -> (query: Int, key: Int) {
    guard q.rank == 3 else {
      guard !view.has("q_num_heads"), !view.has("kv_num_heads") else {
        throw .invalidArgument("q_num_heads and kv_num_heads are only for inputs with three axes")
      }
      guard k[1] > 0 ? q[1] % k[1] == 0 : q[1] == 0 else {
        throw .shapeMismatch("\(q[1]) heads of the query cannot share \(k[1]) of the key")
      }
      return (q[1], k[1])
    }
    let (query, key) = (try view.int("q_num_heads"), try view.int("kv_num_heads"))
    guard query > 0, key > 0, query % key == 0 else {
      throw .invalidArgument("\(query) heads of the query cannot share \(key) of the key")
    }
    return (query, key)
  }

  private static func past(
    _ key: Shape?, _ value: Shape?, _ batch: [Int], _ headSize: Int, _ valueSize: Int
  ) throws(StackLensError) -> (exists: Bool, count: Int) {
    guard let key, let value else {
      guard key == nil, value == nil else {
        throw .invalidArgument("past_key and past_value must be given together")
      }
      return (false, 0)
    }
    guard key.rank == 4, value.rank == 4, key.dims == batch + [key[2], headSize],
      value.dims == batch + [key[2], valueSize]
    else {
      throw .shapeMismatch(
        "past_key \(key) and past_value \(value) do not fit \(batch), \(headSize), \(valueSize)")
    }
    return (true, key[2])
  }

  /// A mask may cover fewer keys than there are; those beyond it are left out.
  private static func mask(
    _ mask: Shape?, _ scores: Shape
  ) throws(StackLensError) -> (steps: [Int], keys: Int) {
    guard let mask else { return ([0, 0, 0, 0], scores[3]) }
    guard mask.rank >= 1, mask.rank <= 4, let keys = mask.dims.last, keys <= scores[3] else {
      throw .shapeMismatch("attn_mask of shape \(mask) does not fit scores of \(scores)")
    }
    let covered = try Shape(Array(scores.dims[..<3]) + [keys])
    guard let joint = try? mask.broadcast(with: covered), joint == covered else {
      throw .shapeMismatch("attn_mask of shape \(mask) does not fit scores of \(scores)")
    }
    return (mask.broadcastStrides(to: covered), keys)
  }

  /// Query heads that share a head of the keys.
  var groupSize: Int { keyHeads > 0 ? queryHeads / keyHeads : 1 }
}

/// Which keys a query sees, and how scores are changed before the softmax.
struct AttentionRules: Sendable {
  let scale: Float
  let softcap: Float
  /// Keys before and after a query's own place that it sees; nil for all.
  let before: Int?
  let after: Int?
  let scoreMode: Int

  init(_ view: some NodeView, headSize: Int) throws(StackLensError) {
    scale =
      view.has("scale") ? try view.float("scale") : Float(1 / Double(headSize).squareRoot())
    softcap = try view.float("softcap")
    guard softcap >= 0 else {
      throw .invalidArgument("attribute 'softcap' is \(softcap), expected 0 or more")
    }
    let (left, right) = (try view.int("left_window_size"), try view.int("right_window_size"))
    guard left >= -1, right >= -1 else {
      throw .invalidArgument("windows of \(left) and \(right) keys, expected -1 or more")
    }
    before = left < 0 ? nil : left
    if try view.flag("is_causal") { after = 0 } else { after = right < 0 ? nil : right }
    scoreMode = try view.int("qk_matmul_output_mode")
    guard (0...3).contains(scoreMode) else {
      throw .invalidArgument("attribute 'qk_matmul_output_mode' is \(scoreMode), expected 0 to 3")
    }
    if view.has("softmax_precision") {
      let code = try view.int("softmax_precision")
      guard Int32(exactly: code).flatMap(ElementType.init)?.isFloat == true else {
        throw .invalidArgument(
          "attribute 'softmax_precision' is \(code), expected a floating-point type")
      }
    }
  }

  /// The keys among `count` that a query at `place` sees.
  func seen(at place: Int, of count: Int) -> Range<Int> {
    let (first, firstBeyond) = place.subtractingReportingOverflow(before ?? 0)
    let (last, lastBeyond) = place.addingReportingOverflow(after ?? 0)
    let from = before == nil || firstBeyond ? 0 : min(max(first, 0), count)
    let to = after == nil || lastBeyond || last >= count ? count : max(last + 1, 0)
    return from..<max(from, to)
  }
}

extension Invocation {
  /// How many keys of each batch entry are no padding; nil when the input is left out.
  /// - Throws: `.invalidArgument` for a count that the keys do not have.
  func validKeyCounts(
    _ index: Int, _ geometry: AttentionGeometry
  ) throws(StackLensError) -> [Int]? {
    guard index < inputs.count, let tensor = inputs[index] else { return nil }
    let counts = try tensor.integers()
    for count in counts where count < 0 || count > geometry.keyCount {
      throw .invalidArgument(
        "nonpad_kv_seqlen holds \(count), expected 0 to \(geometry.keyCount)")
    }
    return counts
  }
}
