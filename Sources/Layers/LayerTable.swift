import Base

/// Every layer by name: what `sl_graph_layer` and `stacklens.nn` can build.
public enum LayerTable {
  public static let all: [LayerDefinition] =
    dense + LayerDefinition.convolutions + LayerDefinition.transposedConvolutions
    + LayerDefinition.pools + LayerDefinition.residualBlocks + LayerDefinition.normalizations
    + LayerDefinition.recurrent + attentions + LayerDefinition.transformers
    + LayerDefinition.graphLayers + LayerDefinition.shapes + Activation.all.map(\.definition)

  private static let dense: [LayerDefinition] = [
    .linear, .embedding, .heads, .dropout, .prelu,
  ]
  private static let attentions: [LayerDefinition] =
    [.multiHeadAttention] + LayerDefinition.attentionPools + LayerDefinition.positions

  private static let byName: [String: LayerDefinition] = Dictionary(
    all.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

  /// - Throws: `.invalidArgument` naming the layers there are.
  public static func find(_ name: String) throws(StackLensError) -> LayerDefinition {
    guard let definition = byName[name] else {
      throw .invalidArgument(
        "there is no layer '\(name)'; known are: "
          + all.map(\.name).sorted().joined(separator: ", "))
    }
    return definition
  }
}
