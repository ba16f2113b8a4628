import Base
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
  func inputs(_ rows: some Collection<Int>) throws(StackLensError) -> [String: Tensor] {
    func part<Element: TensorElement>(
      _ values: [Element], _ width: Int
    ) throws(StackLensError) -> Tensor {
      try Tensor(
        rows.flatMap { values[$0 * width..<($0 + 1) * width] }, shape: Shape([rows.count, width]))
    }
    var inputs = ["keys": try part(keys, layout.window)]
    if layout.hasCounts { inputs["counts"] = try part(counts, layout.keyCount) }
    return inputs
  }
}
