import Base
import Graphs
import Tensors

/// Blocks that slide over an image: `[N, C, image…]` and its columns `[N, C · block, positions]`.
struct BlockLayout {
  private struct Axis {
    var image: Int
    var block: Int
    var positions: Int
    var stride: Int
    var dilation: Int
    var padding: Int
  }
  private let batch: Int
  private let channels: Int
  private var axes: [Axis] = []
  private let blockCount: Int
  private let places: Int
  private static let limit = 1 << 31

  var imageDims: [Int] { [batch, channels] + axes.map(\.image) }
  /// Images of one channel.
  var mapCount: Int { batch * channels }
  var pixelCount: Int { axes.reduce(1) { $0 * $1.image } }
  /// Elements of the columns of one map.
  var columnCount: Int { blockCount * places }

  /// From the shape of the image.
  init(_ view: some NodeView, image: Shape, block: [Int]) throws(StackLensError) {
    guard image.rank > 2 else { throw .shapeMismatch("an image has shape \(image)") }
    try self.init(
      view, batch: image[0], channels: image[1], image: Array(image.dims.dropFirst(2)),
      block: block)
  }

  /// From the shape of the columns.
  init(
    _ view: some NodeView, columns: Shape, image: [Int], block: [Int]
  ) throws(StackLensError) {
    guard columns.rank == 3, block.allSatisfy({ $0 > 0 }) else {
      throw .shapeMismatch("columns \(columns), image \(image) and blocks \(block) do not fit")
    }
    let blockCount = try Shape(block).count
    try self.init(
      view, batch: columns[0], channels: columns[1] / blockCount, image: image, block: block)
    guard columns[1] % blockCount == 0, columns[2] == places else {
      throw .shapeMismatch(
        "columns \(columns) do not hold blocks \(block) at \(places) positions of \(image)")
    }
  }

  private init(
    _ view: some NodeView, batch: Int, channels: Int, image: [Int], block: [Int]
  ) throws(StackLensError) {
    let rank = image.count
    guard rank > 0, block.count == rank,
      (image + block).allSatisfy({ $0 > 0 && $0 < Self.limit })
    else { throw .shapeMismatch("image \(image) and blocks \(block) do not fit") }
    func list(_ name: String, _ count: Int, _ least: Int) throws(StackLensError) -> [Int] {
      guard let values = try view.ints(name) else {
        return [Int](repeating: least, count: count)
      }
      guard values.count == count, values.allSatisfy({ $0 >= least && $0 < Self.limit }) else {
        throw .invalidArgument(
          "attribute '\(name)' is \(values), expected \(count) values of \(least) or more")
      }
      return values
    }
    let (strides, dilations) = (try list("strides", rank, 1), try list("dilations", rank, 1))
    let pads = try list("pads", 2 * rank, 0)
    var count = 1
    for axis in 0..<rank {
      let room = image[axis] + pads[axis] + pads[axis + rank] - dilations[axis] * (block[axis] - 1)
      guard room > 0 else {
        throw .shapeMismatch("a block of \(block) does not fit an image of \(image)")
      }
      let positions = (room - 1) / strides[axis] + 1
      axes.append(
        Axis(
          image: image[axis], block: block[axis], positions: positions, stride: strides[axis],
          dilation: dilations[axis], padding: pads[axis]))
      let (product, overflow) = count.multipliedReportingOverflow(by: positions)
      guard !overflow else { throw .shapeMismatch("blocks \(block) in \(image) overflow") }
      count = product
    }
    (self.batch, self.channels) = (batch, channels)
    blockCount = try Shape(block).count
    places = count
  }

  /// `[N, C · block, positions]`.
  func columnDims() throws(StackLensError) -> [Int] {
    [batch, try extentProduct(channels, blockCount), places]
  }

  /// Calls `body` with every element of the columns of one map and its pixel; elements that lie
  /// outside of the image are left out.
  @inline(__always)
  func forEachPair(_ body: (_ column: Int, _ pixel: Int) -> Void) {
    let last = axes[axes.count - 1]
    for offset in 0..<blockCount {
      var line = 0
      // Every line of positions along the last axis that lies inside the image.
      while line < places {
        let (start, isInside) = place(of: line, in: offset)
        if isInside {
          for position in 0..<last.positions {
            let column =
              position * last.stride + offset % last.block * last.dilation - last.padding
            if column >= 0 && column < last.image {
              body(offset * places + line + position, start + column)
            }
          }
        }
        line += last.positions
      }
    }
  }

  /// Where the line of the image begins that element `offset` of the blocks from `position` on
  /// goes to.
  private func place(of position: Int, in offset: Int) -> (start: Int, isInside: Bool) {
    let last = axes[axes.count - 1]
    var (position, offset) = (position / last.positions, offset / last.block)
    var (start, step) = (0, last.image)
    for axis in axes.dropLast().reversed() {
      let index =
        position % axis.positions * axis.stride + offset % axis.block * axis.dilation
        - axis.padding
      guard index >= 0, index < axis.image else { return (0, false) }
      start += index * step
      step *= axis.image
      position /= axis.positions
      offset /= axis.block
    }
    return (start, true)
  }
}
