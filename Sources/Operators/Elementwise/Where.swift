import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// x where the condition holds, y elsewhere; all three broadcast together. ONNX Where-16.
  static let whereSelect = OperatorDefinition(
    "Where", versions: [9, 16], inputs: 3...3,
    infer: { (context) throws(StackLensError) in
      let condition = try context.input(0, oneOf: [.bool])
      let type = try context.sameElementType(1, 2)
      let values = try context.input(1).shape.broadcast(with: context.input(2).shape)
      return [TensorType(type, try condition.shape.broadcast(with: values))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let shapes = [
          try preparation.input(0).shape, try preparation.input(1).shape,
          try preparation.input(2).shape,
        ]
        let output = preparation.outputs[0]
        let loop = BroadcastLoop(shapes, to: output.shape)
        let type = output.elementType
        return PreparedKernel { (run) throws(StackLensError) in
          type.byWidth(
            Selection(
              loop: loop, condition: try run.input(0), x: try run.input(1), y: try run.input(2),
              output: run.outputs[0], parallel: run.parallel))
        }
      }
    ]),
    gradient: .whereSelect,
    samples: [
      Sample([.random(.bool, [2, 3], low: 0, high: 2), .floats(2, 3), .floats(3)]),
      Sample([.random(.bool, [3, 1], low: 0, high: 2), .floats(), .floats(2, 1, 4)]),
      Sample([.random(.bool, [0, 3], low: 0, high: 2), .floats(3), .floats()]),
      Sample([
        .random(.bool, [5], low: 0, high: 2), .random(.int64, [5], low: -9, high: 9),
        .random(.int64, [1], low: -9, high: 9),
      ]),
    ])

  private struct Selection: WidthWork {
    let loop: BroadcastLoop
    let condition: Tensor
    let x: Tensor
    let y: Tensor
    let output: Tensor
    let parallel: Parallel

    func callAsFunction<Element>(_ type: Element.Type) {
      let condition = condition.base.assumingMemoryBound(to: Bool.self)
      let (x, y) = (
        x.base.assumingMemoryBound(to: Element.self), y.base.assumingMemoryBound(to: Element.self)
      )
      let target = output.base.assumingMemoryBound(to: Element.self)
      let step = loop.rowStrides
      loop.run(parallel, grain: cheapGrain) { (starts, output, count) in
        let (test, left, right) = (condition + starts[0], x + starts[1], y + starts[2])
        let write = target + output
        if step[0] == 0 {
          let (chosen, stride) = test[0] ? (left, step[1]) : (right, step[2])
          for i in 0..<count { write[i] = chosen[i &* stride] }
        } else {
          for i in 0..<count { write[i] = test[i] ? left[i &* step[1]] : right[i &* step[2]] }
        }
      }
    }
  }
}
