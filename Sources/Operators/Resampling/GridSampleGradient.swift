import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The gradient of the image that GridSample reads: from g, the grid and the extents of the image.
  /// Each element of g goes to the pixels that it was made of, by their weights.
  static let gridSampleInputGradient = OperatorDefinition(
    "GridSampleInputGradient", domain: "ai.stacklens", versions: [1], inputs: 3...3,
    attributes: gridSample.attributes,
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: ElementType.reals)
      let grid = try context.input(1, oneOf: ElementType.reals)
      let shape = try Shape(try context.value(2).integers())
      try requireSampled(g, x: shape, grid: grid.shape)
      return [TensorType(g.elementType, shape)]
    },
    execution: .kernels([.reference(spreadOverImages)]),
    outline: outline(extents: 2),
    gradient: GradientRule(inputs: 2) { (scope) throws(StackLensError) in
      let (d, g, grid) = (try scope.arriving(), try scope.input(0), try scope.input(1))
      let settings = scope.node.attributes
      return [
        scope.wants(0) ? scope.graph.add("GridSample", [d, grid], settings) : nil,
        scope.wants(1)
          ? scope.graph.add(
            "GridSampleGridGradient", [g, d, grid], settings, domain: "ai.stacklens") : nil,
        nil,
      ]
    },
    samples: [
      Sample([.floats(2, 3, 3, 2), .floats(2, 3, 2, 2), .ints([2, 3, 4, 5])]),
      Sample(
        [
          .floats(1, 17, 3, 3), .random(.float32, [1, 3, 3, 2], low: -2, high: 2),
          .ints([1, 17, 4, 5]),
        ], ["mode": .string("cubic"), "padding_mode": .string("reflection")]),
      Sample(
        [
          .floats(1, 2, 2, 3, 2), .random(.float32, [1, 2, 3, 2, 3], low: -2, high: 2),
          .ints([1, 2, 3, 4, 2]),
        ], ["padding_mode": .string("border"), "align_corners": .int(1)]),
      Sample([.floats(1, 2, 0, 3), .floats(1, 0, 3, 2), .ints([1, 2, 4, 5])]),
    ])

  /// The gradient of the grid of GridSample: from g, the image and the grid.
  static let gridSampleGridGradient = OperatorDefinition(
    "GridSampleGridGradient", domain: "ai.stacklens", versions: [1], inputs: 3...3,
    attributes: gridSample.attributes,
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: ElementType.reals)
      let x = try context.input(1, oneOf: ElementType.reals)
      let grid = try context.input(2, oneOf: ElementType.reals)
      try requireSampled(g, x: x.shape, grid: grid.shape)
      return [grid]
    },
    execution: .kernels([.reference(slopesOfImages)]),
    gradient: .none("the derivative of GridSample by its grid has none of its own"),
    samples: [
      Sample([.floats(2, 3, 3, 2), .floats(2, 3, 4, 5), .floats(2, 3, 2, 2)]),
      Sample(
        [
          .floats(1, 2, 2, 3, 2), .floats(1, 2, 3, 4, 2),
          .random(.float32, [1, 2, 3, 2, 3], low: -2, high: 2),
        ], ["padding_mode": .string("reflection"), "align_corners": .int(1)]),
      Sample([.floats(0, 2, 2, 3), .floats(0, 2, 4, 5), .floats(0, 2, 3, 2)]),
    ])

  private static func requireSampled(
    _ g: TensorType, x: Shape, grid: Shape
  ) throws(StackLensError) {
    let output = try GridGeometry.output(x: x, grid: grid)
    guard g.shape == output else {
      throw .shapeMismatch("gradient \(g) of a GridSample that makes \(output)")
    }
  }

  /// Channels that share the places of a position.
  private static let channelsTogether = 16

  private static func spreadOverImages(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let geometry = try GridGeometry(preparation, x: preparation.outputs[0].shape)
    let g = try preparation.input(0).shape
    let (points, pixels, channels) = (g.count(2..<g.rank), geometry.pixels, geometry.channels)
    let groups = (channels + channelsTogether - 1) / channelsTogether
    let hasPixels = preparation.outputs[0].shape.count > 0
    return try wideKernel(Double.self, preparation, inputs: 2) { (wide) throws(StackLensError) in
      let (g, grid, dx) = (try wide.input(0), try wide.input(1), wide.outputs[0])
      guard hasPixels else { return }
      wide.run.parallel.forEach(geometry.images * groups) { part in
        let (image, group) = part.quotientAndRemainder(dividingBy: groups)
        let first = image * channels + group * channelsTogether
        let last = min(first + channelsTogether, (image + 1) * channels)
        (dx + first * pixels).update(repeating: 0, count: (last - first) * pixels)
        for point in 0..<points {
          geometry.taps(grid + (image * points + point) * geometry.rank)
            .forEach { offset, weight, _ in
              for map in first..<last {
                dx[map * pixels + offset] += weight * g[map * points + point]
              }
            }
        }
      }
    }
  }

  private static func slopesOfImages(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let geometry = try GridGeometry(preparation, x: preparation.input(1).shape)
    let g = try preparation.input(0).shape
    let (points, pixels, channels) = (g.count(2..<g.rank), geometry.pixels, geometry.channels)
    let rank = geometry.rank
    let isEmpty = g.count == 0
    return try wideKernel(Double.self, preparation) { (wide) throws(StackLensError) in
      let (g, x, grid) = (try wide.input(0), try wide.input(1), try wide.input(2))
      let dgrid = wide.outputs[0]
      guard !isEmpty else {
        dgrid.update(repeating: 0, count: wide.run.outputs[0].count)
        return
      }
      wide.run.parallel.ranges(geometry.images * points, grain: 256) { range in
        for index in range {
          let (image, point) = index.quotientAndRemainder(dividingBy: points)
          var sums = SIMD3<Double>.zero
          geometry.taps(grid + index * rank).forEach { offset, _, slopes in
            var sum = 0.0
            for map in image * channels..<(image + 1) * channels {
              sum += g[map * points + point] * x[map * pixels + offset]
            }
            sums += sum * slopes
          }
          for axis in 0..<rank { dgrid[index * rank + axis] = sums[2 - axis] }
        }
      }
    }
  }
}

extension GradientRule {
  static let gridSample = GradientRule { (scope) throws(StackLensError) in
    let (g, x, grid) = (try scope.arriving(), try scope.input(0), try scope.input(1))
    let settings = scope.node.attributes
    return [
      scope.wants(0)
        ? scope.graph.add(
          "GridSampleInputGradient", [g, grid, scope.shape(of: x)], settings,
          domain: "ai.stacklens") : nil,
      scope.wants(1)
        ? scope.graph.add(
          "GridSampleGridGradient", [g, x, grid], settings, domain: "ai.stacklens") : nil,
    ]
  }
}
