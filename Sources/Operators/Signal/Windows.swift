import Base
import Glibc
import Graphs
import Tensors

extension OperatorTable {
  /// Windows that are sums of cosines: w[n] = c0 - c1 cos(2πn/N) + c2 cos(4πn/N), with N the size,
  /// or one less where the window is symmetric. ONNX HannWindow-17 and its siblings.
  static let windows: [OperatorDefinition] = [
    window("HannWindow", [0.5, 0.5, 0]),
    window("HammingWindow", [25.0 / 46, 21.0 / 46, 0]),
    window("BlackmanWindow", [0.42, 0.5, 0.08]),
  ]

  private static func window(_ name: String, _ weights: [Double]) -> OperatorDefinition {
    OperatorDefinition(
      name, versions: [17], inputs: 1...1,
      attributes: [.int("output_datatype", default: 1), .int("periodic", default: 1)],
      infer: { (context) throws(StackLensError) in
        _ = try context.input(0, oneOf: [.int32, .int64])
        let size = try context.value(0).integer("size")
        return [TensorType(try context.outputDataType(), try Shape([size]))]
      },
      execution: .kernels([
        .reference { (preparation) throws(StackLensError) in
          let size = preparation.outputs[0].shape.count
          let isPeriodic = try preparation.flag("periodic")
          return try wideKernel(Double.self, preparation, inputs: 0) {
            (wide) throws(StackLensError) in
            let period = Double(isPeriodic ? size : max(size - 1, 1))
            for n in 0..<size {
              let angle = 2 * Double.pi * Double(n) / period
              wide.outputs[0][n] =
                weights[0] - weights[1] * cos(angle) + weights[2] * cos(2 * angle)
            }
          }
        }
      ]),
      samples: [
        Sample([.ints([10])]), Sample([.ints([9])], ["periodic": .int(0)]),
        Sample([.ints([1])], ["periodic": .int(0), "output_datatype": .int(11)]),
        Sample([.ints([0])], ["output_datatype": .int(7)]),
      ])
  }
}
