import Base
import Layers
import Operators

extension EncoderPart {
  /// Options that the fit of every model with an encoder has.
  static let fitOptions: [OptionSpec] = [
    .flag("freeze_encoder", default: true, "Whether the encoder stays as it is."),
    .number("encoder_learning_rate", 0...1e6, default: 2e-5, "Of the encoder."),
  ]

  /// AdamW as options say: biases, norms, and what `plain` names are not decayed; an encoder that learns
  /// has a rate of its own.
  /// - Parameters:
  ///   - plain: patterns of parameters behind the encoder.
  ///   - heads: what names of those start with that have the rate "head_learning_rate", where it is
  ///     given.
  static func optimizer(
    _ options: OptionValues, isFrozen: Bool, plain: [String], heads: [String] = []
  ) throws(StackLensError) -> JSON {
    func object(_ members: [String: JSON]) -> JSON { .object(JSONObject(sorting: members)) }
    func names(_ patterns: [String]) -> JSON { .array(patterns.map { .string($0) }) }
    let rate = JSON.number(try options.number("encoder_learning_rate"))
    var groups: [JSON] = []
    if !isFrozen {
      groups += [
        object([
          "parameters": names(["\(name).*.bias", "\(name).*LayerNorm.weight"]),
          "learning_rate": rate, "weight_decay": .number(0),
        ]), object(["parameters": names(["\(name).*"]), "learning_rate": rate]),
      ]
    }
    if !heads.isEmpty, options.has("head_learning_rate") {
      let rate = JSON.number(try options.number("head_learning_rate"))
      groups += [
        object([
          "parameters": names(heads.map { $0 + ".bias" }), "learning_rate": rate,
          "weight_decay": .number(0),
        ]), object(["parameters": names(heads.map { $0 + "*" }), "learning_rate": rate]),
      ]
    }
    groups.append(object(["parameters": names(plain), "weight_decay": .number(0)]))
    return object([
      "name": .string("adamw"), "weight_decay": .number(0.01), "groups": .array(groups),
    ])
  }
}
