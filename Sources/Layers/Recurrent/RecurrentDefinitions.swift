import Base
import Graphs
import Tensors

extension LayerDefinition {
  static let recurrent: [LayerDefinition] = [
    layer(
      "rnn", "An Elman network",
      [.choice("nonlinearity", ["tanh", "relu"], default: "tanh", "What is applied to the sums.")]
    ) { (options) throws(StackLensError) in
      .rnn(relu: try options.text("nonlinearity") == "relu")
    },
    layer(
      "gru", "Gated recurrent units",
      [
        .flag(
          "reset_after", default: true,
          "Whether the reset gate works on the product with the state, or on the state.")
      ]
    ) { (options) throws(StackLensError) in
      .gru(resetAfter: try options.flag("reset_after"))
    },
    layer("lstm", "Long short-term memory", []) { (_) throws(StackLensError) in .lstm },
  ]

  private static let common: [OptionSpec] = [
    .size("input_size", "Width of the input; found out where it is known."),
    .size("hidden_size", "Width of the states.", isRequired: true),
    .integer("num_layers", 1...1024, default: 1, "Layers, one on the other."),
    .flag("bidirectional", default: false, "Whether each layer also reads from the end."),
    .flag("bias", default: true, "Whether there are biases, two for each gate."),
    .flag("batch_first", default: true, "[batch, steps, features], or steps first."),
    .number("dropout", OptionSpec.probability, default: 0, "Between layers, below 1."),
    .choice(
      "dropout_mode", ["elements", "variational"], default: "elements",
      "Single elements, or the same features in every step."),
    .number(
      "recurrent_dropout", OptionSpec.probability, default: 0,
      "Of the recurrent weights, the same in every step; below 1."),
    .choice(
      "initialization", default: RecurrentInitialization.uniform,
      "All uniform within ± 1/√hidden_size; or orthogonal and Xavier weights, forget biases of 1."),
  ]

  private static func layer(
    _ name: String, _ title: String, _ options: [OptionSpec],
    cell: @escaping @Sendable (OptionValues) throws(StackLensError) -> RecurrentCell
  ) -> LayerDefinition {
    let isLSTM = name == "lstm"
    var inputs: [Port] = [
      Port("x", "[batch, steps, features], or [steps, batch, features]."),
      Port("lengths", isOptional: true, "Valid steps of each item, int64 [batch]."),
      Port("h0", isOptional: true, "First states, [layers · directions, batch, hidden]."),
    ]
    var outputs: [Port] = [
      Port("y", "States of the last layer, directions side by side; zero behind the lengths."),
      Port("h", "States after the last valid step, [layers · directions, batch, hidden]."),
    ]
    if isLSTM {
      inputs.append(Port("c0", isOptional: true, "First cell states."))
      outputs.append(Port("c", "Cell states after the last valid step."))
    }
    return LayerDefinition(
      name, "\(title). Parameters in ONNX's layout, for each layer k: W_lk, R_lk, B_lk.",
      inputs: inputs, outputs: outputs, options: common + options
    ) { (network, name, inputs, options) throws(StackLensError) in
      var settings = RecurrentSettings(
        try cell(options), hiddenSize: try options.integer("hidden_size"))
      settings.layerCount = try options.integer("num_layers")
      settings.isBidirectional = try options.flag("bidirectional")
      settings.hasBias = try options.flag("bias")
      settings.isBatchFirst = try options.flag("batch_first")
      settings.dropout = try options.number("dropout")
      settings.dropoutMode = try options.choice("dropout_mode")
      settings.recurrentDropout = try options.number("recurrent_dropout")
      settings.initialization = try options.choice("initialization")
      let found = try network.recurrent(
        name, inputs.required(0), lengths: inputs[1], state: inputs[2],
        cellState: isLSTM ? inputs[3] : nil, inputSize: options.integerIfAny("input_size"),
        settings)
      return [found.y, found.h] + (found.c.map { [$0] } ?? [])
    }
  }
}
