import Base
import Graphs
import Tensors

/// Which normalisation a block has.
public enum NormKind: String, Sendable, CaseIterable {
  case layer = "layer_norm"
  case rms = "rms_norm"
}

/// A transformer block.
public struct TransformerSettings: Sendable {
  public var heads: Int
  public var feedForward = 2048
  /// On attention weights, inside the feed-forward part and on what is added to the input.
  public var dropout = 0.1
  public var activation = "relu"
  public var epsilon = 1e-5
  /// Whether each part normalises its input (pre-norm) and not the sum behind it (post-norm).
  public var normFirst = false
  public var hasBias = true
  public var norm = NormKind.layer
  /// Whether the self-attention sees earlier positions only.
  public var isCausal = false
  public var positions = AttentionPositions.none
  public var hasSeparateProjections = false

  public init(heads: Int) { self.heads = heads }

  static func options(isDecoder: Bool) -> [OptionSpec] {
    [
      .size("d_model", "Width of the input; found out where it is known."),
      .size("nhead", "Heads.", isRequired: true),
      .integer("dim_feedforward", 1...OptionSpec.largest, default: 2048, "Width inside."),
      .number("dropout", OptionSpec.probability, default: 0.1, "Below 1."),
      Activation.option("activation", default: "relu"),
      .number("layer_norm_eps", 0...1e30, default: 1e-5, "Added to variances."),
      .flag("norm_first", default: false, "Whether parts normalise their input (pre-norm)."),
      .flag("bias", default: true, "Whether projections and norms have biases."),
      .choice("norm", default: NormKind.layer, "The normalisation."),
      .flag("is_causal", default: isDecoder, "Whether positions see earlier ones only."),
      .choice("positions", default: AttentionPositions.none, "Positions inside self-attention."),
      .flag("separate_projections", default: false, "Parameters q_proj, k_proj and v_proj."),
    ]
  }

  init(_ options: OptionValues) throws(StackLensError) {
    heads = try options.integer("nhead")
    feedForward = try options.integer("dim_feedforward")
    dropout = try options.number("dropout")
    activation = try options.text("activation")
    epsilon = try options.number("layer_norm_eps")
    normFirst = try options.flag("norm_first")
    hasBias = try options.flag("bias")
    norm = try options.choice("norm")
    isCausal = try options.flag("is_causal")
    positions = try options.choice("positions")
    hasSeparateProjections = try options.flag("separate_projections")
  }

  /// The attention of a block; what looks at another sequence has neither order nor positions.
  func attention(toItself: Bool) -> AttentionSettings {
    var settings = AttentionSettings(heads: heads)
    settings.hasBias = hasBias
    settings.dropout = dropout
    settings.isCausal = toItself && isCausal
    settings.positions = toItself ? positions : .none
    settings.isSeparate = hasSeparateProjections
    return settings
  }
}

extension Network {
  /// The normalisation of a block.
  func norm(
    _ name: String, _ x: Edge, _ width: Int, _ settings: TransformerSettings
  ) throws(StackLensError) -> Edge {
    switch settings.norm {
    case .layer:
      try layerNorm(name, x, [width], epsilon: settings.epsilon, bias: settings.hasBias)
    case .rms: try rmsNorm(name, x, [width], epsilon: settings.epsilon)
    }
  }

  /// x + part(norm(x)) or norm(x + part(x)).
  func residual(
    _ x: Edge, norm name: String, _ width: Int, _ settings: TransformerSettings,
    _ part: (Edge) throws(StackLensError) -> Edge
  ) throws(StackLensError) -> Edge {
    if settings.normFirst {
      let normal = try norm(name, x, width, settings)
      return x + (try dropout(part(normal), settings.dropout))
    }
    return try norm(name, x + dropout(part(x), settings.dropout), width, settings)
  }

  func feedForward(
    _ x: Edge, _ width: Int, _ settings: TransformerSettings
  ) throws(StackLensError) -> Edge {
    let inner = try linear(
      "linear1", x, from: width, to: settings.feedForward, bias: settings.hasBias)
    let active = try dropout(activation(settings.activation, inner), settings.dropout)
    return try linear(
      "linear2", active, from: settings.feedForward, to: width, bias: settings.hasBias)
  }
}
