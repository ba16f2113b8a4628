import Base
import Execution
import Layers
import Operators
import Tensors

extension NERTagger {
  func answer(_ call: Call) throws(StackLensError) -> [Value] {
    switch call.method {
    case "tokenize":
      let windows = try reader(call).read(call.arguments.texts("text"))
      return try tokenized(windows)
    case "decode":
      let scores = try call.arguments.reals("tag_scores", [nil, nil, tags.count])
      let dims = Array(scores.shape.dims.prefix(2))
      let starts = try call.arguments.flags("word_starts", dims)
      return try call.run(
        Self.decoder,
        ["tag_scores": scores, "word_starts": Tensor(starts, shape: Shape(dims))]
      ).answers("tags", "marginals")
    case "forward":
      return try call.run("", inputs(call.arguments, "")).answers("tag_scores")
    default:
      try call.requireFit()
      let texts = try call.arguments.texts("text")
      return try values(found(texts, call))
    }
  }

  private func reader(_ call: Call) throws(StackLensError) -> PieceReader {
    try call.derived("reader") { (knowledge) throws(StackLensError) in try reader(knowledge) }
  }

  private func values(_ found: [FoundEntity]) throws(StackLensError) -> [Value] {
    [
      .tensor(try Tensor(found.map { Int64($0.row) })),
      .tensor(try Tensor(found.map { Int64($0.type) })),
      .tensor(try Tensor(found.map { Int64($0.bytes.lowerBound) })),
      .tensor(try Tensor(found.map { Int64($0.bytes.upperBound) })),
      .tensor(try Tensor(found.map(\.score))),
    ]
  }

  /// The entities of texts, in order.
  private func found(_ texts: [String], _ call: Call) throws(StackLensError) -> [FoundEntity] {
    let windows = try reader(call).read(texts)
    let candidates = try self.candidates(windows, call)
    var found: [FoundEntity] = []
    var start = 0
    while start < windows.count {
      var end = start + 1
      while end < windows.count, windows[end].row == windows[start].row { end += 1 }
      found += FoundEntity.merged(
        windows[start..<end].map(\.content), Array(candidates[start..<end]),
        pieceCount: windows[start].textPieceCount)
      start = end
    }
    return found
  }

  /// Windows that are tagged together.
  private static let batchSize = 32

  /// The entities of each window.
  private func candidates(
    _ windows: [PieceWindow], _ call: Call
  ) throws(StackLensError) -> [[FoundEntity.Candidate]] {
    let precision: Precision = try call.options.choice("precision")
    let encoding = try call.derived("encoder " + precision.rawValue) {
      (knowledge) throws(StackLensError) in
      try call.compiled(encoder.running(knowledge, precision, averaging: averages), level: 0)
    }
    let head = try call.derived("head") { (knowledge) throws(StackLensError) in
      try call.compiled(knowledge.filled(tagging(seed: 0).withoutDropout()))
    }
    var found = [[FoundEntity.Candidate]](repeating: [], count: windows.count)
    // Those of similar length together: little is computed for padding.
    let order = windows.indices.sorted { (windows[$0].count, $0) < (windows[$1].count, $1) }
    for first in stride(from: 0, to: order.count, by: Self.batchSize) {
      let places = Array(order[first..<min(order.count, first + Self.batchSize)])
      var pieces = TaggedPieces()
      for place in places { pieces.append(windows[place]) }
      let rows = Array(places.indices)
      var inputs = try pieces.padded(rows)
      inputs["states"] = try EncoderStates(
        of: pieces.texts, encoding, width: encoder.settings.width
      ).padded(rows)
      let taken = Set(head.inputs.map(\.name))
      let scores = try head.outputs(inputs.filter { taken.contains($0.key) }).tensor("tag_scores")
      let decoded = try call.run(
        Self.decoder, ["tag_scores": scores, "word_starts": starts(places.map { windows[$0] })])
      let (tags, marginals) = (
        try decoded.tensor("tags").integers(),
        try decoded.tensor("marginals").elements(as: Float.self)
      )
      let steps = scores.shape[1]
      for (row, place) in places.enumerated() {
        let span = row * steps..<(row + 1) * steps
        found[place] = entities(
          of: windows[place], Array(tags[span]),
          Array(marginals[span.lowerBound * self.tags.count..<span.upperBound * self.tags.count]))
      }
    }
    return found
  }

  /// Which pieces of windows begin words: bool [windows, steps].
  private func starts(_ windows: [PieceWindow]) throws(StackLensError) -> Tensor {
    let steps = windows.map(\.count).max() ?? 0
    let flags = windows.flatMap { window in
      window.pieces.map(\.isWordStart) + repeatElement(false, count: steps - window.count)
    }
    return try Tensor(flags, shape: Shape([windows.count, steps]))
  }

  /// - Parameters:
  ///   - tags: of pieces.
  ///   - marginals: [pieces, tags].
  private func entities(
    of window: PieceWindow, _ tags: [Int], _ marginals: [Float]
  ) -> [FoundEntity.Candidate] {
    let words = window.words
    let best = words.map { tags[$0.lowerBound] }
    return TagSet.runs(best).compactMap { run in
      let (first, last) = (words[run.words.lowerBound], words[run.words.upperBound - 1])
      let pieces = first.lowerBound..<last.upperBound
      let bytes = window.bytes(pieces)
      guard !bytes.isEmpty else { return nil }
      let sum = run.words.reduce(0.0) { sum, word in
        sum + Double(marginals[words[word].lowerBound * self.tags.count + best[word]])
      }
      let offset = window.content.lowerBound - window.head
      return FoundEntity.Candidate(
        entity: FoundEntity(
          row: window.row, type: run.type, bytes: bytes,
          score: Float(sum / Double(run.words.count))),
        pieces: pieces.lowerBound + offset..<pieces.upperBound + offset)
    }
  }

  /// The outputs of "tokenize".
  private func tokenized(_ windows: [PieceWindow]) throws(StackLensError) -> [Value] {
    var pieces = TaggedPieces()
    for window in windows { pieces.append(window) }
    let arrays = try pieces.padded(Array(windows.indices))
    let steps = windows.map(\.count).max() ?? 0
    func places(_ place: (PieceWindow.Piece) -> Int) throws(StackLensError) -> Value {
      let all = windows.flatMap { window in
        window.pieces.map { Int64(place($0)) } + repeatElement(0, count: steps - window.count)
      }
      return .tensor(try Tensor(all, shape: Shape([windows.count, steps])))
    }
    return [.tensor(try Tensor(windows.map { Int64($0.row) }))]
      + (try arrays.answers("input_ids", "attention_mask", "shapes", "word_ids"))
      + [
        .tensor(try starts(windows)), try places(\.bytes.lowerBound),
        try places(\.bytes.upperBound),
      ]
  }
}
