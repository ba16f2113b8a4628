import Base

/// A branch or a leaf of a flattened tree.
struct TreeNode: Sendable {
  enum Mode: UInt8 {
    case lessOrEqual, less, greaterOrEqual, greater, equal, notEqual, member, leaf
  }
  var threshold: Double
  /// Column of the input; for a leaf its first weight.
  var feature: Int32
  /// For a leaf the end of its weights.
  var whenTrue: Int32
  var whenFalse: Int32
  var mode: Mode
  /// Whether NaN goes the way of a true comparison.
  var missingIsTrue: Bool
}

/// What a leaf adds to a score.
struct LeafWeight: Sendable {
  var target: Int32
  var value: Double
}

/// Trees as arrays that were checked once: children exist, no walk returns to where it was.
struct TreeNodes: Sendable {
  var nodes: [TreeNode] = []
  var roots: [Int32] = []
  var weights: [LeafWeight] = []
  /// For branches of mode `member`: the values, in `threshold`'s place the index of their set.
  var sets: [[Double]] = []
  /// The largest column that a branch reads, -1 for none.
  private(set) var lastFeature = -1
  /// Whether every branch compares with <= and no missing value is tracked.
  private(set) var isPlain = true

  /// Checks the children of every node, and that no path has a cycle.
  mutating func finish() throws(StackLensError) {
    enum Mark: UInt8 { case new, open, done }
    var marks = [Mark](repeating: .new, count: nodes.count)
    for start in nodes.indices {
      var stack: [(node: Int, stage: Int)] = [(start, 0)]
      while let (index, stage) = stack.popLast() {
        let node = nodes[index]
        if stage == 0 {
          if marks[index] == .done { continue }
          guard marks[index] == .new else {
            throw .formatError("the path of a tree comes back to node \(index)")
          }
          if node.mode == .leaf {
            marks[index] = .done
            continue
          }
          marks[index] = .open
          guard node.feature >= 0 else {
            throw .formatError("node \(index) of a tree reads feature \(node.feature)")
          }
          lastFeature = max(lastFeature, Int(node.feature))
          if node.mode != .lessOrEqual || node.missingIsTrue { isPlain = false }
        }
        guard stage < 2 else {
          marks[index] = .done
          continue
        }
        let child = stage == 0 ? node.whenTrue : node.whenFalse
        guard child >= 0, child < nodes.count else {
          throw .formatError("node \(index) of a tree has the child \(child), which is missing")
        }
        stack.append((index, stage + 1))
        stack.append((Int(child), 0))
      }
    }
  }

  /// The leaf that a row ends in.
  @inline(__always)
  func leaf(
    _ nodes: UnsafePointer<TreeNode>, from root: Int32, _ row: UnsafePointer<Double>
  ) -> TreeNode {
    var index = Int(root)
    if isPlain {
      while nodes[index].mode != .leaf {
        let node = nodes + index
        let isLess = row[Int(node.pointee.feature)] <= node.pointee.threshold
        index = Int(isLess ? node.pointee.whenTrue : node.pointee.whenFalse)
      }
      return nodes[index]
    }
    while nodes[index].mode != .leaf {
      let node = nodes[index]
      let value = row[Int(node.feature)]
      let isTrue: Bool
      switch node.mode {
      case .lessOrEqual: isTrue = value <= node.threshold
      case .less: isTrue = value < node.threshold
      case .greaterOrEqual: isTrue = value >= node.threshold
      case .greater: isTrue = value > node.threshold
      case .equal: isTrue = value == node.threshold
      case .notEqual: isTrue = value != node.threshold
      case .member: isTrue = sets[Int(node.threshold)].contains(value)
      case .leaf: isTrue = true
      }
      let goesTrue = isTrue || node.missingIsTrue && value.isNaN
      index = Int(goesTrue ? node.whenTrue : node.whenFalse)
    }
    return nodes[index]
  }
}
