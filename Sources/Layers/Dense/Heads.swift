import Base
import Graphs
import Tensors

extension LayerDefinition {
  static let heads = LayerDefinition(
    "heads",
    "Several linear layers over one input, each with its own name and width: "
      + "{\"severity\": 4, \"category\": 10}. One output for each, in that order.",
    outputs: [],
    options: [
      OptionSpec("heads", .heads, isRequired: true, "Width of each head, by name."),
      .size("in_features", "Width of the input; found out where it is known."),
      .flag("bias", default: true, "Whether the heads have biases."),
      .number("dropout", OptionSpec.probability, default: 0, "Before the heads, once for all."),
      .initializer("weight_initializer", "Of the weights; uniform within ± 1/√in otherwise."),
    ]
  ) { (network, name, inputs, options) throws(StackLensError) in
    try network.heads(
      name, inputs.required(0), options.heads("heads"), from: options.integerIfAny("in_features"),
      bias: options.flag("bias"), dropout: options.number("dropout"),
      weight: options.initializer("weight_initializer"))
  }
}

extension Network {
  /// Several linear layers over one trunk.
  public func heads(
    _ name: String, _ x: Edge, _ heads: [(name: String, width: Int)], from: Int? = nil,
    bias: Bool = true, dropout: Double = 0, weight: WeightInitializer? = nil
  ) throws(StackLensError) -> [Edge] {
    try scope(name) { () throws(StackLensError) in
      let trunk = try self.dropout(x, dropout)
      var outputs: [Edge] = []
      for head in heads {
        outputs.append(
          try linear(head.name, trunk, from: from, to: head.width, bias: bias, weight: weight))
      }
      return outputs
    }
  }
}
