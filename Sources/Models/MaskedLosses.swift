import Base
import Graphs
import Layers
import Tensors

/// Losses of batches in which labels may be missing: means over what is known, 0 where nothing is; and
/// the masks that they and the models need.
extension Network {
  /// The label that says there is none.
  static let missingLabel: Int64 = -100

  /// Cross-entropy of int64 labels [rows], -100 where one is missing.
  /// - Parameters:
  ///   - logits: [rows, classes].
  ///   - weights: float32 [classes], what a row of each class counts in the mean.
  func maskedCrossEntropy(
    _ logits: Edge, _ labels: Edge, weights: Tensor? = nil
  ) throws(StackLensError) -> Edge {
    let known = try isKnown(labels)
    let zero = constant(try Tensor(scalar: Int64(0)))
    let places = try unsqueezed(graph.add("Max", [labels, zero]), 1)
    let logs = graph.add("LogSoftmax", [logits], ["axis": .int(-1)])
    let picked = graph.add("GatherElements", [logs, places], ["axis": .int(1)])
    let losses = graph.add("Neg", [graph.add("Squeeze", [picked, try ints([1])])])
    guard let weights else { return try maskedMean(losses, known) }
    let counted =
      known * graph.add("Gather", [constant(weights), graph.add("Max", [labels, zero])])
    // Weights of a batch may add up to less than 1.
    let sum = graph.add("Max", [total(counted), try graph.scalar("least", 1e-12)])
    return total(losses * counted) / sum
  }

  /// Binary cross-entropy of logits, -100 where a target is missing.
  /// - Parameter positiveWeight: a factor of what positive targets cost.
  func maskedBinaryCrossEntropy(
    _ logits: Edge, _ targets: Edge, positiveWeight: Edge? = nil
  ) throws(StackLensError) -> Edge {
    let known = cast(
      graph.add("GreaterOrEqual", [targets, try graph.scalar("none", -1)]), .float32)
    let t = targets * known
    let one = try graph.scalar("one", 1)
    // log(1 + exp(x)) - t x, the first for both signs without overflow.
    let positive = graph.add("Softplus", [graph.add("Neg", [logits])])
    let negative = graph.add("Softplus", [logits])
    let weighted = positiveWeight.map { positive * $0 } ?? positive
    return try maskedMean(t * weighted + (one - t) * negative, known)
  }

  /// Huber's loss of distances, δ = 1 (Huber, 1964).
  func huber(_ distance: Edge) throws(StackLensError) -> Edge {
    let one = try graph.scalar("one", 1)
    let half = try graph.scalar("half", 0.5)
    let size = graph.add("Abs", [distance])
    let near = graph.add("Min", [size, one])
    return near * (size - near * half)
  }

  /// The mean of losses [rows] weighted by a mask [rows]; 0 where all of it is.
  func maskedMean(_ losses: Edge, _ mask: Edge) throws(StackLensError) -> Edge {
    let count = graph.add("Max", [total(mask), try graph.scalar("one", 1)])
    return total(losses * mask) / count
  }

  /// 1 where an int64 label is known, else 0.
  func isKnown(_ labels: Edge) throws(StackLensError) -> Edge {
    let zero = constant(try Tensor(scalar: Int64(0)))
    return cast(graph.add("GreaterOrEqual", [labels, zero]), .float32)
  }

  /// 1 for the steps of x [rows, steps, …] that are valid, else 0: int64 [rows, steps].
  func stepMask(_ lengths: Edge, like x: Edge) throws(StackLensError) -> Edge {
    let steps = try positions(extent(x, 1))
    return cast(graph.add("Less", [steps, try unsqueezed(lengths, 1)]), .int64)
  }

  func total(_ x: Edge) -> Edge { graph.add("ReduceSum", [x], ["keepdims": .int(0)]) }
}
