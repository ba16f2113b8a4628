import Base
import CKernels

/// Trees in the form that is quick to walk: every branch asks x <= threshold of a float32, siblings
/// lie side by side, and a leaf has a value for every score. Scores are summed in float32, tree
/// by tree.
struct PackedForest: Sendable {
  private var nodes: [slk_tree_node] = []
  private var roots: [Int32] = []
  private var values: [Float] = []
  private var tops: [slk_tree_top] = []
  private let width: Int
  private var tracksMissing = false
  private let isAverage: Bool

  /// Values of leaves that are worth their memory.
  private static let valueLimit = 1 << 26
  /// Rows of more features are not turned into columns.
  private static let columnLimit = 1 << 12
  /// Fewer rows than this walk all trees one after another.
  private static let rowsOfBlock = 16

  /// Nil for branches that ask whether a value is equal or a member, for the smallest or largest
  /// leaf, for trees that share many branches, and for those without any.
  init?(_ trees: TreeNodes, _ aggregate: TreeAggregate, scoreCount: Int) {
    guard aggregate == .sum || aggregate == .average else { return nil }
    width = scoreCount
    isAverage = aggregate == .average
    for root in trees.roots {
      // Places in the packed form that wait for the node they stand for.
      var waiting: [(place: Int, node: Int)] = [(nodes.count, Int(root))]
      roots.append(Int32(nodes.count))
      nodes.append(slk_tree_node())
      var next = 0
      while next < waiting.count {
        let (place, index) = waiting[next]
        next += 1
        let node = trees.nodes[index]
        if node.mode == .leaf {
          guard addLeaf(trees, node, at: place) else { return nil }
          continue
        }
        guard let branch = Branch(node), nodes.count < 2 * trees.nodes.count + 2 else { return nil }
        if branch.missingIsFirst { tracksMissing = true }
        nodes[place] = slk_tree_node(
          threshold: branch.threshold, feature: node.feature, next: Int32(nodes.count),
          missing: branch.missingIsFirst ? 1 : 0)
        for child in [branch.first, branch.second] {
          waiting.append((nodes.count, Int(child)))
          nodes.append(slk_tree_node())
        }
      }
    }
    // A walk that has arrived goes on reading a feature: there must be one.
    guard nodes.contains(where: { $0.next >= 0 }) else { return nil }
    if !tracksMissing { tops = roots.map { top(from: $0) } }
  }

  /// The branches nearest to the root.
  private func top(from root: Int32) -> slk_tree_top {
    var result = slk_tree_top()
    // Nodes in the order of their depth; `kids` is the place of the first child, for branches.
    var members = [Int(root)]
    var kids: [Int: Int] = [:]
    for place in 0..<2 * Int(SLK_TREE_TOP) + 1 where place < members.count {
      let next = Int(nodes[members[place]].next)
      if next >= 0, kids.count < Int(SLK_TREE_TOP) {
        kids[place] = members.count
        members += [next, next + 1]
      }
    }
    var exits: [Int32] = []
    // Left before right; a branch comes back when the exits to its left are counted.
    var open: [(place: Int, firstExit: Int?)] = [(0, nil)]
    while let (place, firstExit) = open.popLast() {
      guard let kid = kids[place] else {
        exits.append(Int32(members[place]))
        continue
      }
      guard let firstExit else {
        open += [(kid + 1, nil), (place, exits.count), (kid, nil)]
        continue
      }
      let index = Int(result.count)
      result.count += 1
      let node = nodes[members[place]]
      withUnsafeMutableBytes(of: &result.feature) {
        $0.storeBytes(of: node.feature, toByteOffset: 4 * index, as: Int32.self)
      }
      withUnsafeMutableBytes(of: &result.threshold) {
        $0.storeBytes(of: node.threshold, toByteOffset: 4 * index, as: Float.self)
      }
      let left = (UInt64(1) << exits.count) - (UInt64(1) << firstExit)
      withUnsafeMutableBytes(of: &result.left) {
        $0.storeBytes(of: UInt32(left), toByteOffset: 4 * index, as: UInt32.self)
      }
    }
    withUnsafeMutableBytes(of: &result.exits) { target in
      exits.withUnsafeBytes { target.copyMemory(from: $0) }
    }
    return result
  }

  private mutating func addLeaf(_ trees: TreeNodes, _ node: TreeNode, at place: Int) -> Bool {
    let leaf = values.count / width
    guard values.count + width <= Self.valueLimit else { return false }
    nodes[place] = slk_tree_node(threshold: 0, feature: 0, next: ~Int32(leaf), missing: 0)
    var sums = [Double](repeating: 0, count: width)
    for weight in trees.weights[Int(node.feature)..<Int(node.whenTrue)] {
      sums[Int(weight.target)] += weight.value
    }
    values.append(contentsOf: sums.lazy.map { Float($0) })
    return true
  }

  /// A comparison as x <= threshold, which a float32 x answers as it does the original one.
  private struct Branch {
    let threshold: Float
    let first: Int32
    let second: Int32
    let missingIsFirst: Bool

    init?(_ node: TreeNode) {
      let isTurned = node.mode == .greaterOrEqual || node.mode == .greater
      let isStrict = node.mode == .less || node.mode == .greaterOrEqual
      let asks = isTurned || isStrict || node.mode == .lessOrEqual
      guard asks, !(isTurned && node.threshold.isNaN) else { return nil }
      var threshold = Float(node.threshold)
      if Double(threshold) > node.threshold || isStrict && Double(threshold) == node.threshold {
        // Nothing is below -∞, as nothing is at most NaN.
        threshold = threshold == -.infinity ? .nan : threshold.nextDown
      }
      self.threshold = threshold
      first = isTurned ? node.whenFalse : node.whenTrue
      second = isTurned ? node.whenTrue : node.whenFalse
      missingIsFirst = node.missingIsTrue != isTurned
    }
  }

  /// Scores every row into its place in `y` and hands it on with room for its scores as doubles.
  func run(
    _ x: UnsafePointer<Float>, _ features: FeatureRows, _ y: UnsafeMutablePointer<Float>,
    _ parallel: Parallel,
    _ finish: (Int, UnsafeMutablePointer<Float>, UnsafeMutableBufferPointer<Double>) -> Void
  ) {
    let rows = features.rows
    let share = (rows + parallel.threadCount - 1) / max(1, parallel.threadCount)
    let block = max(Self.rowsOfBlock, min(Int(SLK_TREE_BLOCK), share))
    parallel.forEach((rows + block - 1) / block) { index in
      let range = index * block..<min(rows, (index + 1) * block)
      let scores = y + range.lowerBound * width
      scores.update(repeating: 0, count: range.count * width)
      score(x + range.lowerBound * features.columns, range.count, features.columns, scores)
      withUnsafeTemporaryAllocation(of: Double.self, capacity: width) { room in
        for row in range { finish(row, y + row * width, room) }
      }
    }
  }

  /// Adds the leaves of up to a block of rows to their scores.
  private func score(
    _ x: UnsafePointer<Float>, _ rows: Int, _ columns: Int, _ scores: UnsafeMutablePointer<Float>
  ) {
    let capacity = Int(SLK_TREE_BLOCK)
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: 2 * capacity) { room in
      guard let places = room.baseAddress else { return }
      if rows < Self.rowsOfBlock {
        for row in 0..<rows {
          score(x + row * columns, places, scores + row * width)
        }
      } else if tops.isEmpty || columns > Self.columnLimit {
        for root in roots {
          places.update(repeating: root, count: rows)
          finish(x, rows, columns, places, places + capacity, scores)
        }
      } else {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: capacity * columns) { turned in
          guard let turned = turned.baseAddress else { return }
          // Lanes beyond the rows are computed and never looked at.
          turned.update(repeating: 0, count: capacity * columns)
          slk_transpose(x, columns, turned, capacity, rows, columns, 4)
          for tree in roots.indices {
            tops.withUnsafeBufferPointer { tops in
              guard let top = tops.baseAddress else { return }
              slk_tree_exits(top + tree, turned, rows, places)
            }
            finish(x, rows, columns, places, places + capacity, scores)
          }
        }
      }
    }
    if isAverage {
      let count = Float(roots.count)
      for index in 0..<rows * width { scores[index] /= count }
    }
  }

  /// Walks one tree with all rows.
  private func finish(
    _ x: UnsafePointer<Float>, _ rows: Int, _ columns: Int, _ places: UnsafePointer<Int32>,
    _ leaves: UnsafeMutablePointer<Int32>, _ scores: UnsafeMutablePointer<Float>
  ) {
    slk_tree_walk(nodes, tracksMissing, x, columns, places, rows, leaves)
    slk_tree_add(leaves, rows, values, width, scores, width)
  }

  /// Walks all trees with one row.
  private func score(
    _ x: UnsafePointer<Float>, _ leaves: UnsafeMutablePointer<Int32>,
    _ scores: UnsafeMutablePointer<Float>
  ) {
    roots.withUnsafeBufferPointer { roots in
      for start in stride(from: 0, to: roots.count, by: Int(SLK_TREE_BLOCK)) {
        guard let first = roots.baseAddress.map({ $0 + start }) else { return }
        let count = min(Int(SLK_TREE_BLOCK), roots.count - start)
        slk_tree_walk(nodes, tracksMissing, x, 0, first, count, leaves)
        slk_tree_add(leaves, count, values, width, scores, 0)
      }
    }
  }
}
