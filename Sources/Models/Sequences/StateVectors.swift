import Base
import Glibc
import Tensors

/// Errors as the 512 numbers that sequences, anomalies and decisions are learned from: the vector of
/// the text, and what is known of the moment.
struct StateVectors {
  static let embeddingWidth = 384
  static let width = 512
  /// Connections, timeouts, memory, CPU, disk, queue: three states each.
  static let conditionCount = 6
  static let ownWidth = 32
  private static let (severities, categories, buckets) = (4, 10, 32)
  private static let repeatSeconds = 300.0

  static let ports: [ArchitectureDefinition.Port] = [
    .init("embedding", "float32 [errors, 384]: vectors of the texts, of length 1."),
    .init("timestamp_ms", "int64 [errors]: Unix time in milliseconds."),
    .init("error_id", isOptional: true, "int64 [errors]: orders errors of one moment."),
    .init("text", isOptional: true, "string [errors]: tells which errors repeat."),
    .init("source", isOptional: true, "string [errors]: services or components."),
    .init("severity", isOptional: true, "int64 [errors], 0 to 3, or -100."),
    .init("category", isOptional: true, "int64 [errors], 0 to 9, or -100."),
    .init("confidence", isOptional: true, "float32 [errors]: of the classifier."),
    .init("isolation", isOptional: true, "float32 [errors]: the isolation forest's score."),
    .init(
      "conditions", isOptional: true,
      "int64 [errors, 6], 0 to 2 or -100: connections, timeouts, memory, CPU, disk, queue."),
    .init("own", isOptional: true, "float32 [errors, 32]: numbers of the deployment."),
  ]

  private let stream: ErrorStream
  private let rows: Int
  private let arguments: Arguments
  private let rules: ErrorStream.Rules

  init(_ arguments: Arguments, _ rules: ErrorStream.Rules) throws(StackLensError) {
    self.arguments = arguments
    self.rules = rules
    stream = try arguments.stream(rules)
    rows = stream.order.count
  }

  /// float32 [errors, 512], in the order in which the errors were given.
  func tensor() throws(StackLensError) -> Tensor {
    let result = try Tensor(zeros: .float32, Shape([rows, Self.width]))
    let y = result.base.assumingMemoryBound(to: Float.self)
    let embedding = try arguments.reals("embedding", [rows, Self.embeddingWidth])
    let x = embedding.base.assumingMemoryBound(to: Float.self)
    for row in 0..<rows {
      (y + row * Self.width).update(
        from: x + row * Self.embeddingWidth, count: Self.embeddingWidth)
    }
    func write(_ row: Int, _ place: Int, _ value: Double) {
      y[row * Self.width + place] = Float(value)
    }
    try oneHot("severity", Self.severities, at: 384, write)
    try oneHot("category", Self.categories, at: 388, write)
    for (name, place) in [("confidence", 398), ("isolation", 399)] where arguments.has(name) {
      for (row, value) in try numbers(name, [rows]).enumerated() {
        write(row, place, Double(value))
      }
    }
    try moments(write)
    try conditions(write)
    if arguments.has("source") {
      for (row, source) in try arguments.column("source", rows).enumerated() {
        write(row, 448 + Int(Fingerprint.hash(source.utf8) % UInt64(Self.buckets)), 1)
      }
    }
    if arguments.has("own") {
      for (index, value) in try numbers("own", [rows, Self.ownWidth]).enumerated() {
        write(index / Self.ownWidth, 480 + index % Self.ownWidth, Double(value))
      }
    }
    return result
  }

  private func numbers(_ name: String, _ dims: [Int?]) throws(StackLensError) -> [Float] {
    try arguments.reals(name, dims).elements(as: Float.self)
  }

  private func oneHot(
    _ name: String, _ count: Int, at place: Int, _ write: (Int, Int, Double) -> Void
  ) throws(StackLensError) {
    guard arguments.has(name) else { return }
    let labels = try arguments.integers(name, [rows], in: 0..<count, missing: -100).integers()
    for (row, label) in labels.enumerated() where label >= 0 { write(row, place + label, 1) }
  }

  /// Times since the error before and since the window began, repeats, the place in the window, the
  /// hour and the day of the week.
  private func moments(_ write: (Int, Int, Double) -> Void) throws(StackLensError) {
    func share(_ value: Double, of most: Double) -> Double {
      min(1, max(0, log1p(value) / log1p(most)))
    }
    let prints =
      arguments.has("text")
      ? try arguments.column("text", rows).map(Fingerprint.of) : nil
    // Times of equal errors, and how many of them are too long ago by now.
    var recent: [UInt64: (times: [Double], old: Int)] = [:]
    let (seconds, starts) = (stream.seconds, stream.starts)
    for (place, row) in stream.order.enumerated() {
      let now = seconds[place]
      if place > 0 { write(row, 400, share(now - seconds[place - 1], of: 1_800)) }
      write(row, 401, share(now - seconds[starts[place]], of: 1_800))
      if let print = prints?[row] {
        var before = recent.removeValue(forKey: print) ?? ([], 0)
        while before.old < before.times.count, now - before.times[before.old] > Self.repeatSeconds {
          before.old += 1
        }
        write(row, 402, share(Double(before.times.count - before.old), of: 1_000))
        before.times.append(now)
        recent[print] = before
      }
      let position = min(place - starts[place] + 1, rules.longestWindow)
      write(row, 403, Double(position) / Double(rules.longestWindow))
      let days = (now / 86_400).rounded(.down)
      let hour = 2 * Double.pi * (now / 86_400 - days)
      // The first of January 1970 was a Thursday, the fourth day of its week.
      let weekday = (days + 3) - 7 * ((days + 3) / 7).rounded(.down)
      let day = 2 * Double.pi * weekday / 7
      write(row, 404, sin(hour))
      write(row, 405, cos(hour))
      write(row, 406, sin(day))
      write(row, 407, cos(day))
    }
  }

  private func conditions(_ write: (Int, Int, Double) -> Void) throws(StackLensError) {
    guard arguments.has("conditions") else { return }
    let states = try arguments.integers(
      "conditions", [rows, Self.conditionCount], in: 0..<3, missing: -100
    ).integers()
    for (index, state) in states.enumerated() where state >= 0 {
      let (row, condition) = index.quotientAndRemainder(dividingBy: Self.conditionCount)
      write(row, 408 + 3 * condition + state, 1)
    }
  }
}

extension Arguments {
  /// Texts for a known number of rows.
  func column(_ name: String, _ rows: Int) throws(StackLensError) -> [String] {
    let texts = try self.texts(name)
    guard texts.count == rows else {
      throw .shapeMismatch("'\(name)' has \(texts.count) rows, expected \(rows)")
    }
    return texts
  }

  /// The errors that "timestamp_ms" and, where it is given, "error_id" tell of.
  func stream(_ rules: ErrorStream.Rules) throws(StackLensError) -> ErrorStream {
    // Far enough for any date, near enough for exact sums.
    let times = try integers("timestamp_ms", [nil], in: 0..<1 << 50).integers()
    let ids =
      has("error_id")
      ? try integers("error_id", [times.count], in: 1..<Int.max).integers() : Array(times.indices)
    return try ErrorStream(times: times, ids: ids, rules)
  }
}
