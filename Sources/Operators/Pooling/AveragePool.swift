import Base
import Glibc
import Graphs
import Tensors

extension OperatorDefinition {
  /// The mean of each window, over the values inside the input or (count_include_pad) over the
  /// padding too. ONNX AveragePool-22.
  static let averagePool = OperatorDefinition(
    "AveragePool", versions: [1, 7, 10, 11, 19, 22], inputs: 1...1,
    attributes: windowAttributes + [.int("count_include_pad", default: 0)],
    infer: inferWindows,
    execution: .kernels([
      Kernel("separable") { (preparation) throws(StackLensError) in
        try SeparablePool(preparation, isMaximum: false)?.prepared
      },
      .reference { (preparation) throws(StackLensError) in
        let countsPadding = try preparation.flag("count_include_pad")
        return try accumulate(
          preparation, term: { $0 },
          result: { sum, z, y, x in
            countsPadding
              ? sum / (Double(z.paddedCount) * Double(y.paddedCount) * Double(x.paddedCount))
              : sum / Double(z.count * y.count * x.count)
          })
      },
    ]),
    lower: dropDefaults([
      ("dilations", 19, { $0.isOnes }), ("ceil_mode", 10, { $0.isInt(0) }),
      ("count_include_pad", 7, { $0.isInt(0) }),
    ]),
    gradient: .averagePool,
    samples: [
      Sample([.floats(1, 3, 8, 7)], ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
      Sample(
        [.floats(2, 2, 6, 5)],
        [
          "kernel_shape": .ints([3, 2]), "pads": .ints([1, 0, 1, 1]), "ceil_mode": .int(1),
          "strides": .ints([2, 2]), "count_include_pad": .int(1),
        ]),
      Sample([.floats(1, 2, 9)], ["kernel_shape": .ints([3]), "dilations": .ints([2])]),
      Sample(
        [.random(.float64, [1, 2, 4, 4, 4], low: -1, high: 1)],
        ["kernel_shape": .ints([2, 3, 2]), "auto_pad": .string("SAME_LOWER")]),
      Sample([.floats(0, 3, 4, 4)], ["kernel_shape": .ints([2, 2])]),
    ])

  /// (Σ |x|^p)^(1/p) of each window. ONNX LpPool-22.
  static let lpPool = OperatorDefinition(
    "LpPool", versions: [1, 2, 11, 18, 22], inputs: 1...1,
    attributes: windowAttributes + [.int("p", default: 2)],
    infer: inferWindows,
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let p = Double(try preparation.int("p"))
        guard p >= 1 else { throw .invalidArgument("attribute 'p' is \(p), expected 1 or more") }
        return try accumulate(
          preparation, term: { p == 2 ? $0 * $0 : p == 1 ? abs($0) : Glibc.pow(abs($0), p) },
          result: { sum, _, _, _ in p == 2 ? sum.squareRoot() : p == 1 ? sum : Glibc.pow(sum, 1 / p)
          })
      }
    ]),
    lift: liftNorm,
    lower: dropDefaults([
      ("dilations", 18, { $0.isOnes }), ("ceil_mode", 18, { $0.isInt(0) }),
    ]),
    gradient: .lpPool,
    samples: [
      Sample([.floats(1, 3, 8, 7)], ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
      Sample([.floats(1, 3, 9)], ["kernel_shape": .ints([4]), "p": .int(3)]),
      Sample([.floats(0, 3, 4, 4)], ["kernel_shape": .ints([2, 2]), "p": .int(1)]),
    ])

  /// p was a float at first.
  static let liftNorm: Convert = { (node, opset, _) throws(StackLensError) in
    var node = node
    if opset < 2, case .float(let p)? = node.attributes["p"] {
      guard let whole = Int64(exactly: p) else { throw .unsupported("attribute 'p' is \(p)") }
      node.attributes["p"] = .int(whole)
    }
    return [node]
  }

  private static let inferWindows: Infer = { (context) throws(StackLensError) in
    let x = try context.input(0, oneOf: ElementType.reals)
    let geometry = try ConvolutionGeometry.pooling(context, x: x.shape)
    return [TensorType(x.elementType, try Shape(geometry.outputDims))]
  }

  /// Sums terms over windows in double precision.
  private static func accumulate(
    _ preparation: Preparation, term: @escaping @Sendable (Double) -> Double,
    result:
      @escaping @Sendable (
        Double, PoolingWindows.Span, PoolingWindows.Span, PoolingWindows.Span
      ) -> Double
  ) throws(StackLensError) -> PreparedKernel {
    let windows = try PoolingWindows(preparation, x: preparation.input(0).shape)
    func kernel<T: RealElement>(_: T.Type) -> PreparedKernel {
      PreparedKernel { (run) throws(StackLensError) in
        let x = try run.input(0).base.assumingMemoryBound(to: T.self)
        let y = run.outputs[0].base.assumingMemoryBound(to: T.self)
        run.parallel.ranges(windows.maps, grain: windows.grain) { maps in
          for map in maps {
            let source = x + map * windows.inputPixels
            let target = y + map * windows.outputPixels
            windows.forEachWindow { output, z, row, column in
              var sum = 0.0
              windows.forEachInput(z, row, column) { sum += term(source[$0].double) }
              target[output] = T(rounding: result(sum, z, row, column))
            }
          }
        }
      }
    }
    return switch try preparation.input(0).elementType {
    case .float16: kernel(Float16.self)
    case .bfloat16: kernel(BFloat16.self)
    case .float64: kernel(Double.self)
    default: kernel(Float.self)
    }
  }
}
