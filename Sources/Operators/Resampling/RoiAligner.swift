import Base
import Graphs
import Tensors

/// The samples that RoiAlign takes in each cell of each region.
struct RoiAligner: Sendable {
  let (height, width): (Int, Int)
  let isMaximum: Bool
  let channels: Int
  let extents: (height: Int, width: Int)
  var pixels: Int { extents.height * extents.width }
  private let imageCount: Int
  private let regionCount: Int
  private let isHalfPixel: Bool
  private let samplingRatio: Int
  private let scale: Double

  init(_ view: some NodeView, x: Shape, output: Shape) throws(StackLensError) {
    (imageCount, channels) = (x[0], x[1])
    extents = (x[2], x[3])
    regionCount = output[0]
    (height, width) = (output[2], output[3])
    switch try view.string("coordinate_transformation_mode") {
    case "half_pixel": isHalfPixel = true
    case "output_half_pixel": isHalfPixel = false
    case let other: throw .invalidArgument("coordinate_transformation_mode '\(other)' is unknown")
    }
    switch try view.string("mode") {
    case "avg": isMaximum = false
    case "max": isMaximum = true
    case let other: throw .invalidArgument("mode '\(other)' is neither avg nor max")
    }
    samplingRatio = try view.int("sampling_ratio")
    guard samplingRatio >= 0, samplingRatio <= 4096 else {
      throw .invalidArgument("sampling_ratio is \(samplingRatio)")
    }
    scale = Double(try view.float("spatial_scale"))
  }

  /// The shape of what regions cut out of images.
  static func output(
    _ view: some NodeView, x: Shape, rois: Shape, images: Shape
  ) throws(StackLensError) -> Shape {
    guard x.rank == 4, rois.rank == 2, rois[1] == 4, images.dims == [rois[0]] else {
      throw .shapeMismatch("cannot align regions \(rois) with image indices \(images) on \(x)")
    }
    let (height, width) = (try view.int("output_height"), try view.int("output_width"))
    guard height > 0, width > 0 else {
      throw .invalidArgument("output of \(height) x \(width) cells")
    }
    return try Shape([rois[0], x[1], height, width])
  }

  /// One axis of a region: where its cells begin, how large they are, and samples in each.
  struct Side {
    fileprivate var start: Double
    fileprivate var cell: Double
    fileprivate var samples: Int
    fileprivate var cells: Int
    /// How a position moves with the first and the last corner: at the beginning, and from there to
    /// the end.
    fileprivate var scale: Double
    fileprivate var stretch: Double

    /// How a sample, `share` of the way through the region, moves with the two corners.
    func rates(_ share: Double) -> (first: Double, last: Double) {
      (scale - stretch * share, stretch * share)
    }
  }

  struct Region {
    let image: Int
    let vertical: Side
    let horizontal: Side
  }

  private func side(
    _ first: Double, _ last: Double, cells: Int, extent: Int, region: Int
  ) throws(StackLensError) -> Side {
    let start = first * scale - (isHalfPixel ? 0.5 : 0)
    var length = last * scale - (isHalfPixel ? 0.5 : 0) - start
    let isFree = isHalfPixel || length >= 1
    if !isFree { length = 1 }
    let cell = length / Double(cells)
    let samples = samplingRatio > 0 ? Double(samplingRatio) : max(0, cell.rounded(.up))
    guard samples <= Double(max(samplingRatio, 64 + 16 * extent)), start.isFinite else {
      throw .invalidArgument(
        "region \(region) reaches from \(first) to \(last), the image has \(extent) pixels")
    }
    return Side(
      start: start, cell: cell, samples: Int(samples), cells: cells, scale: scale,
      stretch: isFree ? scale : 0)
  }

  /// Reads and checks the regions.
  func regions<T: RealElement>(
    _ rois: UnsafePointer<T>, _ images: UnsafePointer<Int64>
  ) throws(StackLensError) -> [Region] {
    var found: [Region] = []
    for region in 0..<regionCount {
      guard images[region] >= 0, images[region] < imageCount else {
        throw .invalidArgument(
          "region \(region) is of image \(images[region]), there are \(imageCount)")
      }
      let roi = rois + region * 4
      found.append(
        Region(
          image: Int(images[region]),
          vertical: try side(
            roi[1].double, roi[3].double, cells: height, extent: extents.height, region: region),
          horizontal: try side(
            roi[0].double, roi[2].double, cells: width, extent: extents.width, region: region)))
    }
    try requireFewSamples(found)
    return found
  }

  /// - Throws: `.limitExceeded` for more work than any model has: a few numbers may ask for hours.
  private func requireFewSamples(_ regions: [Region]) throws(StackLensError) {
    let cells = Double(height) * Double(width) * Double(channels)
    let samples = regions.reduce(0.0) {
      $0 + Double($1.vertical.samples) * Double($1.horizontal.samples) * cells
    }
    guard samples <= Double(1 << 31) else {
      throw .limitExceeded("RoiAlign of \(samples) samples, at most \(1 << 31)")
    }
  }

  /// The pixels on both sides of a sample along one axis, how much of the second, whether that moves
  /// with the sample, and how far through the region it lies.
  struct Sample {
    let low: Int
    let high: Int
    let ratio: Double
    let rate: Double
    let share: Double
  }

  /// Where the samples of one cell lie along an axis; nil outside of the image.
  func samples(_ side: Side, _ cell: Int, _ extent: Int) -> [Sample?] {
    (0..<side.samples).map { sample in
      let step = Double(cell) + (Double(sample) + 0.5) / Double(side.samples)
      let place = side.start + side.cell * step
      guard place >= -1, place <= Double(extent) else { return nil }
      let low = Int(max(place, 0))
      let share = step / Double(side.cells)
      if low >= extent - 1 {
        return Sample(low: extent - 1, high: extent - 1, ratio: 0, rate: 0, share: share)
      }
      return Sample(
        low: low, high: low + 1, ratio: max(place, 0) - Double(low), rate: place > 0 ? 1 : 0,
        share: share)
    }
  }

  /// The mean of the bilinear samples of one cell, or the largest of their weighted corners.
  func cell<T: RealElement>(
    _ map: UnsafePointer<T>, _ down: [Sample?], _ across: [Sample?]
  ) -> Double {
    let columns = extents.width
    var sum = 0.0
    var largest = -Double.infinity
    for v in down {
      for h in across {
        guard let v, let h else {
          largest = max(largest, 0)
          continue
        }
        let (upper, lower) = (map + v.low * columns, map + v.high * columns)
        let a = (1 - v.ratio) * (1 - h.ratio) * upper[h.low].double
        let b = (1 - v.ratio) * h.ratio * upper[h.high].double
        let c = v.ratio * (1 - h.ratio) * lower[h.low].double
        let d = v.ratio * h.ratio * lower[h.high].double
        if isMaximum { largest = max(max(max(max(largest, a), b), c), d) }
        sum += a + b + c + d
      }
    }
    let count = down.count * across.count
    if isMaximum { return count == 0 ? 0 : largest }
    return sum / Double(max(count, 1))
  }
}
