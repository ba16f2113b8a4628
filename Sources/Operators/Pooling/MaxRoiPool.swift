import Base
import Glibc
import Graphs
import Tensors

extension OperatorDefinition {
  /// The largest value in each cell of a grid over regions of interest. A region is a row
  /// `[batch index, x1, y1, x2, y2]`, its corners multiplied by spatial_scale. ONNX MaxRoiPool-22.
  static let maxRoiPool = OperatorDefinition(
    "MaxRoiPool", versions: [1, 22], inputs: 2...2,
    attributes: [.required("pooled_shape", .ints), .float("spatial_scale", default: 1)],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: ElementType.reals)
      _ = try context.sameElementType(0, 1)
      let rois = try context.input(1).shape
      let pooled = try context.ints("pooled_shape") ?? []
      guard x.rank == 4, rois.rank == 2, rois[1] == 5, pooled.count == 2,
        pooled.allSatisfy({ $0 > 0 })
      else {
        throw .shapeMismatch(
          "cannot pool \(x.shape) over regions of shape \(rois) into \(pooled)")
      }
      return [TensorType(x.elementType, try Shape([rois[0], x.shape[1]] + pooled))]
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
    samples: [
      Sample(
        [
          .floats(1, 2, 6, 6),
          .tensor { () throws(StackLensError) in
            try Tensor([Float(0), 0, 1, 4, 5, 0, 2, 2, 3, 3], shape: Shape([2, 5]))
          },
        ], ["pooled_shape": .ints([2, 2])]),
      Sample([.floats(1, 2, 6, 6), .floats(0, 5)], ["pooled_shape": .ints([1, 2])]),
    ])

  private static func roiMaximum<T: RealElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let shape = try preparation.input(0).shape
    let output = preparation.outputs[0].shape
    let scale = Double(try preparation.float("spatial_scale"))
    let (channels, height, width) = (shape[1], shape[2], shape[3])
    let (rows, columns) = (output[2], output[3])
    return PreparedKernel { (run) throws(StackLensError) in
      let x = try run.input(0).base.assumingMemoryBound(to: T.self)
      let rois = try run.input(1).base.assumingMemoryBound(to: T.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: T.self)
      for region in 0..<output[0] {
        let image = rois[region * 5].double
        guard image >= 0, image < Double(shape[0]) else {
          throw .invalidArgument("region \(region) is of image \(image), there are \(shape[0])")
        }
        for corner in 1..<5 where !(abs(rois[region * 5 + corner].double * scale) < 1e9) {
          throw .invalidArgument("region \(region) has a corner that is too large or no number")
        }
      }
      run.parallel.ranges(output[0] * channels, grain: 4) { range in
        for index in range {
          let (region, channel) = index.quotientAndRemainder(dividingBy: channels)
          let roi = rois + region * 5
          func corner(_ place: Int) -> Int { Int((roi[place].double * scale).rounded()) }
          let (left, top) = (corner(1), corner(2))
          let cellWidth = Double(max(corner(3) - left + 1, 1)) / Double(columns)
          let cellHeight = Double(max(corner(4) - top + 1, 1)) / Double(rows)
          let map = x + (Int(roi[0].double) * channels + channel) * height * width
          func span(_ cell: Int, _ size: Double, _ start: Int, _ limit: Int) -> Range<Int> {
            let first = min(max(Int((Double(cell) * size).rounded(.down)) + start, 0), limit)
            let last = min(max(Int((Double(cell + 1) * size).rounded(.up)) + start, 0), limit)
            return first..<max(first, last)
          }
          for row in 0..<rows {
            for column in 0..<columns {
              let ys = span(row, cellHeight, top, height)
              let xs = span(column, cellWidth, left, width)
              var best = ys.isEmpty || xs.isEmpty ? 0 : -Double.infinity
              for j in ys { for i in xs { best = max(best, map[j * width + i].double) } }
              y[(index * rows + row) * columns + column] = T(rounding: best)
            }
          }
        }
      }
    }
  }
}
