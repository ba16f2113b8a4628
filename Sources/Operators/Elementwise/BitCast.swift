import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The same bits under another element type of the same width. As truth values, all bits but 0
  /// are true. ONNX BitCast-26.
  static let bitCast = OperatorDefinition(
    "BitCast", versions: [26], inputs: 1...1, attributes: [.required("to", .int)],
    infer: { (context) throws(StackLensError) in
      let code = try context.int("to")
      guard let narrow = Int32(exactly: code), let type = ElementType(rawValue: narrow),
        type != .string
      else { throw .unsupported("BitCast to the element type with number \(code)") }
      let input = try context.input(0)
      guard input.elementType.bitWidth == type.bitWidth else {
        throw .typeMismatch("\(input.elementType.name) and \(type.name) differ in their bits")
      }
      return [TensorType(type, input.shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let isBool = preparation.outputs[0].elementType == .bool
        return PreparedKernel { (run) throws(StackLensError) in
          let (input, output) = (try run.input(0), run.outputs[0])
          if isBool {
            return convertElements(input.base, .uint8, output.base, .bool, input.count)
          }
          output.base.copyMemory(from: input.base, byteCount: input.byteCount)
        }
      }
    ]),
    samples: [
      Sample([.floats(2, 3)], ["to": .int(6)]),
      Sample([.random(.int4, [0, 3], low: -8, high: 8)], ["to": .int(21)]),
      Sample([.random(.uint8, [5], low: 0, high: 3)], ["to": .int(9)]),
    ])
}
