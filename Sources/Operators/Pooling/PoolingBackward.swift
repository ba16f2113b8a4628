import Base
import CKernels
import Graphs
import Tensors

extension OperatorDefinition {
  /// Back through MaxPool: from g and x, g at the first largest input of each window.
  static let maxPoolGradient = OperatorDefinition(
    "MaxPoolGradient", domain: "ai.stacklens", versions: [1], inputs: 2...2,
    attributes: windowAttributes + [.int("storage_order", default: 0)],
    infer: { (context) throws(StackLensError) in
      let (g, x) = (try context.input(0, oneOf: ElementType.reals), try context.input(1))
      try checkWindows(context, g, x.shape)
      return [x]
    },
    execution: .kernels([
      Kernel("squares", prepare: largestOfSquaresBack),
      Kernel("direct") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        return try largestBack(Float.self, preparation)
      },
      .reference { (preparation) throws(StackLensError) in
        try largestBack(Double.self, preparation)
      },
    ]),
    gradient: .maxPoolGradient,
    samples: [
      Sample(
        [.floats(1, 3, 4, 3), .floats(1, 3, 8, 7)],
        ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
      Sample(
        [.floats(2, 3, 2, 17), .floats(2, 3, 5, 35)],
        ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
      Sample(
        [.floats(2, 2, 4, 3), .floats(2, 2, 6, 5)],
        [
          "kernel_shape": .ints([3, 2]), "pads": .ints([1, 0, 1, 1]), "ceil_mode": .int(1),
          "strides": .ints([2, 2]),
        ]),
      Sample(
        [.floats(1, 2, 5), .floats(1, 2, 9)],
        ["kernel_shape": .ints([3]), "dilations": .ints([2])]),
      Sample([.floats(0, 3, 3, 3), .floats(0, 3, 4, 4)], ["kernel_shape": .ints([2, 2])]),
    ])

  /// Back through AveragePool: from g and the extents of x, an equal share of g for each input.
  static let averagePoolGradient = OperatorDefinition(
    "AveragePoolGradient", domain: "ai.stacklens", versions: [1], inputs: 2...2,
    attributes: windowAttributes + [.int("count_include_pad", default: 0)],
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: ElementType.reals)
      let shape = try Shape(try context.value(1).integers())
      try checkWindows(context, g, shape)
      return [TensorType(g.elementType, shape)]
    },
    execution: .kernels([
      Kernel("direct") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        return try sharesBack(Float.self, preparation)
      },
      .reference { (preparation) throws(StackLensError) in
        try sharesBack(Double.self, preparation)
      },
    ]),
    outline: outline(extents: 1),
    gradient: GradientRule(inputs: 1) { (scope) throws(StackLensError) in
      [scope.graph.add("AveragePool", [try scope.arriving()], scope.node.attributes), nil]
    },
    samples: [
      Sample(
        [.floats(1, 3, 4, 3), .ints([1, 3, 8, 7])],
        ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
      Sample(
        [.floats(2, 2, 4, 3), .ints([2, 2, 6, 5])],
        [
          "kernel_shape": .ints([3, 2]), "pads": .ints([1, 0, 1, 1]), "ceil_mode": .int(1),
          "strides": .ints([2, 2]), "count_include_pad": .int(1),
        ]),
      Sample(
        [.floats(1, 2, 5), .ints([1, 2, 9])],
        ["kernel_shape": .ints([3]), "dilations": .ints([2])]),
    ])

  private static func checkWindows(
    _ context: Inference, _ g: TensorType, _ x: Shape
  ) throws(StackLensError) {
    let dims = try ConvolutionGeometry.pooling(context, x: x).outputDims
    guard g.shape.dims == dims else {
      throw .shapeMismatch("gradient \(g) of a pooling that makes \(dims)")
    }
  }

  /// The 2 x 2 squares that most nets pool over.
  private static func largestOfSquaresBack(
    _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel? {
    guard try preparation.input(0).elementType == .float32 else { return nil }
    let geometry = try ConvolutionGeometry.pooling(preparation, x: preparation.input(1).shape)
    let (depth, height, width) = (geometry.axes[0], geometry.axes[1], geometry.axes[2])
    func isHalved(_ axis: ConvolutionAxis) -> Bool {
      axis.kernel == 2 && axis.stride == 2 && axis.dilation == 1 && axis.padBegin == 0
        && axis.output == axis.input / 2
    }
    guard depth.kernel == 1, depth.input == 1, depth.output == 1, isHalved(height), isHalved(width)
    else { return nil }
    let maps = geometry.batch * geometry.groupCount
    let (read, made) = (height.input * width.input, height.output * width.output)
    return PreparedKernel { (run) throws(StackLensError) in
      let (g, x) = (try run.input(0).floats, try run.input(1).floats)
      let dx = run.outputs[0].floats
      run.parallel.ranges(maps, grain: max(1, cheapGrain / max(1, read))) { range in
        for map in range {
          slk_max_pool_back_f32(
            g + map * made, x + map * read, dx + map * read, height.input, width.input)
        }
      }
    }
  }

  private static func largestBack<T: RealElement & BinaryFloatingPoint>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let windows = try PoolingWindows(preparation, x: preparation.input(1).shape)
    return try wideKernel(T.self, preparation) { (wide) throws(StackLensError) in
      let (g, x, dx) = (try wide.input(0), try wide.input(1), wide.outputs[0])
      wide.run.parallel.ranges(windows.maps, grain: windows.grain) { maps in
        for map in maps {
          let (source, target) = (x + map * windows.inputPixels, dx + map * windows.inputPixels)
          let arriving = g + map * windows.outputPixels
          target.update(repeating: 0, count: windows.inputPixels)
          windows.forEachWindow { output, z, row, column in
            var (best, place) = (T.zero, -1)
            windows.forEachInput(z, row, column) { offset in
              let value = source[offset]
              if place < 0 || value > best || (value != value && best == best) {
                (best, place) = (value, offset)
              }
            }
            if place >= 0 { target[place] += arriving[output] }
          }
        }
      }
    }
  }

  private static func sharesBack<T: RealElement & BinaryFloatingPoint>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let windows = try PoolingWindows(preparation, x: preparation.outputs[0].shape)
    let countsPadding = try preparation.flag("count_include_pad")
    return try wideKernel(T.self, preparation, inputs: 1) { (wide) throws(StackLensError) in
      let (g, dx) = (try wide.input(0), wide.outputs[0])
      wide.run.parallel.ranges(windows.maps, grain: windows.grain) { maps in
        for map in maps {
          let (target, arriving) = (dx + map * windows.inputPixels, g + map * windows.outputPixels)
          target.update(repeating: 0, count: windows.inputPixels)
          windows.forEachWindow { output, z, row, column in
            let count =
              countsPadding
              ? Double(z.paddedCount) * Double(row.paddedCount) * Double(column.paddedCount)
              : Double(z.count * row.count * column.count)
            let share = T(arriving[output].double / count)
            windows.forEachInput(z, row, column) { target[$0] += share }
          }
        }
      }
    }
  }
}

extension GradientRule {
  static let maxPool = GradientRule { (scope) throws(StackLensError) in
    [
      scope.graph.add(
        "MaxPoolGradient", [try scope.arriving(), try scope.input(0)], scope.node.attributes,
        domain: "ai.stacklens")
    ]
  }

  /// Linear in g: what arrives is read where MaxPool finds the largest inputs.
  static let maxPoolGradient = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    var settings = scope.node.attributes
    settings["storage_order"] = nil
    let places = scope.graph.add("MaxPool", [try scope.input(1)], settings, outputs: 2)[1]
    let flat = scope.apply("Reshape", try scope.arriving(), try scope.ints([-1]))
    return [scope.apply("Gather", flat, places), nil]
  }

  static let averagePool = GradientRule { (scope) throws(StackLensError) in
    [
      scope.graph.add(
        "AveragePoolGradient", [try scope.arriving(), scope.shape(of: try scope.input(0))],
        scope.node.attributes, domain: "ai.stacklens")
    ]
  }

  /// The means of |x|^p times the number of elements in each window.
  static let lpPool = GradientRule.composed { (scope) throws(StackLensError) in
    let x = try scope.input(0)
    var settings = scope.node.attributes
    settings["p"] = nil
    let ones = scope.apply("Expand", try scope.scalar(1, like: x), scope.shape(of: x))
    let counts = scope.graph.add("LpPool", [ones], settings.merging(["p": .int(1)]) { $1 })
    return try norm(scope, of: x) { scope.graph.add("AveragePool", [$0], settings) * counts }
  }

  static let globalLpPool = GradientRule.composed { (scope) throws(StackLensError) in
    let x = try scope.input(0)
    return try norm(scope, of: x) { terms in
      let mean = scope.apply("GlobalAveragePool", terms)
      return mean * scope.apply("CastLike", scope.apply("Size", x), x)
        / scope.apply("CastLike", scope.apply("Size", mean), x)
    }
  }

  /// (Σ |x|^p)^(1/p).
  private static func norm(
    _ scope: GradientScope, of x: Edge, sum: (Edge) -> Edge
  ) throws(StackLensError) -> [Edge?] {
    switch try scope.int("p") {
    case 1: return [sum(scope.apply("Abs", x))]
    case 2: return [scope.apply("Sqrt", sum(x * x))]
    case let p:
      let power = scope.apply("Pow", scope.apply("Abs", x), try scope.scalar(Double(p), like: x))
      return [scope.apply("Pow", sum(power), try scope.scalar(1 / Double(p), like: x))]
    }
  }

  static let globalAveragePool = GradientRule { (scope) throws(StackLensError) in
    let (g, x) = (try scope.arriving(), try scope.input(0))
    let count =
      scope.apply("CastLike", scope.apply("Size", x), g)
      / scope.apply("CastLike", scope.apply("Size", g), g)
    return [scope.apply("Expand", g / count, scope.shape(of: x))]
  }

  /// To the elements that have the value, in equal shares.
  static let globalMaxPool = GradientRule { (scope) throws(StackLensError) in
    let (g, x) = (try scope.arriving(), try scope.input(0))
    let share = scope.apply("CastLike", scope.apply("Equal", x, scope.output), g)
    return [g / scope.sum(share, like: g) * share]
  }

  static let maxUnpool = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    guard !scope.hasInput(2) else {
      throw .unsupported("MaxUnpool to a given shape cannot be differentiated")
    }
    let flat = scope.apply("Reshape", try scope.arriving(), try scope.ints([-1]))
    return [scope.apply("Gather", flat, try scope.input(1)), nil]
  }
}
