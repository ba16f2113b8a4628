import Base

/// Errors in the order in which they came, and the windows of a stream: a pause of more than half an
/// hour ends one.
struct ErrorStream {
  /// Thresholds of windows and cascades, in seconds and errors.
  struct Rules {
    var longestWindow = 10
    var gap = 1_800.0
    var horizon = 1_800.0
    var cascadeErrors = 3
    var cascadeSources = 2
    var cascadeGap = 300.0
  }

  /// Places of the errors as they were given, by time and then by id.
  let order: [Int]
  /// Unix time in seconds, in that order.
  let seconds: [Double]
  /// Place of the first error since the last pause, for each.
  let starts: [Int]

  /// - Throws: `.invalidArgument` for ids given twice.
  init(
    times: [Int], ids: [Int], _ rules: Rules
  ) throws(StackLensError) {
    guard Set(ids).count == ids.count else { throw .invalidArgument("'error_id' holds one twice") }
    let order = times.indices.sorted { (times[$0], ids[$0]) < (times[$1], ids[$1]) }
    let seconds = order.map { Double(times[$0]) / 1_000 }
    var starts: [Int] = []
    for place in seconds.indices {
      let isNew = place == 0 || seconds[place] - seconds[place - 1] > rules.gap
      starts.append(isNew ? place : starts[place - 1])
    }
    (self.order, self.seconds, self.starts) = (order, seconds, starts)
  }

  /// A window that ends at each error, and what follows it.
  struct Window {
    let first: Int
    let last: Int
    /// The first error after it, where it lies within the horizon.
    let next: Int?
    let isBeforeCascade: Bool
  }

  /// - Parameter sources: of the errors in their order.
  func windows(sources: [String], _ rules: Rules) -> [Window] {
    let cascades = cascadeEnds(sources, rules)
    return seconds.indices.map { last in
      let first = max(starts[last], last - rules.longestWindow + 1)
      var next: Int?
      if last + 1 < seconds.count, seconds[last + 1] - seconds[last] <= rules.horizon {
        next = last + 1
      }
      let end = cascades[last]
      return Window(
        first: first, last: last, next: next,
        isBeforeCascade: end.map { seconds[$0] - seconds[last] <= rules.horizon } ?? false)
    }
  }

  /// For each error the first place by which enough errors of enough sources have followed it, each
  /// shortly after the one before; nil where they do not.
  private func cascadeEnds(_ sources: [String], _ rules: Rules) -> [Int?] {
    var ends = [Int?](repeating: nil, count: seconds.count)
    // The last place of a run of errors in which each shortly follows the one before.
    var runEnds = Array(seconds.indices)
    for place in seconds.indices.dropLast().reversed()
    where seconds[place + 1] - seconds[place] <= rules.cascadeGap {
      runEnds[place] = runEnds[place + 1]
    }
    // The end only moves on from one error to the next: sources in (last, end] by how often.
    var counts: [String: Int] = [:]
    var end = 0
    for last in seconds.indices {
      if end <= last {
        (end, counts) = (last, [:])
      } else if let count = counts[sources[last]] {
        counts[sources[last]] = count > 1 ? count - 1 : nil
      }
      while end + 1 < seconds.count,
        end - last < rules.cascadeErrors || counts.count < rules.cascadeSources
      {
        end += 1
        counts[sources[end], default: 0] += 1
      }
      let isEnough = end - last >= rules.cascadeErrors && counts.count >= rules.cascadeSources
      if isEnough, end <= runEnds[last] { ends[last] = end }
    }
    return ends
  }
}
