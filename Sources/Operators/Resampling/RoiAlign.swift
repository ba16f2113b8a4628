import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Means (or maxima) of bilinear samples over the cells of a grid on each region of interest, a
  /// row `[x1, y1, x2, y2]`. ONNX RoiAlign-22; He et al., Mask R-CNN, ICCV 2017.
  static let roiAlign = OperatorDefinition(
    "RoiAlign", versions: [10, 16, 22], inputs: 3...3,
    attributes: [
      .string("coordinate_transformation_mode", default: "half_pixel"),
      .string("mode", default: "avg"), .int("output_height", default: 1),
      .int("output_width", default: 1), .int("sampling_ratio", default: 0),
      .float("spatial_scale", default: 1),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: ElementType.reals)
      _ = try context.sameElementType(0, 1)
      let (rois, images) = (try context.input(1), try context.input(2, oneOf: [.int64]))
      guard x.rank == 4, rois.rank == 2, rois.shape[1] == 4, images.shape.dims == [rois.shape[0]]
      else {
        throw .shapeMismatch(
          "cannot align regions \(rois.shape) with image indices \(images.shape) on \(x.shape)")
      }
      let (height, width) = (try context.int("output_height"), try context.int("output_width"))
      guard height > 0, width > 0 else {
        throw .invalidArgument("output of \(height) x \(width) cells")
      }
      return [TensorType(x.elementType, try Shape([rois.shape[0], x.shape[1], height, width]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let aligner = try RoiAligner(preparation)
        switch try preparation.input(0).elementType {
        case .float64: return aligner.kernel(Double.self)
        case .float16: return aligner.kernel(Float16.self)
        case .bfloat16: return aligner.kernel(BFloat16.self)
        default: return aligner.kernel(Float.self)
        }
      }
    ]),
    lift: { (node, opset, _) throws(StackLensError) in
      var node = node
      if opset < 16 {
        node.attributes["coordinate_transformation_mode"] = .string("output_half_pixel")
      }
      return [node]
    },
    lower: { (node, opset, rewriter) throws(StackLensError) in
      if opset < 16, node.attributes["coordinate_transformation_mode"] == nil {
        throw .unsupported("RoiAlign with half_pixel needs opset 16, not \(opset)")
      }
      return try dropAttribute(
        "coordinate_transformation_mode", before: 16, unless: { $0.isString("output_half_pixel") }
      )(node, opset, &rewriter)
    },
    samples: [
      Sample(
        [.floats(2, 3, 6, 5), .tensor(regions), .ints([0, 1])],
        ["output_height": .int(2), "output_width": .int(3), "sampling_ratio": .int(2)]),
      Sample(
        [.floats(2, 3, 6, 5), .tensor(regions), .ints([1, 1])],
        ["mode": .string("max"), "coordinate_transformation_mode": .string("output_half_pixel")]),
      Sample([.floats(1, 3, 6, 5), .floats(0, 4), .ints([])]),
    ])

  @Sendable private static func regions() throws(StackLensError) -> Tensor {
    try Tensor([Float(0), 0.5, 3, 4, 1, 1, 4, 5.5], shape: Shape([2, 4]))
  }
}

private struct RoiAligner: Sendable {
  let shape: Shape
  let regions: Int
  let (height, width): (Int, Int)
  let isHalfPixel: Bool
  let isMaximum: Bool
  let samplingRatio: Int
  let scale: Double

  init(_ preparation: Preparation) throws(StackLensError) {
    shape = try preparation.input(0).shape
    let output = preparation.outputs[0].shape
    regions = output[0]
    (height, width) = (output[2], output[3])
    switch try preparation.string("coordinate_transformation_mode") {
    case "half_pixel": isHalfPixel = true
    case "output_half_pixel": isHalfPixel = false
    case let other: throw .invalidArgument("coordinate_transformation_mode '\(other)' is unknown")
    }
    switch try preparation.string("mode") {
    case "avg": isMaximum = false
    case "max": isMaximum = true
    case let other: throw .invalidArgument("mode '\(other)' is neither avg nor max")
    }
    samplingRatio = try preparation.int("sampling_ratio")
    guard samplingRatio >= 0, samplingRatio <= 4096 else {
      throw .invalidArgument("sampling_ratio is \(samplingRatio)")
    }
    scale = Double(try preparation.float("spatial_scale"))
  }

  /// One axis of a region: where its cells begin, how large they are, and samples in each.
  private struct Side {
    var start: Double
    var cell: Double
    var samples: Int
  }

  private func side(
    _ first: Double, _ last: Double, cells: Int, extent: Int, region: Int
  ) throws(StackLensError) -> Side {
    let start = first * scale - (isHalfPixel ? 0.5 : 0)
    var length = last * scale - (isHalfPixel ? 0.5 : 0) - start
    if !isHalfPixel { length = max(length, 1) }
    let cell = length / Double(cells)
    let samples = samplingRatio > 0 ? Double(samplingRatio) : max(0, cell.rounded(.up))
    guard samples <= Double(max(samplingRatio, 64 + 16 * extent)), start.isFinite else {
      throw .invalidArgument(
        "region \(region) reaches from \(first) to \(last), the image has \(extent) pixels")
    }
    return Side(start: start, cell: cell, samples: Int(samples))
  }

  func kernel<T: RealElement>(_: T.Type) -> PreparedKernel {
    PreparedKernel { (run) throws(StackLensError) in
      let x = try run.input(0).base.assumingMemoryBound(to: T.self)
      let rois = try run.input(1).base.assumingMemoryBound(to: T.self)
      let images = try run.input(2).int64s
      let y = run.outputs[0].base.assumingMemoryBound(to: T.self)
      let (channels, pixels) = (shape[1], shape[2] * shape[3])
      var sides: [(Side, Side)] = []
      for region in 0..<regions {
        guard images[region] >= 0, images[region] < shape[0] else {
          throw .invalidArgument(
            "region \(region) is of image \(images[region]), there are \(shape[0])")
        }
        let roi = rois + region * 4
        sides.append(
          (
            try side(
              roi[1].double, roi[3].double, cells: height, extent: shape[2], region: region),
            try side(roi[0].double, roi[2].double, cells: width, extent: shape[3], region: region)
          ))
      }
      try requireFewSamples(sides, channels: channels)
      run.parallel.ranges(regions * channels, grain: 2) { range in
        for index in range {
          let (region, channel) = index.quotientAndRemainder(dividingBy: channels)
          let map = x + (Int(images[region]) * channels + channel) * pixels
          let (vertical, horizontal) = sides[region]
          for row in 0..<height {
            let down = corners(vertical, row, shape[2])
            for column in 0..<width {
              let across = corners(horizontal, column, shape[3])
              y[(index * height + row) * width + column] = T(rounding: cell(map, down, across))
            }
          }
        }
      }
    }
  }

  /// - Throws: `.limitExceeded` for more work than any model has: a few numbers may ask for hours.
  private func requireFewSamples(
    _ sides: [(Side, Side)], channels: Int
  ) throws(StackLensError) {
    let cells = Double(height) * Double(width) * Double(channels)
    let samples = sides.reduce(0.0) { $0 + Double($1.0.samples) * Double($1.1.samples) * cells }
    guard samples <= Double(1 << 31) else {
      throw .limitExceeded("RoiAlign of \(samples) samples, at most \(1 << 31)")
    }
  }

  /// The pixels on both sides of a sample along one axis; nil outside of the image.
  private typealias Corner = (low: Int, high: Int, ratio: Double)?

  /// Where the samples of one cell lie along an axis.
  private func corners(_ side: Side, _ cell: Int, _ extent: Int) -> [Corner] {
    (0..<side.samples).map { sample in
      let place =
        side.start + side.cell * (Double(cell) + (Double(sample) + 0.5) / Double(side.samples))
      guard place >= -1, place <= Double(extent) else { return nil }
      let low = Int(max(place, 0))
      return low >= extent - 1
        ? (extent - 1, extent - 1, 0) : (low, low + 1, max(place, 0) - Double(low))
    }
  }

  /// The mean of the bilinear samples of one cell, or the largest of their weighted corners.
  private func cell<T: RealElement>(
    _ map: UnsafePointer<T>, _ down: [Corner], _ across: [Corner]
  ) -> Double {
    let columns = shape[3]
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
