import Base
import Graphs

/// The compile passes: each a function from graph to graph.
enum Transform {
  /// Level 0 leaves the graph as it is, 1 folds and removes, 2 fuses as well.
  static func optimize(_ graph: Graph, level: Int) throws(StackLensError) -> Graph {
    guard level > 0 else { return graph }
    var graph = removeIdentities(graph)
    graph = try foldConstants(graph)
    graph = removeDeadCode(graph)
    guard level > 1 else { return graph }
    graph = foldBatchNormalization(graph)
    graph = fuseSwish(graph)
    graph = fuseConvolution(graph)
    graph = fuseGelu(graph)
    graph = fuseLayerNormalization(graph)
    graph = removeDeadCode(graph)
    graph = fuseMatMul(graph)
    graph = fuseAttention(graph)
    graph = fuseResidual(graph)
    graph = fuseChannelsLast(moveChannelsLast(graph))
    return removeDeadCode(graph)
  }
}
