import Base
import Tensors

/// Work on elements of which only the width matters: moving, repeating, choosing.
protocol WidthWork {
  func callAsFunction<Element>(_ type: Element.Type)
}

extension ElementType {
  /// Runs `work` with a plain type as wide as the element, or with String.
  func byWidth(_ work: some WidthWork) {
    switch byteSize {
    case _ where self == .string: work(String.self)
    case 1: work(UInt8.self)
    case 2: work(UInt16.self)
    case 4: work(UInt32.self)
    case 8: work(UInt64.self)
    default: work(Complex128.self)
    }
  }
}

/// Elements that one thread should at least have to move before another is worth waking.
let moveGrain = 1 << 15

/// Sets every element of `target` to the one at `element`.
struct FillElements: WidthWork {
  let target: Tensor
  let element: UnsafeRawPointer
  let parallel: Parallel

  func callAsFunction<Element>(_ type: Element.Type) {
    let value = element.assumingMemoryBound(to: Element.self).pointee
    let start = target.base.assumingMemoryBound(to: Element.self)
    parallel.ranges(target.count, grain: moveGrain) { range in
      (start + range.lowerBound).update(repeating: value, count: range.count)
    }
  }
}

/// Copies runs of elements: run i of the target comes from `offsets[i % offsets.count]` in block
/// i / offsets.count of the source.
struct GatherRuns: WidthWork {
  let source: UnsafeRawPointer
  let target: UnsafeMutableRawPointer
  let offsets: UnsafeBufferPointer<Int>
  let blockCount: Int
  let blockStride: Int
  let runLength: Int
  let parallel: Parallel

  func callAsFunction<Element>(_ type: Element.Type) {
    let source = source.assumingMemoryBound(to: Element.self)
    let target = target.assumingMemoryBound(to: Element.self)
    let runs = blockCount * offsets.count
    guard runs > 0, runLength > 0 else { return }
    parallel.ranges(runs, grain: max(1, moveGrain / runLength)) { range in
      var (block, run) = range.lowerBound.quotientAndRemainder(dividingBy: offsets.count)
      var write = target + range.lowerBound * runLength
      for _ in range {
        let read = source + (block * blockStride + offsets[run])
        if runLength == 1 {
          write.pointee = read.pointee
        } else {
          write.update(from: read, count: runLength)
        }
        write += runLength
        run += 1
        if run == offsets.count { (block, run) = (block + 1, 0) }
      }
    }
  }
}

extension Tensor {
  /// Overwrites this tensor with the elements of `source`, which has the same type and count.
  func fillElements(from source: Tensor, _ parallel: Parallel) {
    StridedCopy(elementType, [count], from: [1], to: [1]).run(
      from: source.base, to: base, parallel)
  }
}

/// The product of two extents.
/// - Throws: `.shapeMismatch` when it overflows.
func extentProduct(_ left: Int, _ right: Int) throws(StackLensError) -> Int {
  let (product, overflow) = left.multipliedReportingOverflow(by: right)
  guard !overflow else { throw .shapeMismatch("extent \(left) * \(right) overflows") }
  return product
}

/// The sum of extents.
/// - Throws: `.shapeMismatch` when it overflows.
func extentSum(_ terms: [Int]) throws(StackLensError) -> Int {
  var sum = 0
  for term in terms {
    let (next, overflow) = sum.addingReportingOverflow(term)
    guard !overflow else { throw .shapeMismatch("the sum of extents \(terms) overflows") }
    sum = next
  }
  return sum
}

/// Refuses to walk along an extent that only an empty tensor can have.
/// - Throws: `.limitExceeded` for more steps than elements and than 2^24.
func requireWalkable(_ extent: Int, _ shape: Shape) throws(StackLensError) {
  guard extent <= max(shape.count, 1 << 24) else {
    throw .limitExceeded("cannot walk \(extent) steps of the empty shape \(shape)")
  }
}

/// Axes as indices into a shape of the given rank, each at most once; negative ones count from the
/// end.
func checkedAxes(_ axes: [Int], rank: Int) throws(StackLensError) -> [Int] {
  var result: [Int] = []
  for axis in axes {
    guard axis >= -rank, axis < rank else {
      throw .invalidArgument("axis \(axis) of \(axes) is outside [-\(rank), \(rank))")
    }
    let index = axis < 0 ? axis + rank : axis
    guard !result.contains(index) else {
      throw .invalidArgument("axis \(axis) of \(axes) is given twice")
    }
    result.append(index)
  }
  return result
}
