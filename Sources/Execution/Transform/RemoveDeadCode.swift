import Graphs

extension Transform {
  /// Drops nodes and constants that no output depends on.
  static func removeDeadCode(_ graph: Graph) -> Graph { graph.withoutDeadCode() }
}
