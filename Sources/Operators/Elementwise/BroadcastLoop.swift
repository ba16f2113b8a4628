import Base
import Tensors

/// Walks the elements of an output in row-major order beside up to four dense inputs that
/// broadcast to it. Axes that all of them step over alike are merged, so that what remains is
/// rows in which every input either advances by one element or stands still.
struct BroadcastLoop: Sendable {
  private struct Axis: Sendable {
    let extent: Int
    let strides: SIMD4<Int>
  }
  let count: Int
  /// 0 or 1 for each input.
  let rowStrides: SIMD4<Int>
  private let rowLength: Int
  private let outer: [Axis]

  /// `output` must come from `Shape.broadcast` of the inputs.
  init(_ inputs: [Shape], to output: Shape) {
    let strides = inputs.map { $0.broadcastStrides(to: output) }
    var axes: [Axis] = []
    for axis in 0..<output.rank where output[axis] != 1 {
      var steps = SIMD4<Int>()
      for (index, input) in strides.enumerated() { steps[index] = input[axis] }
      if let last = axes.last, last.strides == steps &* SIMD4(repeating: output[axis]) {
        axes[axes.count - 1] = Axis(extent: last.extent * output[axis], strides: steps)
      } else {
        axes.append(Axis(extent: output[axis], strides: steps))
      }
    }
    count = output.count
    let row = axes.popLast()
    rowLength = row?.extent ?? 1
    rowStrides = row?.strides ?? SIMD4()
    outer = axes
  }

  /// Calls `body` with runs of output elements, in any order: where each input starts, where the
  /// output starts, and how many elements there are.
  func run(
    _ parallel: Parallel, grain: Int,
    _ body: (_ starts: SIMD4<Int>, _ output: Int, _ count: Int) -> Void
  ) {
    parallel.ranges(count, grain: grain) { range in
      var position = range.lowerBound
      var (row, within) = position.quotientAndRemainder(dividingBy: rowLength)
      var index = [Int](repeating: 0, count: outer.count)
      var starts = SIMD4<Int>()
      for axis in outer.indices.reversed() {
        (row, index[axis]) = row.quotientAndRemainder(dividingBy: outer[axis].extent)
        starts &+= outer[axis].strides &* SIMD4(repeating: index[axis])
      }
      while position < range.upperBound {
        let length = min(rowLength - within, range.upperBound - position)
        body(starts &+ rowStrides &* SIMD4(repeating: within), position, length)
        position += length
        within = 0
        var axis = outer.count - 1
        while axis >= 0 {
          index[axis] += 1
          starts &+= outer[axis].strides
          if index[axis] < outer[axis].extent { break }
          starts &-= outer[axis].strides &* SIMD4(repeating: outer[axis].extent)
          index[axis] = 0
          axis -= 1
        }
      }
    }
  }
}

/// Elements that one thread should at least have before another is worth waking, for cheap
/// arithmetic and for functions such as exp.
let cheapGrain = 1 << 13
let costlyGrain = 1 << 11
