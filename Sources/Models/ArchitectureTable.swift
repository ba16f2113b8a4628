import Base

/// Every kind of model by name.
public enum ArchitectureTable {
  public static let all: [ArchitectureDefinition] = [
    AnomalyVAE.definition, ErrorFlowLSTM.definition, LogKeyLSTM.definition, NERTagger.definition,
    ResolutionDQN.definition, SentimentClassifier.definition, Seq2Seq.definition,
    StackLensTransformer.definition, SystemGraphGNN.definition, TicketClassifier.definition,
    WordVectors.definition,
  ]

  /// - Throws: `.invalidArgument` naming the kinds there are.
  public static func find(_ name: String) throws(StackLensError) -> ArchitectureDefinition {
    guard let definition = all.first(where: { $0.name == name }) else {
      throw .invalidArgument(
        "there is no model '\(name)'; known are: "
          + all.map(\.name).sorted().joined(separator: ", "))
    }
    return definition
  }
}
