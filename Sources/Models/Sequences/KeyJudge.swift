import Base
import Glibc
import Tensors

/// Holds what came in sessions against what a log-key model expected.
struct KeyJudge {
  /// What is still normal.
  enum Limit {
    /// The key is among so many likeliest ones.
    case rank(Int)
    /// Its -log p is at most this; that of the end has a limit of its own.
    case surprise(key: Float, end: Float)
  }

  /// What became of a session.
  struct Verdict {
    var firstAnomaly: Int?
    /// 1 where every step was the likeliest, 0 where none was judged.
    var worstRank = 0
    /// The largest -log p of a key, infinite where something came that cannot be expected.
    var surprise: Float = 0
    /// -log p of the end; 0 where it is not judged.
    var endSurprise: Float = 0
    /// Whether keys occur as often as in normal sessions; true where that is not judged.
    var hasKnownCounts = true
  }

  private let layout: KeyLayout
  private let seen: Set<Int64>
  /// Keys of the shortest session that the model learned from.
  private let shortest: Int
  /// How often keys occur in normal sessions, where that is judged.
  private let quantities: KeyQuantities?
  /// Windows that run at once.
  private static let batchSize = 4096

  /// - Parameter seen: the keys that the model learned from; others cannot be expected.
  init(_ layout: KeyLayout, seen: Set<Int64>, shortest: Int, quantities: KeyQuantities? = nil) {
    (self.layout, self.seen) = (layout, seen)
    (self.shortest, self.quantities) = (shortest, quantities)
  }

  /// A verdict on each session.
  ///
  /// A session that ends before anything of it can be judged is an anomaly at its end if it is shorter
  /// than all that the model learned from.
  /// - Parameter run: the network.
  func verdicts(
    _ sessions: [[Int64]], limit: Limit = .rank(.max),
    run: ([String: Tensor]) throws(StackLensError) -> [String: Tensor]
  ) throws(StackLensError) -> [Verdict] {
    var windows = KeyWindows(layout, seen: seen)
    let steps = sessions.map { session in
      let steps = windows.steps(of: session)
      guard steps.isEmpty, !layout.isPadded, session.count < shortest else { return steps }
      return [KeyWindows.Step(position: session.count, isEnd: false, expected: nil)]
    }
    let logits = try self.logits(of: windows, run)
    let norms = (0..<windows.count).map { logSumExp(logits[row($0)]) }
    return zip(sessions, steps).map { session, steps in
      var verdict = Verdict()
      for step in steps {
        var (rank, surprise) = (layout.classCount + 1, Float.infinity)
        if let (window, next) = step.expected {
          let scores = logits[row(window)]
          let own = scores[scores.startIndex + next]
          rank = 1 + scores.count { $0 > own }
          surprise = norms[window] - own
        }
        verdict.add(step, rank, surprise, limit)
      }
      verdict.hasKnownCounts = quantities?.hold(for: session) ?? true
      // They are known at the end.
      if !verdict.hasKnownCounts { verdict.firstAnomaly = verdict.firstAnomaly ?? session.count }
      return verdict
    }
  }

  private func row(_ window: Int) -> Range<Int> {
    window * layout.classCount..<(window + 1) * layout.classCount
  }

  private func logits(
    of windows: KeyWindows,
    _ run: ([String: Tensor]) throws(StackLensError) -> [String: Tensor]
  ) throws(StackLensError) -> [Float] {
    var logits: [Float] = []
    for start in stride(from: 0, to: windows.count, by: Self.batchSize) {
      let rows = start..<min(windows.count, start + Self.batchSize)
      logits += try run(windows.inputs(rows)).tensor("logits").elements(as: Float.self)
    }
    return logits
  }

  private func logSumExp(_ scores: ArraySlice<Float>) -> Float {
    let most = scores.max() ?? 0
    return most + Float(log(scores.reduce(0.0) { $0 + exp(Double($1 - most)) }))
  }
}

extension KeyJudge.Verdict {
  fileprivate mutating func add(
    _ step: KeyWindows.Step, _ rank: Int, _ surprise: Float, _ limit: KeyJudge.Limit
  ) {
    worstRank = max(worstRank, rank)
    if step.isEnd { endSurprise = surprise } else { self.surprise = max(self.surprise, surprise) }
    let isNormal =
      switch limit {
      case .rank(let most): rank <= most && step.expected != nil
      case .surprise(let key, let end):
        surprise <= (step.isEnd ? end : key) && step.expected != nil
      }
    if !isNormal && firstAnomaly == nil { firstAnomaly = step.position }
  }
}
