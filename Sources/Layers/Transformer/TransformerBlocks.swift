import Base
import Graphs
import Tensors

extension Network {
  /// Self-attention and a feed-forward part, each added to its input. Parameters: self_attn, linear1,
  /// linear2, norm1, norm2.
  /// - Parameters:
  ///   - keyMask: [batch, steps], not 0 where a step is real.
  ///   - mask: as for attentions.
  public func transformerEncoderLayer(
    _ name: String, _ x: Edge, keyMask: Edge? = nil, mask: Edge? = nil, width given: Int? = nil,
    _ settings: TransformerSettings
  ) throws(StackLensError) -> Edge {
    try check(x, rank: 3...3, "[batch, steps, width]")
    let width = try self.width(of: x, axis: 2, given: given, "d_model")
    return try scope(name) { () throws(StackLensError) in
      let seen = try residual(x, norm: "norm1", width, settings) { (x) throws(StackLensError) in
        try multiHeadAttention(
          "self_attn", x, keyMask: keyMask, mask: mask, width: width,
          settings.attention(toItself: true)
        ).output
      }
      return try residual(seen, norm: "norm2", width, settings) { (x) throws(StackLensError) in
        try feedForward(x, width, settings)
      }
    }
  }

  /// Self-attention, attention to another sequence and a feed-forward part. Parameters: self_attn,
  /// multihead_attn, linear1, linear2, norm1 to norm3.
  /// - Parameters:
  ///   - memory: [batch, keys, width], what an encoder made.
  ///   - keyMask, mask: of the self-attention.
  ///   - memoryKeyMask, memoryMask: of the attention to the memory.
  public func transformerDecoderLayer(
    _ name: String, _ x: Edge, memory: Edge, keyMask: Edge? = nil, mask: Edge? = nil,
    memoryKeyMask: Edge? = nil, memoryMask: Edge? = nil, width given: Int? = nil,
    _ settings: TransformerSettings
  ) throws(StackLensError) -> Edge {
    try check(x, rank: 3...3, "[batch, steps, width]")
    let width = try self.width(of: x, axis: 2, given: given, "d_model")
    return try scope(name) { () throws(StackLensError) in
      let own = try residual(x, norm: "norm1", width, settings) { (x) throws(StackLensError) in
        try multiHeadAttention(
          "self_attn", x, keyMask: keyMask, mask: mask, width: width,
          settings.attention(toItself: true)
        ).output
      }
      let seen = try residual(own, norm: "norm2", width, settings) { (x) throws(StackLensError) in
        try multiHeadAttention(
          "multihead_attn", x, memory, keyMask: memoryKeyMask, mask: memoryMask, width: width,
          settings.attention(toItself: false)
        ).output
      }
      return try residual(seen, norm: "norm3", width, settings) { (x) throws(StackLensError) in
        try feedForward(x, width, settings)
      }
    }
  }

  /// Encoder layers one on the other: layers.0, layers.1 …, and a last normalisation, norm, where
  /// asked for.
  public func transformerEncoder(
    _ name: String, _ x: Edge, keyMask: Edge? = nil, mask: Edge? = nil, width given: Int? = nil,
    layers: Int, finalNorm: Bool = false, _ settings: TransformerSettings
  ) throws(StackLensError) -> Edge {
    try stack(name, x, given, layers, finalNorm, settings) { (name, x) throws(StackLensError) in
      try transformerEncoderLayer(name, x, keyMask: keyMask, mask: mask, width: given, settings)
    }
  }

  /// Decoder layers one on the other.
  public func transformerDecoder(
    _ name: String, _ x: Edge, memory: Edge, keyMask: Edge? = nil, mask: Edge? = nil,
    memoryKeyMask: Edge? = nil, memoryMask: Edge? = nil, width given: Int? = nil, layers: Int,
    finalNorm: Bool = false, _ settings: TransformerSettings
  ) throws(StackLensError) -> Edge {
    try stack(name, x, given, layers, finalNorm, settings) { (name, x) throws(StackLensError) in
      try transformerDecoderLayer(
        name, x, memory: memory, keyMask: keyMask, mask: mask, memoryKeyMask: memoryKeyMask,
        memoryMask: memoryMask, width: given, settings)
    }
  }

  private func stack(
    _ name: String, _ x: Edge, _ given: Int?, _ count: Int, _ finalNorm: Bool,
    _ settings: TransformerSettings,
    _ layer: (String, Edge) throws(StackLensError) -> Edge
  ) throws(StackLensError) -> Edge {
    let width = try self.width(of: x, axis: -1, given: given, "d_model")
    guard count > 0 else { throw .invalidArgument("a stack of \(count) layers") }
    return try scope(name) { () throws(StackLensError) in
      var x = x
      for index in 0..<count { x = try layer("layers.\(index)", x) }
      return finalNorm ? try norm("norm", x, width, settings) : x
    }
  }
}

extension LayerDefinition {
  private static let stack: [OptionSpec] = [
    .integer("num_layers", 1...4096, default: 6, "Layers."),
    .flag("final_norm", default: false, "Whether the last layer is normalised once more."),
  ]
  private static let steps = Port("x", "[batch, steps, width].")
  private static let decoderInputs: [Port] =
    [
      steps, Port("memory", "[batch, keys, width], what an encoder made."),
    ] + attentionInputs + [
      Port("memory_key_mask", isOptional: true, "[batch, keys], 1 for real keys of the memory."),
      Port("memory_mask", isOptional: true, "As mask, for the memory."),
    ]

  static let transformers: [LayerDefinition] = [
    LayerDefinition(
      "transformer_encoder_layer",
      "Self-attention and a feed-forward part. Parameters: self_attn, linear1, linear2, norm1, norm2.",
      inputs: [steps] + attentionInputs, options: TransformerSettings.options(isDecoder: false)
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.transformerEncoderLayer(
          name, inputs.required(0), keyMask: inputs[1], mask: inputs[2],
          width: options.integerIfAny("d_model"), TransformerSettings(options))
      ]
    },
    LayerDefinition(
      "transformer_encoder", "Encoder layers one on the other: layers.0, layers.1 …, norm.",
      inputs: [steps] + attentionInputs,
      options: TransformerSettings.options(isDecoder: false) + stack
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.transformerEncoder(
          name, inputs.required(0), keyMask: inputs[1], mask: inputs[2],
          width: options.integerIfAny("d_model"), layers: options.integer("num_layers"),
          finalNorm: options.flag("final_norm"), TransformerSettings(options))
      ]
    },
    LayerDefinition(
      "transformer_decoder_layer",
      "Self-attention, attention to a memory and a feed-forward part. Parameters: self_attn, "
        + "multihead_attn, linear1, linear2, norm1, norm2, norm3.",
      inputs: decoderInputs, options: TransformerSettings.options(isDecoder: true)
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.transformerDecoderLayer(
          name, inputs.required(0), memory: inputs.required(1), keyMask: inputs[2],
          mask: inputs[3], memoryKeyMask: inputs[4], memoryMask: inputs[5],
          width: options.integerIfAny("d_model"), TransformerSettings(options))
      ]
    },
    LayerDefinition(
      "transformer_decoder", "Decoder layers one on the other: layers.0, layers.1 …, norm.",
      inputs: decoderInputs, options: TransformerSettings.options(isDecoder: true) + stack
    ) { (network, name, inputs, options) throws(StackLensError) in
      [
        try network.transformerDecoder(
          name, inputs.required(0), memory: inputs.required(1), keyMask: inputs[2],
          mask: inputs[3], memoryKeyMask: inputs[4], memoryMask: inputs[5],
          width: options.integerIfAny("d_model"), layers: options.integer("num_layers"),
          finalNorm: options.flag("final_norm"), TransformerSettings(options))
      ]
    },
  ]
}
