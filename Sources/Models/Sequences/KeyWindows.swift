import Base
import Glibc
import Tensors

/// What of a session a log-key model sees and says.
struct KeyLayout: Sendable {
  /// Keys are 1 to this.
  let keyCount: Int
  /// Keys that come before the one that is judged.
  let window: Int
  /// Whether the first keys of a session are judged too, with padding before them.
  let isPadded: Bool
  /// Whether the end of a session is judged, as the class behind the last key's.
  let hasEnd: Bool
  /// Whether the network sees how often each key came so far.
  let hasCounts: Bool

  var classCount: Int { keyCount + (hasEnd ? 1 : 0) }
}

/// Windows of sessions, those that are equal held once: logs repeat themselves, so there are few.
struct KeyWindows {
  /// A place of a session that is judged.
  struct Step {
    let position: Int
    let isEnd: Bool
    /// The window before it and the class of what came; nil for what cannot be expected at all.
    let expected: (window: Int, next: Int)?
  }

  private let layout: KeyLayout
  /// Keys that can be expected; others are as padding for what follows them.
  private let seen: Set<Int64>
  private(set) var count = 0
  private var keys: [Int64] = []
  private var counts: [Float] = []
  private var places: [[Int32]: Int] = [:]

  init(_ layout: KeyLayout, seen: Set<Int64>) { (self.layout, self.seen) = (layout, seen) }

  /// The places of a session that are judged; their windows are held from then on.
  mutating func steps(of session: [Int64]) -> [Step] {
    let known = session.map { seen.contains($0) ? Int32($0) : 0 }
    let first = layout.isPadded ? 0 : layout.window
    var sums = [Int32](repeating: 0, count: layout.hasCounts ? layout.keyCount : 0)
    var steps: [Step] = []
    for position in 0..<session.count + (layout.hasEnd ? 1 : 0) {
      let isEnd = position == session.count
      if !isEnd && known[position] == 0 {
        steps.append(Step(position: position, isEnd: false, expected: nil))
      } else if position >= first {
        let next = isEnd ? layout.keyCount : Int(known[position]) - 1
        let window = place(of: known, before: position, sums)
        steps.append(Step(position: position, isEnd: isEnd, expected: (window, next)))
      }
      if layout.hasCounts && !isEnd && known[position] > 0 { sums[Int(known[position]) - 1] += 1 }
    }
    return steps
  }

  private mutating func place(of session: [Int32], before position: Int, _ sums: [Int32]) -> Int {
    let held = min(position, layout.window)
    var window = [Int32](repeating: 0, count: layout.window - held)
    window += session[position - held..<position]
    let entry = window + sums
    if let place = places[entry] { return place }
    places[entry] = count
    keys += window.map(Int64.init)
    counts += sums.map(Float.init)
    count += 1
    return count - 1
  }

  /// What the network takes, for some of the windows.
  func inputs(_ rows: Range<Int>) throws(StackLensError) -> [String: Tensor] {
    func part<Element: TensorElement>(
      _ values: [Element], _ width: Int
    ) throws(StackLensError) -> Tensor {
      try Tensor(
        Array(values[rows.lowerBound * width..<rows.upperBound * width]),
        shape: Shape([rows.count, width]))
    }
    var inputs = ["keys": try part(keys, layout.window)]
    if layout.hasCounts { inputs["counts"] = try part(counts, layout.keyCount) }
    return inputs
  }
}

extension KeyWindows {
  /// The windows of sessions with how often each class followed, as training takes them.
  ///
  /// A window that occurs n times counts n^repetition, on average 1 (so that steps are as large as
  /// with windows that are not merged), in the proportions of what followed it. What is best for a window does
  /// not depend on the exponent, how much of the network's care it gets does.
  /// - Throws: `.invalidArgument` where no session has a window.
  static func training(
    _ sessions: KeySessions, _ layout: KeyLayout, repetition: Double
  ) throws(StackLensError) -> [String: Tensor] {
    var windows = KeyWindows(layout, seen: sessions.keys)
    var followers: [Float] = []
    let width = layout.classCount
    for (session, repetitions) in zip(sessions.distinct, sessions.repetitions) {
      for case let (window, next)? in windows.steps(of: session).map(\.expected) {
        if windows.count * width > followers.count {
          followers += [Float](repeating: 0, count: windows.count * width - followers.count)
        }
        followers[window * width + next] += Float(repetitions)
      }
    }
    guard windows.count > 0 else {
      throw .invalidArgument("no session is longer than the window of \(layout.window) keys")
    }
    let totals = (0..<windows.count).map { window in
      followers[window * width..<(window + 1) * width].reduce(0.0) { $0 + Double($1) }
    }
    let weights = totals.map { pow($0, repetition) }
    let mean = weights.reduce(0, +) / Double(windows.count)
    for index in followers.indices {
      let window = index / width
      followers[index] *= Float(weights[window] / totals[window] / mean)
    }
    var arrays = try windows.inputs(0..<windows.count)
    arrays["followers"] = try Tensor(followers, shape: Shape([windows.count, width]))
    return arrays
  }
}
