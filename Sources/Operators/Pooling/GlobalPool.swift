import Base
import CKernels
import Glibc
import Graphs
import Tensors

extension OperatorDefinition {
  /// The largest value of each map; NaN wins. ONNX GlobalMaxPool-22.
  static let globalMaxPool = globalPool(
    "GlobalMaxPool", versions: [1, 22], attributes: [],
    fast: { x, count in slk_max_f32(x, count) },
    reduction: { _ in
      GlobalReduction(start: -.infinity) {
        $1 > $0 || $1.isNaN ? $1 : $0
      } result: { value, _ in
        value
      }
    }, gradient: .globalMaxPool)

  /// The mean of each map. ONNX GlobalAveragePool-22.
  static let globalAveragePool = globalPool(
    "GlobalAveragePool", versions: [1, 22], attributes: [],
    fast: { x, count in slk_sum(x, count) / Float(count) },
    reduction: { _ in
      GlobalReduction(start: 0) {
        $0 + $1
      } result: { sum, count in
        sum / Double(count)
      }
    }, gradient: .globalAveragePool)

  /// (Σ |x|^p)^(1/p) of each map. ONNX GlobalLpPool-22.
  static let globalLpPool = globalPool(
    "GlobalLpPool", versions: [1, 2, 22], attributes: [.int("p", default: 2)], fast: nil,
    reduction: { (view) throws(StackLensError) in
      let p = Double(try view.int("p"))
      guard p >= 1 else { throw .invalidArgument("attribute 'p' is \(p), expected 1 or more") }
      return GlobalReduction(start: 0) {
        $0 + (p == 2 ? $1 * $1 : p == 1 ? abs($1) : Glibc.pow(abs($1), p))
      } result: { sum, _ in
        p == 2 ? sum.squareRoot() : p == 1 ? sum : Glibc.pow(sum, 1 / p)
      }
    }, lift: liftNorm, gradient: .globalLpPool)

  private static func globalPool(
    _ name: String, versions: [Int], attributes: [AttributeSpec],
    fast: (@Sendable (UnsafePointer<Float>, Int) -> Float)?,
    reduction: @escaping @Sendable (Preparation) throws(StackLensError) -> GlobalReduction,
    lift: Convert? = nil, gradient: GradientRule
  ) -> OperatorDefinition {
    var kernels: [Kernel] = [
      .reference { (preparation) throws(StackLensError) in
        let reduction = try reduction(preparation)
        return switch try preparation.input(0).elementType {
        case .float16: try reduction.kernel(Float16.self, preparation)
        case .bfloat16: try reduction.kernel(BFloat16.self, preparation)
        case .float64: try reduction.kernel(Double.self, preparation)
        default: try reduction.kernel(Float.self, preparation)
        }
      }
    ]
    if let fast {
      kernels.insert(
        Kernel("vector") { (preparation) throws(StackLensError) in
          guard try preparation.input(0).elementType == .float32 else { return nil }
          let (maps, pixels) = try extents(preparation)
          return PreparedKernel { (run) throws(StackLensError) in
            let x = try run.input(0).floats
            let y = run.outputs[0].floats
            run.parallel.ranges(maps, grain: max(1, (1 << 15) / max(1, pixels))) { range in
              for map in range { y[map] = fast(x + map * pixels, pixels) }
            }
          }
        }, at: 0)
    }
    return OperatorDefinition(
      name, versions: versions, inputs: 1...1, attributes: attributes,
      infer: { (context) throws(StackLensError) in
        let x = try context.input(0, oneOf: ElementType.reals)
        guard x.rank >= 2 else {
          throw .shapeMismatch("pooling needs rank 2 or more, found \(x.shape)")
        }
        let dims = x.shape.dims.prefix(2) + Array(repeating: 1, count: x.rank - 2)
        let output = TensorType(x.elementType, try Shape(Array(dims)))
        guard x.shape.count > 0 || output.shape.count == 0 else {
          throw .shapeMismatch("pooling over \(x.shape) has nothing to pool")
        }
        return [output]
      },
      execution: .kernels(kernels), lift: lift, gradient: gradient,
      samples: [
        Sample([.floats(2, 3, 4, 5)]), Sample([.floats(2, 3)]), Sample([.floats(0, 3, 4)]),
        Sample([.random(.float64, [1, 2, 2, 2, 3], low: -1, high: 1)]),
      ])
  }

  fileprivate static func extents(
    _ preparation: Preparation
  ) throws(StackLensError) -> (maps: Int, pixels: Int) {
    let shape = try preparation.input(0).shape
    return (shape[0] * shape[1], shape.count(2..<shape.rank))
  }
}

/// A fold over all values of a map, in double precision.
private struct GlobalReduction: Sendable {
  let start: Double
  let add: @Sendable (Double, Double) -> Double
  let result: @Sendable (Double, Int) -> Double

  init(
    start: Double, _ add: @escaping @Sendable (Double, Double) -> Double,
    result: @escaping @Sendable (Double, Int) -> Double
  ) {
    self.start = start
    self.add = add
    self.result = result
  }

  func kernel<T: RealElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (maps, pixels) = try OperatorDefinition.extents(preparation)
    return PreparedKernel { (run) throws(StackLensError) in
      let x = try run.input(0).base.assumingMemoryBound(to: T.self)
      let y = run.outputs[0].base.assumingMemoryBound(to: T.self)
      run.parallel.ranges(maps, grain: max(1, (1 << 13) / max(1, pixels))) { range in
        for map in range {
          var value = start
          for pixel in 0..<pixels { value = add(value, x[map * pixels + pixel].double) }
          y[map] = T(rounding: result(value, pixels))
        }
      }
    }
  }
}
