import Base
import Graphs
import Tensors

/// What a dropout drops together.
public enum DropoutMode: String, Sendable, CaseIterable {
  /// Each element on its own.
  case elements
  /// Whole channels of [batch, channels, …] (Tompson et al., 2015).
  case channels
  /// The same features in every step of [batch, steps, features] (Gal and Ghahramani, 2016).
  case variational
}

extension LayerDefinition {
  static let dropout = LayerDefinition(
    "dropout", "Drops values in training and scales the others by 1 / (1 - p); x itself otherwise.",
    options: [
      .number("p", OptionSpec.probability, default: 0.5, "Share of what is dropped, below 1."),
      .choice(
        "mode", default: DropoutMode.elements,
        "Single elements, whole channels (axis 1), or the same features in every step."),
    ]
  ) { (network, name, inputs, options) throws(StackLensError) in
    let x = try inputs.required(0)
    let (p, mode) = (try options.number("p"), try options.choice("mode", as: DropoutMode.self))
    return [
      try network.scope(name) { () throws(StackLensError) in try network.dropout(x, p, mode) }
    ]
  }
}

extension Network {
  /// Drops values in training with the probability `p`.
  public func dropout(
    _ x: Edge, _ p: Double, _ mode: DropoutMode = .elements
  ) throws(StackLensError) -> Edge {
    guard p >= 0, p < 1 else { throw .invalidArgument("'p' is \(p), expected it in [0, 1)") }
    guard p > 0 else { return x }
    let ratio = try scalar(Float(p))
    if mode == .elements { return graph.add("Dropout", [x, ratio]) }
    // What is dropped together shares one element of a tensor of ones.
    let shape: Edge
    switch mode {
    case .variational:
      try check(x, rank: 3...3, "[batch, steps, features]")
      shape = joined([extent(x, 0), try ints([1]), extent(x, 2)])
    default:
      guard let rank = dims(of: x)?.count, rank >= 2 else {
        throw .shapeMismatch("dropout of channels needs an input of known rank, 2 at least")
      }
      shape = joined([
        extents(x, 0..<2), try ints([Int](repeating: 1, count: rank - 2)),
      ])
    }
    return x * graph.add("Dropout", [try filled(1, shape), ratio])
  }
}
