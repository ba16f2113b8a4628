import Base
import Execution
import Graphs
import Layers
import Tensors
import Training

/// What reads the texts of a call, made where there are any.
struct Reading {
  let kind: StackLensTransformer
  private let make: () throws(StackLensError) -> TextReader

  init(_ kind: StackLensTransformer, _ knowledge: Knowledge) {
    self.kind = kind
    make = { () throws(StackLensError) in
      try kind.reader(knowledge)
    }
  }

  init(_ kind: StackLensTransformer, _ call: Call) {
    self.kind = kind
    make = { () throws(StackLensError) in
      try call.derived("reader") { (knowledge) throws(StackLensError) in
        try kind.reader(knowledge)
      }
    }
  }

  func reader() throws(StackLensError) -> TextReader { try make() }
}

/// Pieces as arrays, held against the sizes of a model.
struct PieceArrays {
  /// input_ids, attention_mask, token_type_ids and tech_ids, int64 [rows, steps]; spelling_ids int64
  /// and spelling_weights float32 [rows, grams] for a model that looks at them.
  let tensors: [String: Tensor]

  /// - Throws: as `EncoderPart.pieces`; `.invalidArgument` for terms and n-grams that there are not.
  init(
    _ arguments: Arguments, _ prefix: String, _ kind: StackLensTransformer
  ) throws(StackLensError) {
    var tensors = try kind.encoder.pieces(arguments, prefix)
    let ids = try tensors.tensor("input_ids")
    tensors["tech_ids"] =
      try arguments.has(prefix + "tech_ids")
      ? arguments.integers(prefix + "tech_ids", ids.shape.dims, in: -1..<kind.terms.count)
      : Tensor([Int64](repeating: -1, count: ids.count), shape: ids.shape)
    tensors.merge(try kind.spellingInputs(arguments, prefix, rows: ids.shape[0])) { _, new in new }
    self.tensors = tensors
  }
}

/// Errors with what is known of them.
struct LabelledErrors: Divisible {
  let texts: EncodedTexts
  /// -100 where it is not known.
  let severity, category: [Int64]
  /// What the confidence shall be; -100 where the answer tells.
  let reliability: [Float]

  static func areGiven(_ arguments: Arguments, _ prefix: String) -> Bool {
    ["text", "input_ids", "severity", "category"].contains { arguments.has(prefix + $0) }
  }

  /// - Throws: `.invalidArgument` for texts and pieces at once or neither, for no label at all, and for
  ///   labels that there are not; `.shapeMismatch` for columns of different heights.
  init(
    _ arguments: Arguments, _ prefix: String, _ reading: Reading
  ) throws(StackLensError) {
    switch (arguments.has(prefix + "text"), arguments.has(prefix + "input_ids")) {
    case (true, false): texts = try reading.reader().read(arguments.texts(prefix + "text"))
    case (false, true):
      let arrays = try PieceArrays(arguments, prefix, reading.kind).tensors
      texts = try EncodedTexts(
        arrays.tensor("input_ids"), mask: arrays.tensor("attention_mask"),
        terms: arrays.tensor("tech_ids"),
        spelling: arrays["spelling_ids"].map { (ids) throws(StackLensError) in
          try SpelledText.rows(ids, arrays.tensor("spelling_weights"))
        } ?? [])
    default:
      throw .invalidArgument("expected one of '\(prefix)text' and '\(prefix)input_ids'")
    }
    let rows = texts.count
    func labels(_ name: String, _ count: Int) throws(StackLensError) -> [Int64] {
      guard arguments.has(prefix + name) else {
        return [Int64](repeating: Network.missingLabel, count: rows)
      }
      let missing = Int(Network.missingLabel)
      return try arguments.integers(prefix + name, [rows], in: 0..<count, missing: missing)
        .elements(as: Int64.self)
    }
    severity = try labels("severity", reading.kind.severities.count)
    category = try labels("category", reading.kind.categories.count)
    reliability =
      try arguments.has(prefix + "reliability")
      ? arguments.reals(prefix + "reliability", [rows]).elements(as: Float.self)
      : [Float](repeating: Float(Network.missingLabel), count: rows)
    for (row, value) in reliability.enumerated()
    where !(0...1).contains(value) && value != Float(Network.missingLabel) {
      throw .invalidArgument("'\(prefix)reliability' holds \(value) in row \(row), expected 0 to 1")
    }
    guard rows == 0 || (severity + category).contains(where: { $0 >= 0 }) else {
      throw .invalidArgument(
        "there is no label: give '\(prefix)severity', '\(prefix)category' or both")
    }
  }

  private init(
    _ texts: EncodedTexts, _ severity: [Int64], _ category: [Int64], _ reliability: [Float]
  ) {
    (self.texts, self.severity, self.category) = (texts, severity, category)
    self.reliability = reliability
  }

  var count: Int { texts.count }

  /// Patterns of the parameters that no label says anything about.
  var unlabelledHeads: [String] {
    [("severity", severity), ("category", category)]
      .filter { !$0.1.contains { $0 >= 0 } }
      .flatMap { [$0.0 + ".*", StackLensTransformer.spellingTable($0.0)] }
  }

  func taking(_ rows: [Int]) -> LabelledErrors {
    LabelledErrors(
      texts.taking(rows), rows.map { severity[$0] }, rows.map { category[$0] },
      rows.map { reliability[$0] })
  }
}

/// What each class counts in the losses; nil: all the same.
struct ClassWeights {
  private(set) var severity, category: Tensor?

  init(
    _ data: LabelledErrors, _ kind: StackLensTransformer, _ options: OptionValues
  ) throws(StackLensError) {
    guard try options.text("class_weights") == "balanced" else { return }
    severity = try Self.balanced(data.severity, kind.severities.count)
    category = try Self.balanced(data.category, kind.categories.count)
  }

  /// n / (k n_c) for a class with n_c of the n examples of k classes that occur.
  private static func balanced(_ labels: [Int64], _ count: Int) throws(StackLensError) -> Tensor {
    var counts = [Int](repeating: 0, count: count)
    for label in labels where label >= 0 { counts[Int(label)] += 1 }
    let known = Float(counts.reduce(0, +))
    let present = Float(counts.count { $0 > 0 })
    return try Tensor(
      counts.map { $0 > 0 ? known / (present * Float($0)) : 1 }, shape: Shape([count]))
  }
}

/// Batches of errors, of similar length together: pieces, or the encoder's states of them.
struct ErrorBatches: BatchSource {
  let rows: LabelledErrors
  private let states: EncoderStates?
  private let order: BatchOrder

  init(_ rows: LabelledErrors, states: EncoderStates?, order: BatchOrder) {
    (self.rows, self.states, self.order) = (rows, states, order)
  }

  var batchCount: Int? { order.batchCount }

  func batch(_ index: Int, ofEpoch epoch: Int) throws(StackLensError) -> Batch? {
    guard let places = order.rows(ofBatch: index, epoch: epoch) else { return nil }
    var batch = try rows.texts.padded(places)
    if let states {
      batch["input_ids"] = nil
      batch["token_type_ids"] = nil
      batch["states"] = try states.padded(places)
    }
    batch["severity"] = try Tensor(places.map { rows.severity[$0] })
    batch["category"] = try Tensor(places.map { rows.category[$0] })
    batch["reliability"] = try Tensor(places.map { rows.reliability[$0] })
    return batch
  }
}
