import Base
import Graphs
import Tensors

/// How the leaves of all trees make one score.
enum TreeAggregate: String, Sendable {
  case sum = "SUM"
  case average = "AVERAGE"
  case min = "MIN"
  case max = "MAX"
}

extension TreeNodes {
  /// Reads the parallel arrays of ai.onnx.ml 1 to 4.
  /// - Parameters:
  ///   - prefix: "class" or "target", how the attributes of the leaves begin.
  init(_ view: some NodeView, leaves prefix: String) throws(StackLensError) {
    let trees = try view.ints("nodes_treeids") ?? []
    let count = trees.count
    func ints(_ name: String) throws(StackLensError) -> [Int] {
      let values = try view.ints(name) ?? []
      guard values.count == count else {
        throw .formatError("\(name) has \(values.count) entries, nodes_treeids has \(count)")
      }
      return values
    }
    guard count > 0, count <= Int(Int32.max) else {
      throw .formatError("a tree ensemble of \(count) nodes")
    }
    let ids = try ints("nodes_nodeids")
    let features = try ints("nodes_featureids")
    let whenTrue = try ints("nodes_truenodeids")
    let whenFalse = try ints("nodes_falsenodeids")
    let modes = try view.strings("nodes_modes") ?? []
    let thresholds = try Self.numbers(view, "nodes_values")
    guard modes.count == count, thresholds.count == count else {
      throw .formatError(
        "\(modes.count) nodes_modes and \(thresholds.count) nodes_values for \(count) nodes")
    }
    let tracks = try view.ints("nodes_missing_value_tracks_true") ?? []
    guard tracks.isEmpty || tracks.count == count else {
      throw .formatError("\(tracks.count) nodes_missing_value_tracks_true for \(count) nodes")
    }

    var places: [TreeKey: Int32] = [:]
    places.reserveCapacity(count)
    for index in 0..<count {
      let key = TreeKey(tree: trees[index], node: ids[index])
      guard places.updateValue(Int32(index), forKey: key) == nil else {
        throw .formatError("node \(key.node) of tree \(key.tree) is listed twice")
      }
    }
    nodes.reserveCapacity(count)
    var isChild = [Bool](repeating: false, count: count)
    for index in 0..<count {
      let mode = try Self.mode(modes[index])
      var node = TreeNode(
        threshold: thresholds[index], feature: 0, whenTrue: 0, whenFalse: 0, mode: mode,
        missingIsTrue: !tracks.isEmpty && tracks[index] != 0)
      if mode != .leaf {
        guard let feature = Int32(exactly: features[index]) else {
          throw .formatError("node \(ids[index]) of a tree reads feature \(features[index])")
        }
        node.feature = feature
        for (side, child) in [whenTrue[index], whenFalse[index]].enumerated() {
          guard let place = places[TreeKey(tree: trees[index], node: child)] else {
            throw .formatError(
              "node \(ids[index]) of tree \(trees[index]) has the child \(child), which is missing")
          }
          isChild[Int(place)] = true
          if side == 0 { node.whenTrue = place } else { node.whenFalse = place }
        }
      }
      nodes.append(node)
    }
    try findRoots(trees, isChild)
    try readLeaves(view, prefix, places)
    try finish()
  }

  private struct TreeKey: Hashable {
    var tree: Int
    var node: Int
  }

  /// The first node of each tree that is no node's child.
  private mutating func findRoots(_ trees: [Int], _ isChild: [Bool]) throws(StackLensError) {
    var order: [Int] = []
    var found: [Int: Int32] = [:]
    var seen: Set<Int> = []
    for (index, tree) in trees.enumerated() {
      if seen.insert(tree).inserted { order.append(tree) }
      if !isChild[index], found[tree] == nil { found[tree] = Int32(index) }
    }
    for tree in order {
      guard let root = found[tree] else { throw .formatError("tree \(tree) has no root") }
      roots.append(root)
    }
  }

  private mutating func readLeaves(
    _ view: some NodeView, _ prefix: String, _ places: [TreeKey: Int32]
  ) throws(StackLensError) {
    let trees = try view.ints("\(prefix)_treeids") ?? []
    let ids = try view.ints("\(prefix)_nodeids") ?? []
    let targets = try view.ints("\(prefix)_ids") ?? []
    let values = try Self.numbers(view, "\(prefix)_weights")
    guard ids.count == trees.count, targets.count == trees.count, values.count == trees.count else {
      throw .formatError(
        "\(trees.count) \(prefix)_treeids, \(ids.count) \(prefix)_nodeids, \(targets.count) "
          + "\(prefix)_ids and \(values.count) \(prefix)_weights")
    }
    var byNode: [(place: Int32, weight: LeafWeight)] = []
    byNode.reserveCapacity(trees.count)
    for index in trees.indices {
      guard let place = places[TreeKey(tree: trees[index], node: ids[index])] else {
        throw .formatError(
          "\(prefix)_nodeids[\(index)] names node \(ids[index]) of tree \(trees[index]), which is "
            + "missing")
      }
      guard let target = Int32(exactly: targets[index]), target >= 0 else {
        throw .formatError("\(prefix)_ids[\(index)] is \(targets[index])")
      }
      guard nodes[Int(place)].mode == .leaf else { continue }
      byNode.append((place, LeafWeight(target: target, value: values[index])))
    }
    // Stable: weights of one leaf stay in the order of the file.
    let order = byNode.indices.sorted { (byNode[$0].place, $0) < (byNode[$1].place, $1) }
    var position = 0
    weights = order.map { byNode[$0].weight }
    for index in nodes.indices where nodes[index].mode == .leaf {
      nodes[index].feature = Int32(position)
      while position < order.count, byNode[order[position]].place == index { position += 1 }
      nodes[index].whenTrue = Int32(position)
    }
  }

  private static func mode(_ name: String) throws(StackLensError) -> TreeNode.Mode {
    switch name {
    case "BRANCH_LEQ": return .lessOrEqual
    case "BRANCH_LT": return .less
    case "BRANCH_GTE": return .greaterOrEqual
    case "BRANCH_GT": return .greater
    case "BRANCH_EQ": return .equal
    case "BRANCH_NEQ": return .notEqual
    case "LEAF": return .leaf
    default: throw .unsupported("the node mode '\(name)' of a tree is unknown")
    }
  }

  /// A list of numbers given as floats, or as a tensor under the same name with `_as_tensor`.
  static func numbers(_ view: some NodeView, _ name: String) throws(StackLensError) -> [Double] {
    if let tensor = try view.tensor(name + "_as_tensor") { return try tensor.doubles() }
    return try (view.floats(name) ?? []).map { Double($0) }
  }
}

extension Tensor {
  /// The elements of a numeric tensor as doubles.
  func doubles() throws(StackLensError) -> [Double] {
    switch elementType {
    case .float32: return try elements(as: Float.self).map { Double($0) }
    case .float64: return try elements(as: Double.self)
    case .float16: return try elements(as: Float16.self).map { Double($0) }
    case .bfloat16: return try elements(as: BFloat16.self).map { Double($0.float) }
    case .int64, .int32: return try integers().map { Double($0) }
    default: throw .typeMismatch("expected numbers, found \(elementType.name)")
    }
  }
}
