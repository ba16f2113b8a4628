import Base
import Tensors
import Training

/// Graphs and what happened after each, -100 where it is not known.
struct LabelledGraphs: Sendable {
  let graphs: PackedGraphs
  private let nodeHealth, forward, reverse, systemHealth: Tensor
  private static let missing: Float = -100

  static func ports(_ prefix: String = "") -> [ArchitectureDefinition.Port] {
    [
      .init(
        prefix + "node_health", isOptional: true,
        "int64 [nodes]: the class of each; -100 where it is not known."),
      .init(
        prefix + "edge_propagation", isOptional: true,
        "float32 [edges], 0 to 1: whether a failure of the source reached the target; or -100."),
      .init(
        prefix + "edge_propagation_reverse", isOptional: true,
        "float32 [edges], 0 to 1: whether one of the target reached the source; or -100."),
      .init(
        prefix + "system_health", isOptional: true,
        "float32 [graphs], 0 to 1: 1 is healthy; or -100."),
    ]
  }

  /// Whether any of the arrays is there.
  static func isGiven(_ arguments: Arguments, _ prefix: String) -> Bool {
    (PackedGraphs.ports(prefix) + ports(prefix)).contains { arguments.has($0.name) }
  }

  init(
    _ arguments: Arguments, _ prefix: String, _ kind: SystemGraphGNN
  ) throws(StackLensError) {
    let graphs = try PackedGraphs(arguments, prefix, kind)
    guard Self.ports(prefix).contains(where: { arguments.has($0.name) }) else {
      throw .invalidArgument(
        "there is nothing to learn: give at least one of "
          + Self.ports(prefix).map { "'\($0.name)'" }.joined(separator: ", "))
    }
    self.graphs = graphs
    let name = prefix + "node_health"
    nodeHealth =
      arguments.has(name)
      ? try arguments.integers(
        name, [graphs.nodeCount], in: 0..<kind.classCount, missing: Int(Self.missing))
      : try Tensor([Int64](repeating: Int64(Self.missing), count: graphs.nodeCount))
    forward = try Self.shares(arguments, prefix + "edge_propagation", graphs.edgeCount)
    reverse = try Self.shares(arguments, prefix + "edge_propagation_reverse", graphs.edgeCount)
    systemHealth = try Self.shares(arguments, prefix + "system_health", graphs.count)
  }

  private init(
    _ graphs: PackedGraphs, of all: Self, systems: [Int], nodes: [Int], edges: [Int]
  ) throws(StackLensError) {
    self.graphs = graphs
    nodeHealth = try all.nodeHealth.rows(nodes)
    forward = try all.forward.rows(edges)
    reverse = try all.reverse.rows(edges)
    systemHealth = try all.systemHealth.rows(systems)
  }

  private static func shares(
    _ arguments: Arguments, _ name: String, _ count: Int
  ) throws(StackLensError) -> Tensor {
    guard arguments.has(name) else { return try Tensor([Float](repeating: missing, count: count)) }
    let shares = try arguments.reals(name, [count])
    for (index, share) in try shares.elements(as: Float.self).enumerated() {
      guard (0...1).contains(share) || share == missing else {
        throw .invalidArgument("'\(name)' holds \(share) at \(index), expected 0 to 1")
      }
    }
    return shares
  }

  /// Some graphs with their labels.
  func taking(_ chosen: [Int], edges: [[Int]]) throws(StackLensError) -> LabelledGraphs {
    let (taken, nodes, rows) = try graphs.taking(chosen, edges: edges)
    return try LabelledGraphs(taken, of: self, systems: chosen, nodes: nodes, edges: rows)
  }

  /// What the training network takes.
  var arrays: Batch {
    let labels = [
      "node_health": nodeHealth, "edge_propagation": forward, "edge_propagation_reverse": reverse,
      "system_health": systemHealth,
    ]
    return graphs.arrays.merging(labels) { own, _ in own }
  }
}

/// Batches of whole graphs, packed anew.
struct GraphBatches: BatchSource {
  private let data: LabelledGraphs
  private let edges: [[Int]]
  /// Numbers of graphs, batch by batch.
  private let order: ArraySource

  /// - Parameter chosen: the graphs that take part.
  init(
    _ data: LabelledGraphs, _ chosen: [Int], _ fitting: Fitting, isShuffled: Bool = true
  ) throws(StackLensError) {
    self.data = data
    edges = try data.graphs.edgesByGraph()
    order = try fitting.batches(
      ["graph": try Tensor(chosen.map(Int64.init))], isShuffled: isShuffled)
  }

  var batchCount: Int? { order.batchCount }

  func exampleCount(of batch: Batch) -> Int { batch["system_health"]?.count ?? 0 }

  func batch(_ index: Int, ofEpoch epoch: Int) throws(StackLensError) -> Batch? {
    guard let chosen = try order.batch(index, ofEpoch: epoch) else { return nil }
    return try data.taking(chosen.tensor("graph").integers(), edges: edges).arrays
  }
}
