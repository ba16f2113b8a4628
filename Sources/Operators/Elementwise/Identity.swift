import Base
import Graphs

extension OperatorDefinition {
  /// The input itself, of any kind. ONNX Identity-25.
  static let identity = OperatorDefinition(
    "Identity", versions: [1, 13, 14, 16, 19, 21, 23, 24, 25], inputs: 1...1,
    infer: { (context) throws(StackLensError) in [try context.input(0)] },
    execution: .pass,
    gradient: .identity,
    samples: [
      Sample([.floats(2, 3)]), Sample([.floats()]),
      Sample([.random(.bool, [0, 2], low: 0, high: 1)]),
    ])
}
