import Base
import Tensors

/// How to visit a dense array once to reduce some of its axes. Neighbouring axes of one kind are
/// merged. Where the last axis is kept, a block of its columns is reduced at a time; else every
/// output element is reduced along contiguous runs. The order of the sums depends on the shape
/// alone.
struct ReductionPlan: Sendable {
  private struct Axis: Sendable {
    var extent: Int
    var stride: Int
  }
  /// Elements that become one.
  let reducedCount: Int
  let outputCount: Int
  private let kept: [Axis]
  private let reduced: [Axis]
  private let columns: Int
  private let run: Int

  /// `axes` are valid and without repetition.
  init(_ shape: Shape, axes: [Int]) {
    var merged: [(isReduced: Bool, axis: Axis)] = []
    let strides = shape.strides
    for axis in 0..<shape.rank where shape[axis] != 1 {
      let isReduced = axes.contains(axis)
      let next = Axis(extent: shape[axis], stride: strides[axis])
      if let last = merged.last, last.isReduced == isReduced {
        merged[merged.count - 1].axis = Axis(
          extent: last.axis.extent * next.extent, stride: next.stride)
      } else {
        merged.append((isReduced, next))
      }
    }
    reducedCount = axes.reduce(1) { $0 * shape[$1] }
    outputCount = shape.dims.indices.reduce(1) { axes.contains($1) ? $0 : $0 * shape[$1] }
    var kept = merged.filter { !$0.isReduced }.map(\.axis)
    var reduced = merged.filter(\.isReduced).map(\.axis)
    if let last = merged.last, !last.isReduced {
      columns = kept.removeLast().extent
      run = 1
    } else {
      columns = 1
      run = reduced.popLast()?.extent ?? 1
    }
    self.kept = kept
    self.reduced = reduced
  }

  private static let blockWidth = 64

  /// Reduces `x` and calls `store` with every output position and its accumulated value.
  @inline(__always)
  func reduce<T, A>(
    _ x: UnsafePointer<T>, _ parallel: Parallel, from identity: A,
    step: (_ output: Int, A, T) -> A, combine: (A, A) -> A, store: (Int, A) -> Void
  ) {
    guard outputCount > 0 else { return }
    guard reducedCount > 0 else {
      for output in 0..<outputCount { store(output, identity) }
      return
    }
    if columns == 1 {
      parallel.ranges(outputCount, grain: max(1, cheapGrain / reducedCount)) { range in
        for output in range {
          let start = Self.offset(kept, output)
          var total = identity
          for index in 0..<reducedCount / run {
            let values = x + (start + Self.offset(reduced, index))
            var (a, b, c, d) = (identity, identity, identity, identity)
            var i = 0
            while i + 4 <= run {
              a = step(output, a, values[i])
              b = step(output, b, values[i + 1])
              c = step(output, c, values[i + 2])
              d = step(output, d, values[i + 3])
              i += 4
            }
            while i < run {
              a = step(output, a, values[i])
              i += 1
            }
            total = combine(total, combine(combine(a, b), combine(c, d)))
          }
          store(output, total)
        }
      }
      return
    }
    let blocks = (columns + Self.blockWidth - 1) / Self.blockWidth
    let grain = max(1, cheapGrain / reducedCount / Self.blockWidth)
    parallel.ranges(outputCount / columns * blocks, grain: grain) { range in
      withUnsafeTemporaryAllocation(of: A.self, capacity: Self.blockWidth) { buffer in
        guard let totals = buffer.baseAddress else { return }
        for item in range {
          let (row, block) = item.quotientAndRemainder(dividingBy: blocks)
          let column = block * Self.blockWidth
          let width = min(Self.blockWidth, columns - column)
          let start = Self.offset(kept, row) + column
          let output = row * columns + column
          totals.initialize(repeating: identity, count: width)
          for index in 0..<reducedCount {
            let values = x + (start + Self.offset(reduced, index))
            for j in 0..<width { totals[j] = step(output + j, totals[j], values[j]) }
          }
          for j in 0..<width { store(output + j, totals[j]) }
        }
      }
    }
  }

  /// Rows that one float32 partial sum takes in.
  private static let rowStretch = 32

  /// Reduces float32 by the C kernels.
  func reduce(
    _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ vector: VectorReduction,
    _ parallel: Parallel
  ) {
    guard outputCount > 0 else { return }
    guard reducedCount > 0 else {
      y.update(repeating: vector.finish(vector.identity), count: outputCount)
      return
    }
    if columns == 1 {
      return parallel.ranges(outputCount, grain: max(1, cheapGrain / reducedCount)) { range in
        for output in range {
          let start = Self.offset(kept, output)
          var total = vector.identity
          for index in 0..<reducedCount / run {
            let part = vector.along(x + (start + Self.offset(reduced, index)), run)
            total = vector.combine(total, part)
          }
          y[output] = vector.finish(total)
        }
      }
    }
    let blockWidth = 256
    let blocks = (columns + blockWidth - 1) / blockWidth
    let grain = max(1, cheapGrain / reducedCount / min(columns, blockWidth))
    parallel.ranges(outputCount / columns * blocks, grain: grain) { range in
      withUnsafeTemporaryAllocation(byteCount: 16 * blockWidth, alignment: 64) { buffer in
        guard let memory = buffer.baseAddress else { return }
        let totals = memory.bindMemory(to: Double.self, capacity: blockWidth)
        let partial = (memory + 8 * blockWidth).bindMemory(to: Float.self, capacity: 2 * blockWidth)
        for item in range {
          let (row, block) = item.quotientAndRemainder(dividingBy: blocks)
          let column = block * blockWidth
          let width = min(blockWidth, columns - column)
          reduceBlock(
            x + (Self.offset(kept, row) + column), y + (row * columns + column), width, vector,
            partial, partial + blockWidth, totals)
        }
      }
    }
  }

  private func reduceBlock(
    _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, _ width: Int,
    _ vector: VectorReduction, _ partial: UnsafeMutablePointer<Float>,
    _ room: UnsafeMutablePointer<Float>, _ totals: UnsafeMutablePointer<Double>
  ) {
    totals.update(repeating: vector.identity, count: width)
    let inner = reduced.last ?? Axis(extent: 1, stride: 0)
    var first = 0
    while first < reducedCount {
      let last = vector.isExtreme ? reducedCount : min(reducedCount, first + Self.rowStretch)
      partial.update(repeating: Float(vector.identity), count: width)
      var index = first
      while index < last {
        // Rows along the innermost reduced axis lie evenly.
        let behind = inner.extent - index % inner.extent
        let count = min(last - index, behind)
        vector.accumulate(
          x + Self.offset(reduced, index), count, stride: inner.stride, more: behind - count,
          partial, width, room: room)
        index += count
      }
      for j in 0..<width { totals[j] = vector.combine(totals[j], Double(partial[j])) }
      first = last
    }
    for j in 0..<width { y[j] = vector.finish(totals[j]) }
  }

  @inline(__always)
  private static func offset(_ axes: [Axis], _ index: Int) -> Int {
    if axes.count == 1 { return index * axes[0].stride }
    var (offset, rest) = (0, index)
    for axis in axes.reversed() {
      let (next, place) = rest.quotientAndRemainder(dividingBy: axis.extent)
      offset += place * axis.stride
      rest = next
    }
    return offset
  }
}
