import Base
import Glibc
import Graphs
import Tensors

extension OperatorDefinition {
  /// The largest value in each cell of a grid over regions of interest. A region is a row
  /// `[batch index, x1, y1, x2, y2]`, its corners multiplied by spatial_scale. ONNX MaxRoiPool-22.
  static let maxRoiPool = OperatorDefinition(
    "MaxRoiPool", versions: [1, 22], inputs: 2...2, attributes: roiPoolAttributes,
    infer: { (context) throws(StackLensError) in
      [TensorType(try context.input(0).elementType, try pooledShape(context))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        switch try preparation.input(0).elementType {
        case .float64: return try roiMaximum(Double.self, preparation)
        case .float16: return try roiMaximum(Float16.self, preparation)
        case .bfloat16: return try roiMaximum(BFloat16.self, preparation)
        default: return try roiMaximum(Float.self, preparation)
        }
      }
    ]),
    gradient: .maxRoiPool, samples: roiPoolSamples)

  /// Where MaxRoiPool finds the largest values: offsets in the whole input, -1 for an empty cell.
  static let maxRoiPlaces = OperatorDefinition(
    "MaxRoiPlaces", domain: "ai.stacklens", versions: [1], inputs: 2...2,
    attributes: roiPoolAttributes,
    infer: { (context) throws(StackLensError) in [TensorType(.int64, try pooledShape(context))] },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let pooling = try RoiPooling(preparation)
        return try wideKernel(Double.self, preparation, outputs: 0) {
          (wide) throws(StackLensError) in
          let (x, rois) = (try wide.input(0), try wide.input(1))
          let places = wide.run.outputs[0].base.assumingMemoryBound(to: Int64.self)
          try pooling.run(x, rois, wide.run.parallel) { cell, place, _ in
            places[cell] = Int64(place ?? -1)
          }
        }
      }
    ]),
    gradient: .zero, samples: roiPoolSamples)

  private static let roiPoolAttributes: [AttributeSpec] = [
    .required("pooled_shape", .ints), .float("spatial_scale", default: 1),
  ]

  private static let roiPoolSamples = [
    Sample(
      [
        .floats(1, 2, 6, 6),
        .tensor { () throws(StackLensError) in
          try Tensor([Float(0), 0, 1, 4, 5, 0, 2, 2, 3, 3], shape: Shape([2, 5]))
        },
      ], ["pooled_shape": .ints([2, 2])]),
    Sample([.floats(1, 2, 6, 6), .floats(0, 5)], ["pooled_shape": .ints([1, 2])]),
  ]

  private static func pooledShape(_ context: Inference) throws(StackLensError) -> Shape {
    let x = try context.input(0, oneOf: ElementType.reals)
    _ = try context.sameElementType(0, 1)
    let rois = try context.input(1).shape
    let pooled = try context.ints("pooled_shape") ?? []
    guard x.rank == 4, rois.rank == 2, rois[1] == 5, pooled.count == 2,
      pooled.allSatisfy({ $0 > 0 })
    else {
      throw .shapeMismatch("cannot pool \(x.shape) over regions of shape \(rois) into \(pooled)")
    }
    return try Shape([rois[0], x.shape[1]] + pooled)
  }

  private static func roiMaximum<T: RealElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let pooling = try RoiPooling(preparation)
    return PreparedKernel { (run) throws(StackLensError) in
      let x = try run.input(0).base.assumingMemoryBound(to: T.self)
      let rois = try run.input(1).base.assumingMemoryBound(to: T.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: T.self)
      try pooling.run(x, rois, run.parallel) { cell, _, value in y[cell] = T(rounding: value) }
    }
  }
}

extension GradientRule {
  /// To the largest value of each cell; the corners of regions are rounded.
  static let maxRoiPool = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    let (g, x) = (try scope.arriving(), try scope.input(0))
    let places = scope.graph.add(
      "MaxRoiPlaces", [x, try scope.input(1)], scope.node.attributes, domain: "ai.stacklens")
    let first = scope.graph.constant(try Tensor(scalar: Int64(0)))
    let isEmpty = scope.apply("Less", places, first)
    let flat = try scope.ints([-1])
    let zero = try scope.scalar(0, like: g)
    let zeros = scope.apply(
      "Expand", zero, scope.apply("Reshape", scope.apply("Size", x), flat))
    let sums = scope.apply(
      "ScatterElements", zeros,
      scope.apply("Reshape", scope.apply("Max", places, first), flat),
      scope.apply("Reshape", scope.choose(isEmpty, zero, g), flat),
      attributes: ["reduction": .string("add")])
    return [
      scope.graph.add("Reshape", [sums, scope.shape(of: x)], ["allowzero": .int(1)]), nil,
    ]
  }
}

/// The cells of a MaxRoiPool.
private struct RoiPooling: Sendable {
  private let shape: Shape
  private let output: Shape
  private let scale: Double

  init(_ preparation: Preparation) throws(StackLensError) {
    shape = try preparation.input(0).shape
    output = preparation.outputs[0].shape
    scale = Double(try preparation.float("spatial_scale"))
  }

  /// Calls `store` with every cell, the place of its largest value and that value: nil and 0 where
  /// the cell is empty.
  @inline(__always)
  func run<T: RealElement>(
    _ x: UnsafePointer<T>, _ rois: UnsafePointer<T>, _ parallel: Parallel,
    _ store: (_ cell: Int, _ place: Int?, _ value: Double) -> Void
  ) throws(StackLensError) {
    try check(rois)
    let (channels, height, width) = (shape[1], shape[2], shape[3])
    let (rows, columns) = (output[2], output[3])
    parallel.ranges(output[0] * channels, grain: 4) { range in
      for index in range {
        let (region, channel) = index.quotientAndRemainder(dividingBy: channels)
        let roi = rois + region * 5
        let start = (Int(roi[0].double) * channels + channel) * height * width
        let (left, right) = (corner(roi, 1), corner(roi, 3))
        let (top, bottom) = (corner(roi, 2), corner(roi, 4))
        for row in 0..<rows {
          let ys = span(row, of: rows, from: top, to: bottom, limit: height)
          for column in 0..<columns {
            let xs = span(column, of: columns, from: left, to: right, limit: width)
            var (best, place) = (
              -Double.infinity, start + (ys.first ?? 0) * width + (xs.first ?? 0)
            )
            for j in ys {
              for i in xs where x[start + j * width + i].double > best {
                place = start + j * width + i
                best = x[place].double
              }
            }
            let isEmpty = ys.isEmpty || xs.isEmpty
            store(
              (index * rows + row) * columns + column, isEmpty ? nil : place, isEmpty ? 0 : best)
          }
        }
      }
    }
  }

  private func check<T: RealElement>(_ rois: UnsafePointer<T>) throws(StackLensError) {
    for region in 0..<output[0] {
      let image = rois[region * 5].double
      guard image >= 0, image < Double(shape[0]) else {
        throw .invalidArgument("region \(region) is of image \(image), there are \(shape[0])")
      }
      for corner in 1..<5 where !(abs(rois[region * 5 + corner].double * scale) < 1e9) {
        throw .invalidArgument("region \(region) has a corner that is too large or no number")
      }
    }
  }

  private func corner<T: RealElement>(_ roi: UnsafePointer<T>, _ place: Int) -> Int {
    Int((roi[place].double * scale).rounded())
  }

  private func span(
    _ cell: Int, of cells: Int, from first: Int, to last: Int, limit: Int
  ) -> Range<Int> {
    let size = Double(max(last - first + 1, 1)) / Double(cells)
    let start = min(max(Int((Double(cell) * size).rounded(.down)) + first, 0), limit)
    let end = min(max(Int((Double(cell + 1) * size).rounded(.up)) + first, 0), limit)
    return start..<max(start, end)
  }
}
