import Base
import CKernels
import Tensors

/// A copy between two arrays seen through strides (in elements, of any sign; 0 repeats), planned
/// once for given extents. Axes that can be walked as one are merged; what remains runs as
/// contiguous rows, as blocked transposes, or as strided lines.
struct StridedCopy: Sendable {
  struct Axis: Sendable {
    var extent: Int
    var source: Int
    var target: Int
  }
  private let elementType: ElementType
  private let axes: [Axis]
  private let sourceStart: Int
  private let targetStart: Int
  private let isEmpty: Bool

  init(
    _ elementType: ElementType, _ extents: [Int], from source: [Int], to target: [Int],
    sourceStart: Int = 0, targetStart: Int = 0
  ) {
    self.elementType = elementType
    self.sourceStart = sourceStart
    self.targetStart = targetStart
    isEmpty = extents.contains(0)
    var kept: [Axis] = []
    for index in extents.indices where extents[index] != 1 && !isEmpty {
      let axis = Axis(extent: extents[index], source: source[index], target: target[index])
      if let last = kept.last, last.source == axis.source * axis.extent,
        last.target == axis.target * axis.extent
      {
        kept[kept.count - 1] = Axis(
          extent: last.extent * axis.extent, source: axis.source, target: axis.target)
      } else {
        kept.append(axis)
      }
    }
    axes = kept.isEmpty ? [Axis(extent: 1, source: 1, target: 1)] : kept
  }

  func run(
    from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ parallel: Parallel
  ) {
    guard !isEmpty else { return }
    elementType.byWidth(Work(plan: self, source: source, target: target, parallel: parallel))
  }

  private struct Work: WidthWork {
    let plan: StridedCopy
    let source: UnsafeRawPointer
    let target: UnsafeMutableRawPointer
    let parallel: Parallel

    func callAsFunction<Element>(_ type: Element.Type) {
      let read = source.assumingMemoryBound(to: Element.self) + plan.sourceStart
      let write = target.assumingMemoryBound(to: Element.self) + plan.targetStart
      let inner = plan.axes[plan.axes.count - 1]
      var outer = Array(plan.axes.dropLast())
      if inner.source == 1 && inner.target == 1 {
        copyRows(inner.extent, outer, read, write)
      } else if inner.target == 1, let crossing = outer.lastIndex(where: { $0.source == 1 }) {
        let columns = outer.remove(at: crossing)
        transpose(rows: inner, columns: columns, outer, read, write)
      } else {
        copyLines(inner, outer, read, write)
      }
    }

    private func copyRows<Element>(
      _ length: Int, _ outer: [Axis], _ read: UnsafePointer<Element>,
      _ write: UnsafeMutablePointer<Element>
    ) {
      if outer.isEmpty {
        return parallel.ranges(length, grain: moveGrain) { range in
          (write + range.lowerBound).update(from: read + range.lowerBound, count: range.count)
        }
      }
      parallel.ranges(rowCount(outer), grain: max(1, moveGrain / length)) { range in
        walk(outer, range) { (source, target) in
          (write + target).update(from: read + source, count: length)
        }
      }
    }

    private func copyLines<Element>(
      _ inner: Axis, _ outer: [Axis], _ read: UnsafePointer<Element>,
      _ write: UnsafeMutablePointer<Element>
    ) {
      parallel.ranges(rowCount(outer), grain: max(1, moveGrain / inner.extent)) { range in
        walk(outer, range) { (source, target) in
          if inner.source == 0 && inner.target == 1 {
            (write + target).update(repeating: read[source], count: inner.extent)
          } else {
            var (source, target) = (source, target)
            for _ in 0..<inner.extent {
              write[target] = read[source]
              source += inner.source
              target += inner.target
            }
          }
        }
      }
    }

    /// `columns` is contiguous in the source, `rows` in the target; strips of columns are
    /// transposed one by one.
    private func transpose<Element>(
      rows: Axis, columns: Axis, _ outer: [Axis], _ read: UnsafePointer<Element>,
      _ write: UnsafeMutablePointer<Element>
    ) {
      let width = 64
      let strips = (columns.extent + width - 1) / width
      let work = outer + [Axis(extent: strips, source: width, target: width * columns.target)]
      let grain = max(1, moveGrain / (width * rows.extent))
      parallel.ranges(rowCount(work), grain: grain) { range in
        var strip = range.lowerBound % strips
        walk(work, range) { (source, target) in
          let count = min(width, columns.extent - strip * width)
          strip = strip + 1 == strips ? 0 : strip + 1
          let (from, to) = (read + source, write + target)
          if MemoryLayout<Element>.size <= 8 && rows.source > 0 && columns.target > 0 {
            return slk_transpose(
              from, rows.source, to, columns.target, rows.extent, count,
              MemoryLayout<Element>.size)
          }
          for column in 0..<count {
            for row in 0..<rows.extent {
              to[column * columns.target + row] = from[row * rows.source + column]
            }
          }
        }
      }
    }

    private func rowCount(_ axes: [Axis]) -> Int { axes.reduce(1) { $0 * $1.extent } }

    /// Calls `body` with the offsets of each position of `range` in the box of `axes`.
    @inline(__always)
    private func walk(_ axes: [Axis], _ range: Range<Int>, _ body: (Int, Int) -> Void) {
      var index = [Int](repeating: 0, count: axes.count)
      var (source, target, rest) = (0, 0, range.lowerBound)
      for axis in axes.indices.reversed() {
        (rest, index[axis]) = rest.quotientAndRemainder(dividingBy: axes[axis].extent)
        source += index[axis] * axes[axis].source
        target += index[axis] * axes[axis].target
      }
      for _ in range {
        body(source, target)
        var axis = axes.count - 1
        while axis >= 0 {
          index[axis] += 1
          source += axes[axis].source
          target += axes[axis].target
          if index[axis] < axes[axis].extent { break }
          source -= axes[axis].source * axes[axis].extent
          target -= axes[axis].target * axes[axis].extent
          index[axis] = 0
          axis -= 1
        }
      }
    }
  }
}
