import Base
import CKernels
import Graphs
import Tensors

extension OperatorTable {
  static let contribGelu: [OperatorDefinition] = [
    gelu("BiasGelu", .geluErf, inputs: 2...2), gelu("FastGelu", .geluTanh, inputs: 1...2),
    gelu("Gelu", .geluErf, inputs: 1...1),
  ]

  /// gelu(x + bias) with a bias along the last axis, of the contribution domain.
  private static func gelu(
    _ name: String, _ activation: FusedActivation, inputs: ClosedRange<Int>
  ) -> OperatorDefinition {
    var samples = [Sample([.floats(2, 3, 8)]), Sample([.floats(0, 8)])]
    if inputs.upperBound == 2 {
      samples = [Sample([.floats(2, 3, 8), .floats(8)]), Sample([.floats(0, 8), .floats(8)])]
    }
    return OperatorDefinition(
      name, domain: "com.microsoft", versions: [1], inputs: inputs,
      infer: { (context) throws(StackLensError) in
        let x = try context.input(0, oneOf: [.float32, .float64, .float16, .bfloat16])
        if context.hasInput(1) {
          _ = try context.sameElementType(0, 1)
          let bias = try context.input(1).shape
          guard x.rank > 0, bias.dims == [x.shape[x.rank - 1]] else {
            throw .shapeMismatch("bias has shape \(bias), expected the last extent of \(x.shape)")
          }
        }
        return [x]
      },
      execution: .kernels([
        Kernel("vector") { (preparation) throws(StackLensError) in
          guard try preparation.input(0).elementType == .float32 else { return nil }
          let width = preparation.hasInput(1) ? try preparation.input(1).shape.count : 0
          return PreparedKernel { (run) throws(StackLensError) in
            let x = Float.load(try run.input(0), run.scratch)
            let y = Float.target(run.outputs[0], run.scratch)
            let bias = width > 0 ? Float.load(try run.input(1), run.scratch) : x
            let count = run.outputs[0].count
            let unit = max(1, width)
            run.parallel.ranges(count / unit, grain: max(1, (1 << 13) / unit)) { range in
              let start = range.lowerBound * unit
              for row in width > 0 ? range : 0..<0 {
                slk_binary_f32(
                  Int32(SLK_BINARY_ADD.rawValue), x + row * unit, 1, bias, 1, y + row * unit, unit)
              }
              slk_unary_f32(
                activation.code, width > 0 ? UnsafePointer(y) + start : x + start, y + start,
                range.count * unit, 0, 0)
            }
          }
        },
        .reference { (preparation) throws(StackLensError) in
          try preparation.input(0).elementType == .float64
            ? try reference(Double.self, activation, preparation)
            : try reference(Float.self, activation, preparation)
        },
      ]),
      samples: samples)
  }

  private static func reference<T: ComputeElement & BinaryFloatingPoint>(
    _ type: T.Type, _ activation: FusedActivation, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    var plan = ScratchPlan()
    let hasBias = preparation.hasInput(1)
    let xRoom = try plan.reserve(preparation.input(0), as: type)
    let bRoom = hasBias ? try plan.reserve(preparation.input(1), as: type) : 0
    let yRoom = try plan.reserve(preparation.outputs[0], as: type)
    return PreparedKernel(scratchByteCount: plan.byteCount) { (run) throws(StackLensError) in
      let x = T.load(try run.input(0), run.scratch + xRoom)
      let bias = hasBias ? T.load(try run.input(1), run.scratch + bRoom) : x
      let width = hasBias ? try run.input(1).count : 1
      let y = T.target(run.outputs[0], run.scratch + yRoom)
      for i in 0..<run.outputs[0].count {
        y[i] = T(activation(Double(hasBias ? x[i] + bias[i % width] : x[i])))
      }
      T.store(y, run.outputs[0])
    }
  }
}
