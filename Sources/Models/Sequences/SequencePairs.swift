import Base
import Layers
import Tensors
import Training

/// Sequences of ids, and those that follow from them.
struct SequencePairs: Divisible {
  private let source, target: Tensor
  /// Steps of a training network at most: each is a part of its graph.
  private static let longest = 512

  /// - Parameter prefix: of the arguments' names.
  init(
    _ arguments: Arguments, _ prefix: String, _ settings: Seq2Seq.Settings
  ) throws(StackLensError) {
    source = try Self.ids(arguments, prefix + "source", settings.sourceVocabulary)
    target = try Self.ids(arguments, prefix + "target", settings.targetVocabulary)
    guard source.shape[0] == target.shape[0] else {
      throw .shapeMismatch(
        "there are \(source.shape[0]) sources, but \(target.shape[0]) targets")
    }
    if let empty = source.tokenCounts().firstIndex(of: 0) {
      throw .invalidArgument("'\(prefix)source' is empty in row \(empty)")
    }
    guard targetLength < Self.longest else {
      throw .invalidArgument(
        "'\(prefix)target' is up to \(targetLength) long, expected \(Self.longest - 1) at most")
    }
  }

  private init(_ source: Tensor, _ target: Tensor) { (self.source, self.target) = (source, target) }

  /// Ids without columns that are all padding.
  static func ids(
    _ arguments: Arguments, _ name: String, _ vocabulary: Int
  ) throws(StackLensError) -> Tensor {
    let tensor = try arguments.integers(name, [nil, nil], in: 0..<vocabulary)
    let width = tensor.tokenCounts().max() ?? 0
    guard width > 0 else { return try Tensor(zeros: .int64, Shape([tensor.shape[0], 1])) }
    return try tensor.rows(Array(0..<tensor.shape[0]), width: width)
  }

  var count: Int { source.shape[0] }

  /// Tokens of the longest target.
  var targetLength: Int { target.tokenCounts().max() ?? 0 }

  func taking(_ rows: [Int]) throws(StackLensError) -> SequencePairs {
    SequencePairs(try source.rows(rows), try target.rows(rows))
  }

  /// What the training network takes: the targets behind a begin token, and before an end token.
  func arrays(steps: Int) throws(StackLensError) -> [String: Tensor] {
    let width = target.shape[1]
    let ids = target.base.assumingMemoryBound(to: Int64.self)
    var previous = [Int64](repeating: Int64(Seq2Seq.Token.padding), count: count * steps)
    var labels = [Int64](repeating: -100, count: count * steps)
    for (row, length) in target.tokenCounts().enumerated() {
      previous[row * steps] = Int64(Seq2Seq.Token.begin)
      for place in 0..<length {
        let id = ids[row * width + place]
        labels[row * steps + place] = id
        previous[row * steps + place + 1] = id
      }
      labels[row * steps + length] = Int64(Seq2Seq.Token.end)
    }
    let shape = try Shape([count, steps])
    return [
      "source": source, "previous": try Tensor(previous, shape: shape),
      "labels": try Tensor(labels, shape: shape),
    ]
  }
}

/// How often a decoder that learns sees the true token before, and not the one that it told itself
/// (Bengio et al., 2015).
struct TeacherForcing {
  private let first, last: Double
  private let epochs: Int
  /// Whether it sees the true one in every epoch.
  let isAlways: Bool

  init(_ options: OptionValues) throws(StackLensError) {
    let first = try options.number("teacher_forcing")
    let last =
      options.has("teacher_forcing_end") ? try options.number("teacher_forcing_end") : first
    self.init(first, last, epochs: try options.integer("epochs"), isAlways: first == 1 && last == 1)
  }

  private init(_ first: Double, _ last: Double, epochs: Int, isAlways: Bool) {
    (self.first, self.last, self.epochs, self.isAlways) = (first, last, epochs, isAlways)
  }

  /// True tokens only, for the network that another ratio needs.
  static func always(_ ratio: TeacherForcing) -> TeacherForcing {
    TeacherForcing(1, 1, epochs: 1, isAlways: ratio.isAlways)
  }

  /// Batches with coins, where the network asks for them.
  func source(_ source: ArraySource, steps: Int, seed: UInt64) -> any BatchSource {
    isAlways ? source : Coins(source: source, ratio: self, steps: steps, seed: seed)
  }

  private struct Coins: BatchSource {
    let source: ArraySource
    let ratio: TeacherForcing
    let steps: Int
    let seed: UInt64
    var batchCount: Int? { source.batchCount }

    func batch(_ index: Int, ofEpoch epoch: Int) throws(StackLensError) -> Batch? {
      guard var batch = try source.batch(index, ofEpoch: epoch) else { return nil }
      let rows = batch["source"]?.shape[0] ?? 0
      let progress = Double(epoch) / Double(max(1, ratio.epochs - 1))
      let share = ratio.first + (ratio.last - ratio.first) * min(1, progress)
      let place = UInt64(truncatingIfNeeded: epoch) << 32 ^ UInt64(truncatingIfNeeded: index)
      var random = RandomGenerator(seed: seed &+ place &* 0x9e37_79b9_7f4a_7c15)
      let coins = (0..<rows * steps).map { _ in random.uniform() < share }
      batch["forced"] = try Tensor(coins, shape: Shape([rows, steps]))
      return batch
    }
  }
}
