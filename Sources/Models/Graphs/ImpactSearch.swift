import Base
import Glibc
import Tensors

/// The most probable ways of a failure through a graph: the largest product of probabilities along any
/// path, found as the shortest one by -log p (Dijkstra, 1959).
struct ImpactSearch {
  private let nodeCount: Int
  /// The steps from node n are those at starts[n] ..< starts[n + 1].
  private var starts: [Int]
  private var targets: [Int]
  private var lengths: [Double]

  /// - Parameters:
  ///   - edges: the sources of all edges, then their targets.
  ///   - forward, reverse: the probabilities along each edge and against it, 0 to 1.
  init(nodeCount: Int, edges: [Int], forward: [Float], reverse: [Float]) {
    self.nodeCount = nodeCount
    let count = edges.count / 2
    starts = [Int](repeating: 0, count: nodeCount + 1)
    for node in edges { starts[node + 1] += 1 }
    for node in 0..<nodeCount { starts[node + 1] += starts[node] }
    targets = [Int](repeating: 0, count: edges.count)
    lengths = [Double](repeating: .infinity, count: edges.count)
    var next = starts
    func add(from: Int, to: Int, _ probability: Float) {
      targets[next[from]] = to
      lengths[next[from]] = -log(Double(probability))
      next[from] += 1
    }
    for edge in 0..<count {
      add(from: edges[edge], to: edges[count + edge], forward[edge])
      add(from: edges[count + edge], to: edges[edge], reverse[edge])
    }
  }

  /// - Returns: float32 [failures, nodes].
  func impacts(of failed: [Int]) throws(StackLensError) -> Tensor {
    let result = try Tensor(zeros: .float32, Shape([failed.count, nodeCount]))
    let base = result.base.assumingMemoryBound(to: Float.self)
    for (row, node) in failed.enumerated() {
      for (target, distance) in distances(from: node).enumerated() {
        base[row * nodeCount + target] = Float(exp(-distance))
      }
    }
    return result
  }

  /// The length of the shortest path to each node, infinite where there is none.
  private func distances(from origin: Int) -> [Double] {
    var distances = [Double](repeating: .infinity, count: nodeCount)
    distances[origin] = 0
    var frontier = Frontier()
    frontier.push(0, origin)
    while let (distance, node) = frontier.pop() {
      guard distance == distances[node] else { continue }  // a shorter path came later
      for step in starts[node]..<starts[node + 1] {
        let length = distance + lengths[step]
        if length < distances[targets[step]] {
          distances[targets[step]] = length
          frontier.push(length, targets[step])
        }
      }
    }
    return distances
  }

  /// Nodes by their distance: a binary heap.
  private struct Frontier {
    private var heap: [(distance: Double, node: Int)] = []

    mutating func push(_ distance: Double, _ node: Int) {
      heap.append((distance, node))
      var place = heap.count - 1
      while place > 0, heap[place].distance < heap[(place - 1) / 2].distance {
        heap.swapAt(place, (place - 1) / 2)
        place = (place - 1) / 2
      }
    }

    mutating func pop() -> (distance: Double, node: Int)? {
      guard let last = heap.popLast() else { return nil }
      guard let nearest = heap.first else { return last }
      heap[0] = last
      var place = 0
      while 2 * place + 1 < heap.count {
        var child = 2 * place + 1
        if child + 1 < heap.count, heap[child + 1].distance < heap[child].distance { child += 1 }
        guard heap[child].distance < heap[place].distance else { break }
        heap.swapAt(place, child)
        place = child
      }
      return nearest
    }
  }
}
