import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Puts columns of sliding blocks back into an image, adding where blocks overlap: `[N, C · block,
  /// positions]` becomes `[N, C, image…]`. ONNX Col2Im-18.
  static let col2Im = OperatorDefinition(
    "Col2Im", versions: [18], inputs: 3...3,
    attributes: [
      .optional("dilations", .ints), .optional("pads", .ints), .optional("strides", .ints),
    ],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      guard (ElementType.numbers + ElementType.complexes + [.bool]).contains(input.elementType)
      else { throw .typeMismatch("\(input.elementType.name) has no sums") }
      let blocks = try BlockLayout(
        context, columns: input.shape, image: try context.value(1).integers(),
        block: try context.value(2).integers())
      return [TensorType(input.elementType, try Shape(blocks.imageDims))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        switch try preparation.input(0).elementType {
        case .complex64: try complexKernel(Complex64(0, 0), preparation)
        case .complex128: try complexKernel(Complex128(0, 0), preparation)
        case let type where type.isFloat: try realKernel(Double.self, preparation)
        default: try realKernel(Int64.self, preparation)
        }
      }
    ]),
    gradient: .col2Im,
    samples: [
      Sample([.floats(1, 5, 5), .ints([5, 5]), .ints([1, 5])]),
      Sample(
        [.floats(2, 8, 6), .ints([4, 4]), .ints([2, 2])],
        ["pads": .ints([1, 0, 1, 1]), "strides": .ints([2, 1]), "dilations": .ints([3, 2])]),
      Sample(
        [.random(.int32, [1, 6, 4], low: -9, high: 9), .ints([6]), .ints([3])]),
      Sample([.floats(0, 5, 5), .ints([5, 5]), .ints([1, 5])]),
    ])

  private static func realKernel<T: ComputeElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (input, options) = (try preparation.input(0).shape, NodeOptions(preparation))
    return try wideKernel(T.self, preparation, inputs: 1) { (wide) throws(StackLensError) in
      let blocks = try BlockLayout(options, columns: input, wide.run)
      blocks.sum(
        try wide.input(0), wide.outputs[0], wide.run.parallel, zero: T.zero
      ) { T.add($0, $1) }
    }
  }

  private static func complexKernel<Part>(
    _ zero: Complex<Part>, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (input, options) = (try preparation.input(0).shape, NodeOptions(preparation))
    return PreparedKernel { (run) throws(StackLensError) in
      let blocks = try BlockLayout(options, columns: input, run)
      blocks.sum(
        try run.input(0).base.assumingMemoryBound(to: Complex<Part>.self),
        run.outputs[0].base.assumingMemoryBound(to: Complex<Part>.self), run.parallel, zero: zero
      ) { $0 + $1 }
    }
  }
}

extension BlockLayout {
  /// What a run does with the values that it gets.
  fileprivate init(
    _ view: some NodeView, columns: Shape, _ run: Invocation
  ) throws(StackLensError) {
    try self.init(
      view, columns: columns, image: run.input(1).integers(), block: run.input(2).integers())
    guard imageDims == run.outputs[0].shape.dims else {
      throw .shapeMismatch("Col2Im gives \(imageDims), planned \(run.outputs[0].shape)")
    }
  }

  /// Adds every element of `x` to its pixel of `y`.
  @inline(__always)
  fileprivate func sum<T>(
    _ x: UnsafePointer<T>, _ y: UnsafeMutablePointer<T>, _ parallel: Parallel, zero: T,
    _ add: (T, T) -> T
  ) {
    parallel.ranges(mapCount, grain: 1) { maps in
      for map in maps {
        let target = y + map * pixelCount
        target.update(repeating: zero, count: pixelCount)
        forEachPair { column, pixel in
          target[pixel] = add(target[pixel], x[map * columnCount + column])
        }
      }
    }
  }
}

extension GradientRule {
  /// Every column gets what arrives at its pixel.
  static let col2Im = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    [
      scope.graph.add(
        "Im2Col", [try scope.arriving(), try scope.input(2)], scope.node.attributes,
        domain: "ai.stacklens"), nil, nil,
    ]
  }
}
