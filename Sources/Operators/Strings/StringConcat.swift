import Base
import Tensors

extension OperatorDefinition {
  /// The second text behind the first, with NumPy's broadcasting. ONNX StringConcat-20.
  static let stringConcat = OperatorDefinition(
    "StringConcat", versions: [20], inputs: 2...2,
    infer: { (context) throws(StackLensError) in
      let left = try context.input(0, oneOf: [.string])
      let right = try context.input(1, oneOf: [.string])
      return [TensorType(.string, try left.shape.broadcast(with: right.shape))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let loop = BroadcastLoop(
          [try preparation.input(0).shape, try preparation.input(1).shape],
          to: preparation.outputs[0].shape)
        return PreparedKernel { (run) throws(StackLensError) in
          let (left, right) = (try run.input(0).texts, try run.input(1).texts)
          let target = run.outputs[0].texts
          let (leftStep, rightStep) = (loop.rowStrides[0], loop.rowStrides[1])
          loop.run(run.parallel, grain: costlyGrain) { starts, output, count in
            for i in 0..<count {
              target[output + i] = left[starts[0] + i * leftStep] + right[starts[1] + i * rightStep]
            }
          }
        }
      }
    ]),
    samples: [
      Sample([
        .tensor { () throws(StackLensError) in try Tensor(["a", "b"], shape: Shape([2, 1])) },
        .tensor { () throws(StackLensError) in try Tensor(["x", "", "é"]) },
      ]),
      Sample([
        .tensor { () throws(StackLensError) in try Tensor([String](), shape: Shape([0])) },
        .tensor { () throws(StackLensError) in try Tensor(scalar: "x") },
      ]),
    ])
}
