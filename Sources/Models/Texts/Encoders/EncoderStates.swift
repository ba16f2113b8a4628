import Base
import Execution
import Insight
import Tensors

/// What an encoder makes of texts, kept: a row of states for each piece.
struct EncoderStates: Sendable {
  /// float32 [pieces of different texts, width]
  private let states: Tensor
  /// Rows of each text; those of equal texts are the same.
  private let spans: [Range<Int>]

  /// - Parameter session: of an encoder in the form that runs, ids and offsets to states.
  /// - Throws: `.limitExceeded` where they would take more than half of the memory.
  init(of texts: EncodedTexts, _ session: Session, width: Int) throws(StackLensError) {
    var known: [[Int32]: Range<Int>] = [:]
    var spans: [Range<Int>] = []
    var new: [Int] = []
    var end = 0
    for (row, ids) in texts.ids.enumerated() {
      if let span = known[ids] {
        spans.append(span)
        continue
      }
      let span = end..<end + ids.count
      known[ids] = span
      spans.append(span)
      new.append(row)
      end = span.upperBound
    }
    let (size, overflow) = end.multipliedReportingOverflow(by: width * 4)
    guard !overflow, size <= usableMemoryByteCount / 2 else {
      throw .limitExceeded(
        "the encoder's states of \(end) pieces take more than half of the memory: give fewer texts, "
          + "a smaller max_length, or let the encoder learn too")
    }
    states = try Tensor(uninitialized: .float32, Shape([end, width]))
    let base = states.base.assumingMemoryBound(to: Float.self)
    try texts.taking(new).packed(session) { (_, rows, outputs) throws(StackLensError) in
      let found = try outputs.tensor("states").base.assumingMemoryBound(to: Float.self)
      let first = spans[new[rows.lowerBound]].lowerBound
      let last = spans[new[rows.upperBound - 1]].upperBound
      (base + first * width).update(from: found, count: (last - first) * width)
    }
    self.spans = spans
  }

  /// Where the pieces of a text stand.
  func rows(of text: Int) -> Range<Int> { spans[text] }

  subscript(row: Int, column: Int) -> Float {
    states.base.assumingMemoryBound(to: Float.self)[row * states.shape[1] + column]
  }

  /// Texts side by side, zeros behind the shorter ones: float32 [texts, steps, width].
  func padded(_ texts: [Int]) throws(StackLensError) -> Tensor {
    let width = states.shape[1]
    let steps = texts.map { spans[$0].count }.max() ?? 0
    let result = try Tensor(zeros: .float32, Shape([texts.count, steps, width]))
    let target = result.base.assumingMemoryBound(to: Float.self)
    let source = states.base.assumingMemoryBound(to: Float.self)
    for (place, text) in texts.enumerated() {
      (target + place * steps * width).update(
        from: source + spans[text].lowerBound * width, count: spans[text].count * width)
    }
    return result
  }
}

extension EncodedTexts {
  /// Enough rows to keep matrix kernels busy, few enough to stay in a core's cache.
  private static let batchPieceCount = 512

  /// Runs texts in the form without padding, some at a time and in order.
  func packed(
    _ session: Session,
    _ body: (PackedBatch, Range<Int>, [String: Tensor]) throws(StackLensError) -> Void
  ) throws(StackLensError) {
    func wants(_ name: String) -> Bool { session.inputs.contains { $0.name == name } }
    let (wantsTerms, wantsSpelling) = (wants("terms"), wants("spelling_ids"))
    var start = 0
    while start < count {
      var (end, pieces) = (start + 1, ids[start].count)
      while end < count, pieces + ids[end].count <= Self.batchPieceCount {
        pieces += ids[end].count
        end += 1
      }
      let rows = start..<end
      let batch = try PackedBatch(tokenCounts: rows.map { ids[$0].count }) { text, target in
        for (place, id) in ids[rows.lowerBound + text].enumerated() { target[place] = id }
      }
      var inputs = ["ids": batch.ids, "offsets": batch.offsets]
      if wantsTerms {
        var covered = rows.flatMap { terms[$0] }
        covered += [Int32](repeating: -1, count: batch.ids.count - covered.count)
        inputs["terms"] = try Tensor(covered)
      }
      if wantsSpelling {
        let texts = Array(spelling[rows])
        let room = try SpelledText.padded(texts, height: batch.offsets.count - 1)
        inputs.merge(room) { _, new in new }
      }
      try body(batch, rows, session.outputs(inputs))
      start = end
    }
  }
}
