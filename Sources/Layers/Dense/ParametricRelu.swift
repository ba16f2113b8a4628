import Base
import Graphs
import Tensors

extension LayerDefinition {
  static let prelu = LayerDefinition(
    "prelu", "x, times a learned slope where it is negative. Parameter: weight [channels] or [1].",
    options: [
      .integer(
        "num_parameters", 1...OptionSpec.largest, default: 1,
        "1, or as many as there are channels (axis 1)."),
      .number("init", default: 0.25, "What the slopes start with."),
    ]
  ) { (network, name, inputs, options) throws(StackLensError) in
    [
      try network.prelu(
        name, inputs.required(0), count: options.integer("num_parameters"),
        start: options.number("init"))
    ]
  }
}

extension Network {
  /// x, times a learned slope where it is negative.
  /// - Parameter count: one slope for all, or one for each channel (axis 1).
  public func prelu(
    _ name: String, _ x: Edge, count: Int = 1, start: Double = 0.25
  ) throws(StackLensError) -> Edge {
    guard let rank = dims(of: x)?.count, rank >= 1 else {
      throw .shapeMismatch("the rank of '\(x.name)' is not known")
    }
    if count > 1 { _ = try width(of: x, axis: 1, given: count, "num_parameters") }
    return try scope(name) { () throws(StackLensError) in
      let slopes = try parameter("weight", [count], .constant(start))
      let behind = rank > 2 && count > 1 ? Array(1...rank - 2) : []
      let shaped = behind.isEmpty ? slopes : graph.add("Unsqueeze", [slopes, try ints(behind)])
      return graph.add("PRelu", [x, shaped])
    }
  }
}
