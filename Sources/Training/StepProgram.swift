import Base
import Execution
import Graphs
import Operators
import Tensors

/// A compiled graph that takes a batch, a seed where it is random, and the weights.
final class StepProgram: Sendable {
  let session: Session
  let batch: [ValueInfo]
  private let isRandom: Bool

  /// - Parameter roundsProducts: products round their factors to bfloat16.
  init(
    _ graph: Graph, batch: [ValueInfo], isRandom: Bool, roundsProducts: Bool = false,
    _ options: TrainerOptions
  ) throws(StackLensError) {
    var session = SessionOptions()
    session.roundsProducts = roundsProducts
    session.threadCount = options.threadCount
    session.memoryLimit = options.memoryLimit
    self.session = try Session(Model(graph: graph), options: session)
    self.batch = batch
    self.isRandom = isRandom
  }

  /// - Parameters:
  ///   - values: the batch by name; what the graph does not read is ignored.
  ///   - targets: memory for outputs; nil: an output, or each of them, gets its own.
  func run(
    _ values: [String: Tensor], seed: Int64, _ weights: [Tensor], into targets: [Tensor?]? = nil
  ) throws(StackLensError) -> [Value] {
    var inputs: [Value] = []
    inputs.reserveCapacity(batch.count + 1 + weights.count)
    for info in batch {
      guard let value = values[info.name] else {
        throw .invalidArgument(
          "the batch has no '\(info.name)'; the step needs "
            + batch.map { "'\($0.name)'" }.joined(separator: ", "))
      }
      inputs.append(.tensor(value))
    }
    if isRandom { inputs.append(.tensor(try Tensor(scalar: seed))) }
    for tensor in weights { inputs.append(.tensor(tensor)) }
    let own = [Tensor?](repeating: nil, count: session.outputs.count)
    return try session.run(inOrder: inputs, into: targets ?? own)
  }
}
