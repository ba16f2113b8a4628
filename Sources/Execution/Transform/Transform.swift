import Base
import Graphs

/// The compile passes: each a function from graph to graph.
enum Transform {
  /// Level 0 leaves the graph as it is, 1 folds and removes, 2 fuses as well.
  static func optimize(_ graph: Graph, level: Int) throws(StackLensError) -> Graph {
    guard level > 0 else { return graph }
    var graph = removeIdentities(graph)
    if level > 1 { graph = removeIdentities(widenFloat16(graph)) }
    if level > 1, graph.isQuantized {
      graph = try fuseQuantizedParts(graph)
    }
    graph = try foldConstants(graph)
    graph = removeDeadCode(graph)
    guard level > 1 else { return graph }
    graph = foldBatchNormalization(graph)
    graph = fuseSwish(graph)
    graph = fuseConvolution(graph)
    graph = fuseTanhGelu(fuseGelu(graph))
    graph = fuseLayerNormalization(graph)
    graph = removeDeadCode(graph)
    graph = fuseMatMul(graph)
    graph = fuseAttention(graph)
    graph = fuseWeightGradient(fuseSlope(fuseSumOfProducts(fuseResidual(graph))))
    graph = fuseByteTables(fusePoolGradient(fuseChannelsLast(moveChannelsLast(graph))))
    return removeDeadCode(graph)
  }

  private static func fuseQuantizedParts(_ graph: Graph) throws(StackLensError) -> Graph {
    var graph = try foldConstants(graph, keepsBytes: true)
    graph = removeDeadCode(fuseGelu(graph))
    graph = fuseBlockWeights(graph)
    graph = removeDeadCode(fuseGatedBytes(removeIdentities(fuseQuantized(graph))))
    graph = removeDeadCode(fuseRowQuantization(graph))
    return removeDeadCode(fuseBFloat16Product(fuseIntegerProduct(graph)))
  }
}

extension Graph {
  /// Whether there is anything for the passes over quantised graphs.
  fileprivate var isQuantized: Bool {
    initializers.contains { $0.tensor.elementType == .bfloat16 }
      || nodes.contains {
        $0.domain.isEmpty && ["DequantizeLinear", "MatMulInteger"].contains($0.opType)
      }
  }
}
