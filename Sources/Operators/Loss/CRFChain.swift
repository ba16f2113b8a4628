import Base
import Glibc
import Tensors

/// A linear chain of tags over the positions of one text that count: the score of a sequence is
/// start[t₁] + Σ emission[i, tᵢ] + Σ transition[tᵢ, tᵢ₊₁] + end[tₙ].
struct CRFChain {
  /// Of all tags: emissions [positions, tags], transitions [from, to], starts, ends.
  struct Scores {
    let tagCount: Int
    let emissions: UnsafePointer<Double>
    let transitions: UnsafePointer<Double>
    /// Nil for zeros.
    let starts: UnsafePointer<Double>?
    let ends: UnsafePointer<Double>?
  }

  /// The positions that count, ascending.
  let positions: [Int]
  private let scores: Scores
  private var count: Int { scores.tagCount }

  init(_ positions: [Int], _ scores: Scores) {
    (self.positions, self.scores) = (positions, scores)
  }

  private func emission(_ index: Int, _ tag: Int) -> Double {
    scores.emissions[positions[index] * count + tag]
  }
  private func start(_ tag: Int) -> Double { scores.starts?[tag] ?? 0 }
  private func end(_ tag: Int) -> Double { scores.ends?[tag] ?? 0 }

  /// The score of one sequence of tags, one for each position that counts.
  func score(_ tags: [Int]) -> Double {
    guard let first = tags.first, let last = tags.last else { return 0 }
    var total = start(first) + end(last)
    for index in tags.indices { total += emission(index, tags[index]) }
    for (from, to) in zip(tags, tags.dropFirst()) {
      total += scores.transitions[from * count + to]
    }
    return total
  }

  /// log Σ exp(score) over all sequences.
  func logPartition() -> Double {
    positions.isEmpty ? 0 : ending(forward())
  }

  private func ending(_ alpha: [Double]) -> Double {
    let last = alpha.count - count
    return logSum(count) { alpha[last + $0] + end($0) }
  }

  /// log Σ exp(score) over all beginnings that end with a tag, [positions, tags].
  private func forward() -> [Double] {
    var alpha = [Double](repeating: 0, count: positions.count * count)
    for tag in 0..<count { alpha[tag] = start(tag) + emission(0, tag) }
    for index in 1..<max(1, positions.count) {
      let before = (index - 1) * count
      for tag in 0..<count {
        alpha[index * count + tag] =
          emission(index, tag)
          + logSum(count) { alpha[before + $0] + scores.transitions[$0 * count + tag] }
      }
    }
    return alpha
  }

  /// Calls `unary` with how probable each tag is at each position that counts, and `pair` with how
  /// probable each transition is behind it.
  func forEachMarginal(
    unary: (_ index: Int, _ tag: Int, Double) -> Void,
    pair: ((_ from: Int, _ to: Int, Double) -> Void)? = nil
  ) {
    guard !positions.isEmpty else { return }
    let alpha = forward()
    let total = ending(alpha)
    // log Σ exp(score) over all that can follow a tag.
    var beta = (0..<count).map(end)
    for index in positions.indices.reversed() {
      let place = index * count
      for tag in 0..<count { unary(index, tag, exp(alpha[place + tag] + beta[tag] - total)) }
      guard index > 0 else { return }
      let through = (0..<count).map { emission(index, $0) + beta[$0] }
      for from in 0..<count {
        let row = scores.transitions + from * count
        if let pair {
          let before = alpha[place - count + from] - total
          for to in 0..<count { pair(from, to, exp(before + row[to] + through[to])) }
        }
        beta[from] = logSum(count) { row[$0] + through[$0] }
      }
    }
  }

  /// The sequence with the largest score (Viterbi, 1967), the first tag where several are equal.
  func best() -> (tags: [Int], score: Double) {
    guard !positions.isEmpty else { return ([], 0) }
    var value = (0..<count).map { start($0) + emission(0, $0) }
    var sources: [Int] = []
    for index in 1..<max(1, positions.count) {
      var next: [Double] = []
      for tag in 0..<count {
        let from = largest(count) { value[$0] + scores.transitions[$0 * count + tag] }
        sources.append(from)
        next.append(
          value[from] + scores.transitions[from * count + tag] + emission(index, tag))
      }
      value = next
    }
    var tag = largest(count) { value[$0] + end($0) }
    let score = value[tag] + end(tag)
    var tags = [tag]
    for index in (1..<max(1, positions.count)).reversed() {
      tag = sources[(index - 1) * count + tag]
      tags.append(tag)
    }
    return (tags.reversed(), score)
  }
}

private func logSum(_ count: Int, _ term: (Int) -> Double) -> Double {
  var most = -Double.infinity
  for index in 0..<count {
    let value = term(index)
    if value > most || value.isNaN { most = value }
  }
  guard most.isFinite else { return most }
  var sum = 0.0
  for index in 0..<count { sum += exp(term(index) - most) }
  return most + log(sum)
}

private func largest(_ count: Int, _ value: (Int) -> Double) -> Int {
  var (best, place) = (-Double.infinity, 0)
  for index in 0..<count where value(index) > best { (best, place) = (value(index), index) }
  return place
}
