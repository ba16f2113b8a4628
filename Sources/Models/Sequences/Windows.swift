import Base
import Glibc
import Layers
import Tensors

/// Windows of errors and what followed each.
struct Windows: Divisible {
  static let unit = "windows"
  private let x, lengths, nextClass, next, time, cascade: Tensor

  /// - Parameter prefix: of the arguments' names.
  init(
    _ arguments: Arguments, _ prefix: String, width: Int, classCount: Int
  ) throws(StackLensError) {
    x = try arguments.reals(prefix + "x", [nil, nil, width])
    let count = x.shape[0]
    lengths = try arguments.lengths(prefix + "lengths", of: x)
    nextClass = try arguments.integers(
      prefix + "next_class", [count], in: 0..<classCount, missing: -100)
    next = try arguments.reals(prefix + "next_x", [count, width])
    time = try arguments.reals(prefix + "time_to_next", [count])
    cascade = try arguments.reals(prefix + "cascade", [count])
    for (index, seconds) in try time.elements(as: Float.self).enumerated() where seconds < 0 {
      throw .invalidArgument("'\(prefix)time_to_next' holds \(seconds) at \(index)")
    }
  }

  private init(taking rows: [Int], of all: Windows) throws(StackLensError) {
    x = try all.x.rows(rows)
    lengths = try all.lengths.rows(rows)
    nextClass = try all.nextClass.rows(rows)
    next = try all.next.rows(rows)
    time = try all.time.rows(rows)
    cascade = try all.cascade.rows(rows)
  }

  var count: Int { x.shape[0] }

  func taking(_ rows: [Int]) throws(StackLensError) -> Windows {
    try Windows(taking: rows, of: self)
  }

  /// The share of windows before a cascade.
  var cascadeShare: Double {
    let flags = cascade.base.assumingMemoryBound(to: Float.self)
    let count = (0..<cascade.count).count { flags[$0] > 0.5 }
    return Double(count) / Double(max(1, cascade.count))
  }

  /// All valid steps, one below the other.
  func steps() throws(StackLensError) -> Tensor {
    let (width, steps) = (x.shape[2], x.shape[1])
    let counts = try lengths.integers()
    var rows: [Int] = []
    for (window, count) in counts.enumerated() {
      for step in 0..<count { rows.append(window * steps + step) }
    }
    return try x.reshaped(to: Shape([x.shape[0] * steps, width])).rows(rows)
  }

  /// What the training network takes: the next error in deviations, times as log(1 + seconds).
  func arrays(_ moments: Moments) throws(StackLensError) -> [String: Tensor] {
    let logs = try time.elements(as: Float.self).map { Float(log1p(Double($0))) }
    return [
      "x": x, "lengths": lengths, "next_class": nextClass,
      "next_x": try moments.standardised(next), "log_time": try Tensor(logs), "cascade": cascade,
    ]
  }
}

extension Windows {
  /// The windows of a stream of errors, in the order of `ErrorFlowLSTM`'s method.
  static func values(
    _ arguments: Arguments, _ rules: ErrorStream.Rules, width: Int
  ) throws(StackLensError) -> [Value] {
    let x = try arguments.reals("x", [nil, width])
    let (count, longest) = (x.shape[0], rules.longestWindow)
    let stream = try arguments.stream(rules)
    guard stream.order.count == count else {
      throw .shapeMismatch("'timestamp_ms' has \(stream.order.count) rows, 'x' \(count)")
    }
    let sources = try arguments.column("source", count)
    let classes = try arguments.integers("category", [count], in: 0..<1 << 16, missing: -100)
      .integers()
    let windows = stream.windows(sources: stream.order.map { sources[$0] }, rules)
    let steps = try Tensor(zeros: .float32, Shape([count, longest, width]))
    let next = try Tensor(zeros: .float32, Shape([count, width]))
    let from = x.base.assumingMemoryBound(to: Float.self)
    let to = steps.base.assumingMemoryBound(to: Float.self)
    let behind = next.base.assumingMemoryBound(to: Float.self)
    var (labels, times, cascades): ([Int64], [Float], [Float]) = ([], [], [])
    for (place, window) in windows.enumerated() {
      for (step, error) in (window.first...window.last).enumerated() {
        (to + (place * longest + step) * width).update(
          from: from + stream.order[error] * width, count: width)
      }
      labels.append(window.next.map { Int64(classes[stream.order[$0]]) } ?? -100)
      times.append(
        window.next.map { Float(stream.seconds[$0] - stream.seconds[window.last]) } ?? 0)
      cascades.append(window.isBeforeCascade ? 1 : 0)
      if let follower = window.next {
        (behind + place * width).update(from: from + stream.order[follower] * width, count: width)
      }
    }
    let lengths = windows.map { Int64($0.last - $0.first + 1) }
    let errors = stream.order.map(Int64.init)
    return [
      .tensor(steps), .tensor(try Tensor(lengths)), .tensor(try Tensor(labels)), .tensor(next),
      .tensor(try Tensor(times)), .tensor(try Tensor(cascades)), .tensor(try Tensor(errors)),
    ]
  }
}

extension ErrorStream.Rules {
  init(_ options: OptionValues) throws(StackLensError) {
    longestWindow = try options.integer("longest")
    gap = try options.number("gap")
    horizon = try options.number("horizon")
    cascadeErrors = try options.integer("cascade_errors")
    cascadeSources = try options.integer("cascade_sources")
    cascadeGap = try options.number("cascade_gap")
  }
}

extension Arguments {
  /// Valid steps of each row of x [rows, steps, …]; all of them where none are given.
  /// - Throws: `.invalidArgument` unless each is 1 to the number of steps.
  func lengths(_ name: String, of x: Tensor) throws(StackLensError) -> Tensor {
    let (rows, steps) = (x.shape[0], x.shape[1])
    if has(name) { return try integers(name, [rows], in: 1..<steps + 1) }
    guard steps > 0 || rows == 0 else { throw .invalidArgument("the rows have no steps") }
    return try Tensor([Int64](repeating: Int64(steps), count: rows))
  }
}
