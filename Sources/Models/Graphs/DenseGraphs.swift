import Base
import Tensors

/// Graphs of at most as many nodes each, edges as entries of matrices.
struct DenseGraphs {
  /// The same graphs; edges row by row.
  let packed: PackedGraphs
  /// int64 [3, edges]: the graph, the source and the target of each edge.
  let places: Tensor
  private let (graphCount, nodeCount): (Int, Int)
  /// Which row of the nodes of all graphs each packed node is.
  private let rows: [Int]

  static let ports: [ArchitectureDefinition.Port] = [
    .init("node_features", "float32 [graphs, nodes, node_width]."),
    .init(
      "adjacency",
      "float32 [graphs, nodes, nodes], not negative: entry (u, v) above 0 is an edge from u to v "
        + "of that weight."),
    .init("edge_features", "float32 [graphs, nodes, nodes, edge_width]."),
    .init("node_mask", isOptional: true, "int64 [graphs, nodes]: 0 for padding; 1 unless given."),
  ]

  init(_ arguments: Arguments, _ kind: SystemGraphGNN) throws(StackLensError) {
    let nodes = try arguments.reals("node_features", [nil, nil, kind.nodeWidth])
    let (graphs, count) = (nodes.shape[0], nodes.shape[1])
    let weights = try arguments.reals("adjacency", [graphs, count, count])
    let features = try arguments.reals("edge_features", [graphs, count, count, kind.edgeWidth])
    let mask =
      arguments.has("node_mask")
      ? try arguments.integers("node_mask", [graphs, count], in: 0..<2).integers()
      : [Int](repeating: 1, count: graphs * count)
    let entries = try weights.elements(as: Float.self)
    try PackedGraphs.checkWeights("adjacency", weights)
    rows = mask.indices.filter { mask[$0] == 1 }
    var packedPlace = [Int64](repeating: -1, count: mask.count)
    for (place, row) in rows.enumerated() { packedPlace[row] = Int64(place) }
    for graph in 0..<graphs where !mask[graph * count..<(graph + 1) * count].contains(1) {
      throw .invalidArgument("graph \(graph) has no nodes")
    }
    var edges: (sources: [Int64], targets: [Int64]) = ([], [])
    var (found, from, to): ([Int], [Int64], [Int64]) = ([], [], [])
    for (place, weight) in entries.enumerated() where weight > 0 {
      let (row, target) = place.quotientAndRemainder(dividingBy: count)
      let (graph, source) = row.quotientAndRemainder(dividingBy: count)
      let column = graph * count + target
      guard mask[row] == 1, mask[column] == 1 else { continue }
      found.append(place)
      edges.sources.append(packedPlace[row])
      edges.targets.append(packedPlace[column])
      from.append(Int64(source))
      to.append(Int64(target))
    }
    let owners = found.map { Int64($0 / (count * count)) }
    places = try Tensor(owners + from + to, shape: Shape([3, found.count]))
    packed = try PackedGraphs(
      nodeFeatures: nodes.reshaped(to: Shape([graphs * count, kind.nodeWidth])).rows(rows),
      edges: edges,
      edgeFeatures: features.reshaped(to: Shape([entries.count, kind.edgeWidth])).rows(found),
      edgeWeight: weights.reshaped(to: Shape([entries.count])).rows(found),
      graphID: rows.map { Int64($0 / count) })
    (graphCount, nodeCount) = (graphs, count)
  }

  /// Rows of packed nodes at the places of the matrices' nodes, zeros for padding.
  func unpacked(_ values: Tensor) throws(StackLensError) -> Tensor {
    let width = values.shape[1]
    let result = try Tensor(zeros: .float32, Shape([graphCount, nodeCount, width]))
    let source = values.base.assumingMemoryBound(to: Float.self)
    let target = result.base.assumingMemoryBound(to: Float.self)
    for (place, row) in rows.enumerated() {
      (target + row * width).update(from: source + place * width, count: width)
    }
    return result
  }
}
