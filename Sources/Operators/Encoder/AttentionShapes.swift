import Base
import Glibc
import Tensors

/// The products and shapes of attention over [batch, length, heads, width] operands, broadcast as
/// the separate operators would.
struct AttentionShapes: Sendable {
  /// Q Kᵀ, [B, H, L, M] before and after the mask was added.
  let scores: Shape
  let masked: Shape
  let mask: Shape?
  /// Weights times V, [B, H, L, E], and the same with lengths before heads.
  let mixed: Shape
  let output: Shape
  /// Whether lengths come before heads in the output.
  let isInterleaved: Bool
  let scoring: MatrixProduct
  let mixing: MatrixProduct

  /// - Parameters:
  ///   - inputs: queries, keys, values and a mask.
  ///   - view: tells with `keeps_query_length` whether the output has the queries' length even where
  ///     a mask repeated the only query (its rows then count as heads), and with `keys_by_head`
  ///     whether the heads of keys and values stand before their lengths.
  /// - Throws: `.shapeMismatch` naming the shapes that do not fit.
  init(_ inputs: [TensorType?], _ view: some NodeView) throws(StackLensError) {
    let keepsQueryLength = try view.flag("keeps_query_length")
    let byHead = try view.flag("keys_by_head")
    var shapes: [Shape] = []
    for input in inputs.prefix(3) {
      guard let shape = input?.shape, shape.rank == 4 else {
        throw .shapeMismatch(
          "query, key and value must have shapes [batch, length, heads, width], found "
            + (input?.description ?? "nothing"))
      }
      shapes.append(shape)
    }
    guard shapes.count == 3 else { throw .invalidArgument("query, key or value is missing") }
    let query = shapes[0]
    let key = byHead ? try Self.turned(shapes[1]) : shapes[1]
    let value = byHead ? try Self.turned(shapes[2]) : shapes[2]
    let mask = inputs.count > 3 ? inputs[3]?.shape : nil
    guard query[3] == key[3] else {
      throw .shapeMismatch("cannot multiply queries \(query) by keys \(key)")
    }
    let batch = try Self.entries(query).broadcast(with: Self.entries(key))
    let scores = try Shape(batch.dims + [query[1], key[1]])
    let masked = try scores.broadcast(with: mask ?? .scalar)
    guard masked.rank == 4, masked[3] == value[1] else {
      throw .shapeMismatch("cannot multiply weights \(masked) by values \(value)")
    }
    let weights = try Shape(Array(masked.dims.prefix(2)))
    let all = try weights.broadcast(with: Self.entries(value))
    (self.mask, self.scores, self.masked) = (mask, scores, masked)
    mixed = try Shape(all.dims + [masked[2], value[3]])
    isInterleaved = !keepsQueryLength || masked[2] == query[1]
    output =
      isInterleaved
      ? try Shape([all[0], masked[2], all[1], value[3]])
      : try Shape([all[0], query[1], all.dims[1] * masked[2], value[3]])
    scoring = MatrixProduct(
      m: query[1], n: key[1], k: query[3], batchDims: batch.dims,
      aBatchStrides: Self.steps(query, to: batch),
      bBatchStrides: Self.steps(key, to: batch, byHead: byHead),
      aRow: query[2] * query[3], aColumn: 1, bRow: 1,
      bColumn: byHead ? key[3] : key[2] * key[3])
    mixing = MatrixProduct(
      m: masked[2], n: value[3], k: masked[3], batchDims: all.dims,
      aBatchStrides: weights.broadcastStrides(to: all).map { $0 * masked[2] * masked[3] },
      bBatchStrides: Self.steps(value, to: all, byHead: byHead), aRow: masked[3], aColumn: 1,
      bRow: byHead ? value[3] : value[2] * value[3], bColumn: 1)
  }

  var keyCount: Int { masked[3] }
  var rowCount: Int { masked.count(0..<3) }

  /// Batch and heads.
  private static func entries(_ shape: Shape) throws(StackLensError) -> Shape {
    try Shape([shape[0], shape[2]])
  }

  /// A shape with lengths and heads changed about.
  private static func turned(_ shape: Shape) throws(StackLensError) -> Shape {
    try Shape([shape[0], shape[2], shape[1], shape[3]])
  }

  /// Elements from one batch entry, and from one head, to the next.
  private static func steps(_ shape: Shape, to target: Shape, byHead: Bool = false) -> [Int] {
    [
      shape[0] == 1 && target[0] != 1 ? 0 : shape[1] * shape[2] * shape[3],
      shape[2] == 1 && target[1] != 1 ? 0 : byHead ? shape[1] * shape[3] : shape[3],
    ]
  }

  /// Moves lengths before heads.
  func interleave<T>(_ mixed: UnsafePointer<T>, to output: UnsafeMutablePointer<T>) {
    let (heads, length, width) = (self.mixed[1], self.mixed[2], self.mixed[3])
    guard isInterleaved else { return output.update(from: mixed, count: self.mixed.count) }
    for batch in 0..<self.mixed[0] {
      for head in 0..<heads {
        for row in 0..<length {
          let source = mixed + ((batch * heads + head) * length + row) * width
          (output + ((batch * length + row) * heads + head) * width).update(
            from: source, count: width)
        }
      }
    }
  }

  /// Where a key of one row of weights is found: the first elements of its query and key, and its
  /// element of the mask.
  typealias KeyPlace = (query: Int, key: Int, mask: Int)

  /// The keys of row `i` of an entry of the mixed values.
  func keyPlaces(_ entry: Int, _ i: Int) -> [KeyPlace] {
    let (batch, head) = entry.quotientAndRemainder(dividingBy: mixed[1])
    let scoreSteps = scores.broadcastStrides(to: masked)
    let maskSteps = (mask ?? .scalar).broadcastStrides(to: masked)
    // Where the values were broadcast, several rows share their weights.
    let place = [masked[0] == 1 ? 0 : batch, masked[1] == 1 ? 0 : head, i]
    func offset(_ steps: [Int], _ key: Int) -> Int {
      steps[0] * place[0] + steps[1] * place[1] + steps[2] * place[2] + steps[3] * key
    }
    return (0..<keyCount).map { j in
      let score = offset(scoreSteps, j)
      let (entry, rest) = score.quotientAndRemainder(dividingBy: scores[2] * scores[3])
      let (q, k) = rest.quotientAndRemainder(dividingBy: scores[3])
      let starts = scoring.offsets(entry)
      return (
        starts.a + q * scoring.aRow, starts.b + k * scoring.bColumn, offset(maskSteps, j)
      )
    }
  }

  /// The softmax of one row of scores.
  func rowWeights(
    _ places: [KeyPlace], _ query: UnsafePointer<Double>, _ key: UnsafePointer<Double>,
    _ mask: UnsafePointer<Double>?, _ scale: Double, _ isGuarded: Bool
  ) -> [Double] {
    var weights = places.map { place in
      var sum = 0.0
      for d in 0..<scoring.k { sum += query[place.query + d] * key[place.key + d] }
      return sum * scale + (mask.map { $0[place.mask] } ?? 0)
    }
    let largest = weights.max() ?? 0
    weights = weights.map { exp($0 - largest) }
    let total = weights.reduce(0, +)
    if isGuarded, total.isNaN { return weights.map { _ in 0 } }
    return weights.map { $0 / total }
  }

  /// What a dropout multiplies the weights of one row by.
  func keptShares(_ entry: Int, _ i: Int, _ dropping: Dropping?) -> [Double] {
    guard let dropping else { return [Double](repeating: 1, count: keyCount) }
    let (batch, head) = entry.quotientAndRemainder(dividingBy: mixed[1])
    // Where the values were broadcast, several rows share their weights.
    let own = (masked[0] == 1 ? 0 : batch) * masked[1] + (masked[1] == 1 ? 0 : head)
    let first = (own * masked[2] + i) * keyCount
    return (0..<keyCount).map { dropping.factor(first + $0) }
  }

  /// The row of the output in which row `i` of an entry of the mixed values lies.
  func outputRow(_ entry: Int, _ i: Int) -> Int {
    let (batch, head) = entry.quotientAndRemainder(dividingBy: mixed[1])
    return isInterleaved
      ? (batch * mixed[2] + i) * mixed[1] + head : (batch * mixed[1] + head) * mixed[2] + i
  }

  /// The formula, row by row.
  func plainly(
    _ query: UnsafePointer<Double>, _ key: UnsafePointer<Double>, _ value: UnsafePointer<Double>,
    _ mask: UnsafePointer<Double>?, _ scale: Double, _ isGuarded: Bool, _ dropping: Dropping?,
    _ output: UnsafeMutablePointer<Double>, _ parallel: Parallel
  ) {
    guard mixed.count > 0 else { return }
    let (length, width) = (mixed[2], mixed[3])
    parallel.ranges(mixed.count(0..<3), grain: 4) { rows in
      for row in rows {
        let (entry, i) = row.quotientAndRemainder(dividingBy: length)
        let kept = keptShares(entry, i, dropping)
        let weights = zip(
          rowWeights(keyPlaces(entry, i), query, key, mask, scale, isGuarded), kept
        ).map { $0 * $1 }
        let start = mixing.offsets(entry).b
        let target = output + outputRow(entry, i) * width
        for column in 0..<width {
          var sum = 0.0
          for (j, weight) in weights.enumerated() {
            sum += weight * value[start + j * mixing.bRow + column]
          }
          target[column] = sum
        }
      }
    }
  }
}

/// Scores with the mask added.
struct AttentionWeights<T: ComputeElement>: Sendable {
  private let room: Int
  private let loop: BroadcastLoop
  private let isInPlace: Bool

  init(_ shapes: AttentionShapes, _ plan: inout ScratchPlan) throws(StackLensError) {
    isInPlace = shapes.masked == shapes.scores
    room = try plan.reserve(isInPlace ? 0 : shapes.masked.count, of: T.self)
    loop = BroadcastLoop([shapes.scores, shapes.mask ?? .scalar], to: shapes.masked)
  }

  func masked(
    _ scores: UnsafeMutablePointer<T>, _ mask: UnsafePointer<T>?, _ run: Invocation
  ) -> UnsafeMutablePointer<T> {
    guard let mask else { return scores }
    let target = isInPlace ? scores : (run.scratch + room).assumingMemoryBound(to: T.self)
    let strides = loop.rowStrides
    loop.run(run.parallel, grain: cheapGrain) { starts, output, count in
      let (left, right) = (scores + starts[0], mask + starts[1])
      for i in 0..<count {
        target[output + i] = T.add(left[i * strides[0]], right[i * strides[1]])
      }
    }
    return target
  }
}
