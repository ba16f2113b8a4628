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
      let images = try context.input(2, oneOf: [.int64])
      return [
        TensorType(
          x.elementType,
          try RoiAligner.output(
            context, x: x.shape, rois: context.input(1).shape, images: images.shape))
      ]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let aligner = try RoiAligner(
          preparation, x: preparation.input(0).shape, output: preparation.outputs[0].shape)
        switch try preparation.input(0).elementType {
        case .float64: return kernel(Double.self, aligner)
        case .float16: return kernel(Float16.self, aligner)
        case .bfloat16: return kernel(BFloat16.self, aligner)
        default: return kernel(Float.self, aligner)
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
    gradient: .roiAlign,
    samples: [
      Sample(
        [.floats(2, 3, 6, 5), .tensor(regions), .ints([0, 1])],
        ["output_height": .int(2), "output_width": .int(3), "sampling_ratio": .int(2)]),
      Sample(
        [.floats(2, 3, 6, 5), .tensor(regions), .ints([1, 1])],
        ["mode": .string("max"), "coordinate_transformation_mode": .string("output_half_pixel")]),
      Sample([.floats(1, 3, 6, 5), .floats(0, 4), .ints([])]),
    ])

  @Sendable static func regions() throws(StackLensError) -> Tensor {
    try Tensor([Float(0), 0.5, 3.25, 4, 1, 1, 4.4, 5.5], shape: Shape([2, 4]))
  }

  private static func kernel<T: RealElement>(_: T.Type, _ aligner: RoiAligner) -> PreparedKernel {
    PreparedKernel { (run) throws(StackLensError) in
      let x = try run.input(0).base.assumingMemoryBound(to: T.self)
      let rois = try run.input(1).base.assumingMemoryBound(to: T.self)
      let images = try run.input(2).int64s
      let y = run.outputs[0].base.assumingMemoryBound(to: T.self)
      let regions = try aligner.regions(rois, images)
      let (height, width, channels) = (aligner.height, aligner.width, aligner.channels)
      run.parallel.ranges(regions.count * channels, grain: 2) { range in
        for index in range {
          let (region, channel) = index.quotientAndRemainder(dividingBy: channels)
          let map = x + (regions[region].image * channels + channel) * aligner.pixels
          for row in 0..<height {
            let down = aligner.samples(regions[region].vertical, row, aligner.extents.height)
            for column in 0..<width {
              let across = aligner.samples(
                regions[region].horizontal, column, aligner.extents.width)
              y[(index * height + row) * width + column] = T(
                rounding: aligner.cell(map, down, across))
            }
          }
        }
      }
    }
  }
}
