import Base
import Glibc
import Tensors

/// Writes sequences token by token, the likeliest ones that a beam finds (Graves, 2012).
struct Decoder {
  /// A sequence so far, or the whole of it.
  struct Written {
    var tokens: [Int64] = []
    var logProbability = 0.0
    var isFinished = false
    /// Weights of the source's steps, one list behind the other.
    var attention: [Float] = []

    /// By which sequences of different lengths compare (Wu et al., 2016).
    var score: Double { logProbability / pow(Double(max(1, tokens.count)), 0.6) }
  }

  /// What a row of the decoder's batch goes on with.
  private struct Live {
    let row: Int
    /// The row of the step before.
    let parent: Int
    let written: Written
  }

  private let settings: Seq2Seq.Settings
  private let sourceLength, beam, maxLength: Int
  private var ended: [[Written]] = []

  init(_ settings: Seq2Seq.Settings, sourceLength: Int, beam: Int, maxLength: Int) {
    (self.settings, self.sourceLength) = (settings, sourceLength)
    (self.beam, self.maxLength) = (beam, maxLength)
  }

  /// The best sequence for each row.
  /// - Parameters:
  ///   - memory: what the encoder gives.
  ///   - run: a step of the decoder.
  mutating func sequences(
    rows: Int, _ memory: [String: Tensor],
    run: ([String: Tensor]) throws(StackLensError) -> [String: Tensor]
  ) throws(StackLensError) -> [Written] {
    ended = [[Written]](repeating: [], count: rows)
    let names = ["states", "keys", "mask", "context"].filter { memory[$0] != nil }
    var state = memory
    var sources = Array(0..<rows)
    var inputs = memory.filter { names.contains($0.key) }
    var live = (0..<rows).map { Live(row: $0, parent: $0, written: Written()) }
    for _ in 0..<maxLength where !live.isEmpty {
      if live.map(\.row) != sources {
        sources = live.map(\.row)
        for name in names { inputs[name] = try memory.tensor(name).rows(sources) }
      }
      for name in settings.isLSTM ? ["h", "c"] : ["h"] {
        inputs[name] = try state.tensor(name).items(live.map(\.parent))
      }
      inputs["token"] = try Tensor(
        live.map { $0.written.tokens.last ?? Int64(Seq2Seq.Token.begin) })
      let outputs = try run(inputs)
      for name in settings.isLSTM ? ["h", "c"] : ["h"] {
        state[name] = try outputs.tensor("next_" + name)
      }
      live = try continued(live, outputs)
    }
    // What is not finished counts only where nothing is.
    var open = [Written?](repeating: nil, count: rows)
    for one in live where open[one.row].map({ $0.score < one.written.score }) ?? true {
      open[one.row] = one.written
    }
    return (0..<rows).map { row in
      ended[row].max { $0.score < $1.score } ?? open[row] ?? Written()
    }
  }

  /// The likeliest continuations; those that end are put aside.
  private mutating func continued(
    _ live: [Live], _ outputs: [String: Tensor]
  ) throws(StackLensError) -> [Live] {
    let table = try outputs.tensor("log_probabilities")
    let logs = table.base.assumingMemoryBound(to: Float.self)
    let width = table.shape[1]
    let weights = try outputs["attention"].map { (weights) throws(StackLensError) in
      try weights.elements(as: Float.self)
    }
    var next: [Live] = []
    var start = 0
    while start < live.count {
      let row = live[start].row
      var end = start
      var candidates: [(parent: Int, token: Int, logProbability: Double)] = []
      while end < live.count, live[end].row == row {
        for (token, log) in best(logs + end * width, width) {
          candidates.append((end, token, live[end].written.logProbability + log))
        }
        end += 1
      }
      // Equal ones keep their order: the likelier parent and the smaller token come first.
      let order = candidates.indices.sorted {
        let (left, right) = (candidates[$0].logProbability, candidates[$1].logProbability)
        return left == right ? $0 < $1 : left > right
      }
      for place in order.prefix(beam - ended[row].count) {
        let chosen = candidates[place]
        var written = live[chosen.parent].written
        written.tokens.append(Int64(chosen.token))
        written.logProbability = chosen.logProbability
        if let weights {
          let first = chosen.parent * sourceLength
          written.attention += weights[first..<first + sourceLength]
        }
        written.isFinished = chosen.token == Seq2Seq.Token.end
        if written.isFinished {
          ended[row].append(written)
        } else {
          next.append(Live(row: row, parent: chosen.parent, written: written))
        }
      }
      start = end
    }
    return next
  }

  /// The likeliest tokens of a row, as many as the beam is wide; padding and begin are never written.
  private func best(
    _ logs: UnsafePointer<Float>, _ width: Int
  ) -> [(token: Int, logProbability: Double)] {
    var found: [(token: Int, logProbability: Double)] = []
    for token in 0..<width where token != Seq2Seq.Token.padding && token != Seq2Seq.Token.begin {
      let log = Double(logs[token])
      guard found.count < beam || log > found[found.count - 1].logProbability else { continue }
      let place = found.firstIndex { $0.logProbability < log } ?? found.count
      found.insert((token, log), at: place)
      if found.count > beam { found.removeLast() }
    }
    return found
  }

  /// Sequences as the values that a call gives.
  static func values(
    _ written: [Written], sourceLength: Int
  ) throws(StackLensError) -> [Value] {
    let steps = written.map(\.tokens.count).max() ?? 0
    var tokens = [Int64](repeating: Int64(Seq2Seq.Token.padding), count: written.count * steps)
    let shape = try Shape([written.count, steps, sourceLength])
    let attention = try Tensor(zeros: .float32, shape)
    let base = attention.base.assumingMemoryBound(to: Float.self)
    for (row, one) in written.enumerated() {
      for (place, token) in one.tokens.enumerated() { tokens[row * steps + place] = token }
      for (place, weight) in one.attention.enumerated() {
        base[row * steps * sourceLength + place] = weight
      }
    }
    return [
      .tensor(try Tensor(tokens, shape: Shape([written.count, steps]))),
      .tensor(try Tensor(written.map(\.isFinished))),
      .tensor(try Tensor(written.map { Float($0.logProbability) })), .tensor(attention),
    ]
  }
}

extension Tensor {
  /// Items of the second axis of [layers, batch, hidden].
  fileprivate func items(_ places: [Int]) throws(StackLensError) -> Tensor {
    let (layers, batch, hidden) = (shape[0], shape[1], shape[2])
    let rows = (0..<layers).flatMap { layer in places.map { layer * batch + $0 } }
    return try reshaped(to: Shape([layers * batch, hidden])).rows(rows).reshaped(
      to: Shape([layers, places.count, hidden]))
  }
}
