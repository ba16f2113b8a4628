import Base
import Graphs

/// All operators, by domain and name.
public enum OperatorTable {
  /// Every definition, in the order of the families.
  public static let all: [OperatorDefinition] = [
    attention,
    blockedChannels,
    channelsLast,
    contributedActivations,
    contributedAliases,
    contributedAttention,
    contributedElementwise,
    contributedGates,
    contributedKernels,
    contributedNormalization,
    contributedProducts,
    contributedSequences,
    controlFlow,
    convolution,
    elementwise,
    encoder,
    former,
    gradients,
    images,
    indexing,
    linear,
    loss,
    normalization,
    pooling,
    quantization,
    recurrent,
    reduction,
    resampling,
    sequence,
    shape,
    signal,
    strings,
    training,
    trees,
  ].flatMap { $0 }

  private static let index: [String: OperatorDefinition] = {
    var index: [String: OperatorDefinition] = [:]
    for definition in all {
      let key = key(definition.domain, definition.name)
      precondition(index[key] == nil, "operator \(key) is defined twice")
      index[key] = definition
    }
    return index
  }()

  private static func key(_ domain: String, _ name: String) -> String {
    domain.isEmpty || domain == "ai.onnx" ? name : "\(domain).\(name)"
  }

  /// The definition of an operator, nil when the table has none.
  public static func find(_ name: String, domain: String) -> OperatorDefinition? {
    index[key(domain, name)]
  }
}
