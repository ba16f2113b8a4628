import Base
import CKernels
import Glibc
import Graphs
import Tensors

extension OperatorDefinition {
  /// Random numbers of the shape of input 0 that follow from a seed that is an input: normal with mean
  /// `first` and deviation `second`, or uniform between them. Each element follows from the seed, the
  /// `salt` and its place alone, so it never depends on who computes it.
  static let seededNoise = OperatorDefinition(
    "SeededNoise", domain: "ai.stacklens", versions: [1], inputs: 2...2,
    attributes: [
      .int("normal", default: 1), .float("first", default: 0), .float("second", default: 1),
      .int("salt", default: 0),
    ],
    infer: { (context) throws(StackLensError) in
      guard try context.input(1, oneOf: [.int64]).shape.count == 1 else {
        throw .shapeMismatch("the seed is one number")
      }
      return [TensorType(.float32, try context.input(0).shape)]
    },
    execution: .kernels([
      Kernel("vector") { (preparation) throws(StackLensError) in
        try noise(preparation, grain: costlyGrain / 4) { (start, isNormal, bounds, range, y) in
          slk_noise_f32(
            start, UInt64(range.lowerBound), isNormal, bounds.0, bounds.1, y + range.lowerBound,
            range.count)
        }
      },
      .reference { (preparation) throws(StackLensError) in
        try noise(preparation, grain: cheapGrain / 16) { (start, isNormal, bounds, range, y) in
          let (first, second) = bounds
          for i in range {
            let bits = scrambled(start &+ UInt64(i))
            let uniform = Double(bits >> 11) * 0x1p-53
            guard isNormal else {
              y[i] = Float(first + (second - first) * uniform)
              continue
            }
            // Box and Muller, 1958.
            let angle = 2 * Double.pi * Double(scrambled(bits) >> 11) * 0x1p-53
            let radius = (-2 * Glibc.log(1 - uniform)).squareRoot()
            y[i] = Float(first + second * radius * Glibc.cos(angle))
          }
        }
      },
    ]),
    gradient: .zero,
    samples: [
      Sample([.floats(7, 40), .tensor(seed)], ["salt": .int(3), "first": .float(2)]),
      Sample([.floats(5, 33), .tensor(seed)], ["normal": .int(0), "second": .float(3)]),
      Sample([.floats(0, 4), .tensor(seed)], ["normal": .int(0)]),
    ])

  /// The operator on top of what fills a range of places.
  private static func noise(
    _ preparation: Preparation, grain: Int,
    _ fill:
      @escaping @Sendable (
        _ start: UInt64, _ isNormal: Bool, _ bounds: (Double, Double), Range<Int>,
        UnsafeMutablePointer<Float>
      ) -> Void
  ) throws(StackLensError) -> PreparedKernel {
    let salt = UInt64(bitPattern: Int64(try preparation.int("salt")))
    let isNormal = try preparation.flag("normal")
    let bounds = (Double(try preparation.float("first")), Double(try preparation.float("second")))
    return PreparedKernel { (run) throws(StackLensError) in
      let seed = UInt64(bitPattern: Int64(try run.input(1).integers()[0]))
      let start = scrambled(seed ^ scrambled(salt))
      let y = run.outputs[0].floats
      run.parallel.ranges(run.outputs[0].count, grain: grain) { range in
        fill(start, isNormal, bounds, range, y)
      }
    }
  }
}
