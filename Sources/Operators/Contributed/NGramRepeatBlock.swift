import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Scores with minus infinity for every token that would complete an n-gram which the row of
  /// tokens already holds. Contributed NGramRepeatBlock.
  static let nGramRepeatBlock = OperatorDefinition(
    "NGramRepeatBlock", domain: "com.microsoft", versions: [1], inputs: 2...2,
    attributes: [.required("ngram_size", .int)],
    infer: { (context) throws(StackLensError) in
      let tokens = try context.input(0, oneOf: [.int64]).shape
      let scores = try context.input(1, oneOf: [.float32])
      guard tokens.rank == 2, scores.rank == 2, tokens[0] == scores.shape[0] else {
        throw .shapeMismatch("tokens \(tokens) and scores \(scores.shape) do not fit")
      }
      guard try context.int("ngram_size") > 0 else {
        throw .invalidArgument("attribute 'ngram_size' is \(try context.int("ngram_size"))")
      }
      return [scores]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let size = try preparation.int("ngram_size")
        let (length, vocabulary) = (
          try preparation.input(0).shape[1], try preparation.input(1).shape[1]
        )
        return PreparedKernel { (run) throws(StackLensError) in
          let (input, scores) = (try run.input(0), try run.input(1))
          run.outputs[0].copyElements(from: scores)
          guard length >= size else { return }
          let output = run.outputs[0].base.assumingMemoryBound(to: Float.self)
          for row in 0..<input.shape[0] {
            let tokens = input.base.assumingMemoryBound(to: Int64.self) + row * length
            let last = tokens + (length - size + 1)
            for start in 0..<length - size + 1 {
              guard (0..<size - 1).allSatisfy({ tokens[start + $0] == last[$0] }) else { continue }
              let token = tokens[start + size - 1]
              guard token >= 0, token < vocabulary else {
                throw .invalidArgument("token \(token) is outside [0, \(vocabulary))")
              }
              output[row * vocabulary + Int(token)] = -.infinity
            }
          }
        }
      }
    ]),
    samples: [
      Sample(
        [.indices([[1, 2, 1, 2, 0], [3, 3, 3, 3, 3]]), .floats(2, 5)], ["ngram_size": .int(2)]),
      Sample([.indices([[1, 2]]), .floats(1, 5)], ["ngram_size": .int(3)]),
      Sample([.indices([[1, 2]]), .floats(1, 5)], ["ngram_size": .int(1)]),
    ])
}
