import Base
import Tensors

/// Descriptions and resolutions of tickets.
struct TicketTexts {
  private let description, resolution: TextColumn?
  let count: Int

  /// - Parameter prefix: of the arguments' names.
  /// - Throws: `.invalidArgument` without either column, `.shapeMismatch` for columns of different
  ///   heights.
  init(
    _ arguments: Arguments, _ prefix: String, _ settings: TicketClassifier.Settings
  ) throws(StackLensError) {
    func column(_ name: String) throws(StackLensError) -> TextColumn? {
      try TextColumn(
        arguments, prefix + name, vocabulary: settings.vocabulary, length: settings.length)
    }
    description = try column("description")
    resolution = try column("resolution")
    guard let count = description?.count ?? resolution?.count else {
      throw .invalidArgument("neither '\(prefix)description' nor '\(prefix)resolution' is given")
    }
    if let resolution, resolution.count != count {
      throw .shapeMismatch("there are \(count) descriptions, but \(resolution.count) resolutions")
    }
    self.count = count
  }

  private init(description: TextColumn?, resolution: TextColumn?, count: Int) {
    (self.description, self.resolution, self.count) = (description, resolution, count)
  }

  func taking(_ rows: [Int]) throws(StackLensError) -> TicketTexts {
    TicketTexts(
      description: try description?.taking(rows), resolution: try resolution?.taking(rows),
      count: rows.count)
  }

  var words: [[String]] { (description?.words ?? []) + (resolution?.words ?? []) }

  var hasTexts: Bool {
    [description, resolution].contains { if case .texts = $0 { true } else { false } }
  }

  /// What the network takes; what is not given at all is one column of padding.
  /// - Throws: `.invalidArgument` naming the first ticket of which both texts are empty.
  func arrays(
    _ vectorizer: () throws(StackLensError) -> WordVectorizer,
    _ settings: TicketClassifier.Settings
  ) throws(StackLensError) -> [String: Tensor] {
    func ids(_ column: TextColumn?) throws(StackLensError) -> Tensor {
      guard let column else { return try Tensor(zeros: .int64, Shape([count, 1])) }
      return try column.ids(vectorizer, length: settings.length)
    }
    let (d, r) = (try ids(description), try ids(resolution))
    for (row, lengths) in zip(d.tokenCounts(), r.tokenCounts()).enumerated()
    where lengths == (0, 0) {
      throw .invalidArgument("description and resolution are both empty in row \(row)")
    }
    return ["description_ids": d, "resolution_ids": r]
  }
}

/// Tickets with their labels.
struct Tickets: Divisible {
  private let texts: TicketTexts
  /// int64 [rows, labels], or [rows] where each ticket has one.
  let labels: Tensor

  init(
    _ arguments: Arguments, _ prefix: String, _ settings: TicketClassifier.Settings
  ) throws(StackLensError) {
    texts = try TicketTexts(arguments, prefix, settings)
    labels =
      settings.isMultiLabel
      ? try arguments.integers(
        prefix + "labels", [texts.count, settings.labels], in: 0..<2, missing: -100)
      : try arguments.integers(
        prefix + "labels", [texts.count], in: 0..<settings.labels, missing: -100)
  }

  private init(_ texts: TicketTexts, _ labels: Tensor) {
    (self.texts, self.labels) = (texts, labels)
  }

  static func areGiven(_ arguments: Arguments, _ prefix: String) -> Bool {
    ["description", "resolution", "description_ids", "resolution_ids", "labels"].contains {
      arguments.has(prefix + $0)
    }
  }

  var count: Int { texts.count }
  var hasTexts: Bool { texts.hasTexts }

  func vectorizer(size: Int) -> WordVectorizer {
    WordVectorizer(learning: texts.words, size: size)
  }

  func taking(_ rows: [Int]) throws(StackLensError) -> Tickets {
    Tickets(try texts.taking(rows), try labels.rows(rows))
  }

  /// What the training network takes.
  func arrays(
    _ vectorizer: () throws(StackLensError) -> WordVectorizer,
    _ settings: TicketClassifier.Settings
  ) throws(StackLensError) -> [String: Tensor] {
    var arrays = try texts.arrays(vectorizer, settings)
    arrays["labels"] =
      settings.isMultiLabel
      ? try Tensor(labels.integers().map { Float($0) }, shape: labels.shape) : labels
    return arrays
  }
}
