import Base
import Graphs
import Tensors

extension OperatorTable {
  static let elementwise: [OperatorDefinition] = [.relu]
}

extension OperatorDefinition {
  /// y = max(x, 0). ONNX Relu-14.
  static let relu = OperatorDefinition(
    "Relu", versions: [6, 13, 14], inputs: 1...1,
    infer: { (context) throws(StackLensError) in [try context.input(0)] },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        return PreparedKernel { (run) throws(StackLensError) in
          let input = try run.input(0)
          let x = input.base.assumingMemoryBound(to: Float.self)
          let y = run.outputs[0].base.assumingMemoryBound(to: Float.self)
          run.parallel.ranges(input.count, grain: 1 << 15) { range in
            for i in range { y[i] = max(x[i], 0) }
          }
        }
      }
    ]),
    samples: [Sample([.floats(2, 3, 4)]), Sample([.floats(0, 5)]), Sample([.floats()])])
}
