import Base
import Tensors

/// Graphs in one: the nodes of each lie together, its edges anywhere.
struct PackedGraphs: Sendable {
  let nodeFeatures, edgeIndex, edgeFeatures, edgeWeight, graphID: Tensor
  /// The first node of each graph, and behind the last one how many nodes there are.
  private let starts: [Int]
  /// Weights above could make sums of them overflow.
  private static let largestWeight: Float = 1e24

  static let names = ["node_features", "edge_index", "edge_features", "edge_weight", "graph_id"]

  /// - Parameter prefix: of the names; what has one may be left out as a whole.
  static func ports(_ prefix: String = "") -> [ArchitectureDefinition.Port] {
    let isOptional = !prefix.isEmpty
    return [
      .init(prefix + "node_features", isOptional: isOptional, "float32 [nodes, node_width]."),
      .init(
        prefix + "edge_index", isOptional: isOptional,
        "int64 [2, edges]: the source, which calls, and the target of each."),
      .init(prefix + "edge_features", isOptional: isOptional, "float32 [edges, edge_width]."),
      .init(
        prefix + "edge_weight", isOptional: true,
        "float32 [edges], not negative: what a message counts; 1 unless given."),
      .init(
        prefix + "graph_id", isOptional: true,
        "int64 [nodes]: which graph each belongs to, rising from 0; all 0 unless given."),
    ]
  }

  /// - Throws: `.invalidArgument` for an edge to a node that is not there or of another graph, a
  ///   negative weight, and a graph without nodes.
  init(
    _ arguments: Arguments, _ prefix: String, _ kind: SystemGraphGNN
  ) throws(StackLensError) {
    nodeFeatures = try arguments.reals(prefix + "node_features", [nil, kind.nodeWidth])
    let count = nodeFeatures.shape[0]
    edgeFeatures = try arguments.reals(prefix + "edge_features", [nil, kind.edgeWidth])
    let edgeCount = edgeFeatures.shape[0]
    guard count > 0 || (edgeCount == 0 && arguments.has(prefix + "graph_id")) else {
      throw .invalidArgument("the graph has no nodes: '\(prefix)node_features' has no rows")
    }
    edgeIndex = try arguments.integers(prefix + "edge_index", [2, edgeCount], in: 0..<count)
    if arguments.has(prefix + "edge_weight") {
      edgeWeight = try arguments.reals(prefix + "edge_weight", [edgeCount])
    } else {
      edgeWeight = try Tensor([Float](repeating: 1, count: edgeCount))
    }
    if arguments.has(prefix + "graph_id") {
      graphID = try arguments.integers(prefix + "graph_id", [count], in: 0..<count)
    } else {
      graphID = try Tensor([Int64](repeating: 0, count: count))
    }
    try Self.checkWeights(prefix + "edge_weight", edgeWeight)
    starts = try Self.starts(graphID.integers(), prefix)
    try checkEdges(prefix)
  }

  /// Arrays that fit together.
  init(
    nodeFeatures: Tensor, edges: (sources: [Int64], targets: [Int64]), edgeFeatures: Tensor,
    edgeWeight: Tensor, graphID: [Int64]
  ) throws(StackLensError) {
    (self.nodeFeatures, self.edgeFeatures) = (nodeFeatures, edgeFeatures)
    self.edgeWeight = edgeWeight
    edgeIndex = try Tensor(edges.sources + edges.targets, shape: Shape([2, edges.sources.count]))
    self.graphID = try Tensor(graphID)
    starts = try Self.starts(graphID.map(Int.init), "")
  }

  /// How many graphs there are.
  var count: Int { starts.count - 1 }
  var nodeCount: Int { nodeFeatures.shape[0] }
  var edgeCount: Int { edgeFeatures.shape[0] }

  /// What the network takes.
  var arrays: [String: Tensor] {
    [
      "node_features": nodeFeatures, "edge_index": edgeIndex, "edge_features": edgeFeatures,
      "edge_weight": edgeWeight, "graph_id": graphID,
    ]
  }

  /// - Throws: `.invalidArgument` for a weight that is negative or too large to be summed.
  static func checkWeights(_ name: String, _ weights: Tensor) throws(StackLensError) {
    for (index, weight) in try weights.elements(as: Float.self).enumerated() {
      guard weight >= 0, weight <= largestWeight else {
        throw .invalidArgument(
          "'\(name)' holds \(weight) at \(index), expected 0 to \(largestWeight)")
      }
    }
  }

  private static func starts(
    _ ids: [Int], _ prefix: String
  ) throws(StackLensError) -> [Int] {
    var starts: [Int] = []
    for (node, id) in ids.enumerated() where id != starts.count - 1 {
      guard id == starts.count else {
        throw .invalidArgument(
          id < starts.count
            ? "'\(prefix)graph_id' falls to \(id) at \(node): nodes of a graph lie together"
            : "graph \(starts.count) has no nodes: '\(prefix)graph_id' is \(id) at \(node)")
      }
      starts.append(node)
    }
    return starts + [ids.count]
  }

  private func checkEdges(_ prefix: String) throws(StackLensError) {
    let (ends, ids) = (try edgeIndex.integers(), try graphID.integers())
    for edge in 0..<edgeCount {
      let (source, target) = (ends[edge], ends[edgeCount + edge])
      guard ids[source] == ids[target] else {
        throw .invalidArgument(
          "edge \(edge) of '\(prefix)edge_index' leads from node \(source) of graph \(ids[source]) "
            + "to node \(target) of graph \(ids[target])")
      }
    }
  }

  /// The edges of each graph in their order.
  func edgesByGraph() throws(StackLensError) -> [[Int]] {
    let (ends, ids) = (try edgeIndex.integers(), try graphID.integers())
    var edges = [[Int]](repeating: [], count: count)
    for edge in 0..<edgeCount { edges[ids[ends[edge]]].append(edge) }
    return edges
  }

  /// Some graphs, in the order in which they are named.
  /// - Parameter edges: rows of the edges of these graphs, graph by graph.
  func taking(
    _ graphs: [Int], edges: [[Int]]
  ) throws(StackLensError) -> (PackedGraphs, nodes: [Int], edges: [Int]) {
    let ends = try edgeIndex.integers()
    var (nodes, ids, rows): ([Int], [Int64], [Int]) = ([], [], [])
    var moved: (sources: [Int64], targets: [Int64]) = ([], [])
    for (place, graph) in graphs.enumerated() {
      let range = starts[graph]..<starts[graph + 1]
      let shift = nodes.count - range.lowerBound
      nodes += range
      ids += range.map { _ in Int64(place) }
      for edge in edges[graph] {
        rows.append(edge)
        moved.sources.append(Int64(ends[edge] + shift))
        moved.targets.append(Int64(ends[edgeCount + edge] + shift))
      }
    }
    let taken = try PackedGraphs(
      nodeFeatures: nodeFeatures.rows(nodes), edges: moved, edgeFeatures: edgeFeatures.rows(rows),
      edgeWeight: edgeWeight.rows(rows), graphID: ids)
    return (taken, nodes, rows)
  }
}
