import Base
import Tensors

extension OperatorDefinition {
  /// Whether a pattern in RE2's syntax matches the whole of each text, in time linear in the text.
  /// ONNX RegexFullMatch-20.
  static let regexFullMatch = OperatorDefinition(
    "RegexFullMatch", versions: [20], inputs: 1...1, attributes: [.optional("pattern", .string)],
    infer: { (context) throws(StackLensError) in
      [TensorType(.bool, try context.input(0, oneOf: [.string]).shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let program = try preparation.derived { () throws(StackLensError) in
          try RegexProgram(preparation.string("pattern"))
        }
        return PreparedKernel { (run) throws(StackLensError) in
          let x = try run.input(0)
          let y = run.outputs[0].base.assumingMemoryBound(to: Bool.self)
          run.parallel.ranges(x.count, grain: 64) { range in
            var matcher = RegexMatcher(program)
            for index in range { y[index] = matcher.matches(x.texts[index]) }
          }
        }
      }
    ]),
    samples: [
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor(["ab1", "ab", "é"]) }],
        ["pattern": .string("(?i)[A-Z]+\\d?|\\pL")]),
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor([String](), shape: Shape([0, 2])) }],
        ["pattern": .string("")]),
    ])
}
