import Base
import CKernels
import Tensors
import Training

/// Learns word vectors by negative sampling (Mikolov et al., "Distributed representations of words and
/// phrases and their compositionality", 2013).
///
/// The columns of the tables are divided among the threads, so that no two write to the same place.
/// For a batch of words each thread takes the dot products over its columns, all meet, and each moves
/// its columns by what they came to together. How the columns are cut follows from their number alone,
/// so that any number of threads gives the same bits.
struct WordTraining {
  struct Settings {
    var width = 100
    var isBagOfWords = false
    var window = 5
    var negative = 5
    var subsample = 1e-3
    var epochs = 5
    var learningRate = 0.025
    var leastLearningRate = 0.0001
    var seed: UInt64 = 42
    var threadCount = 0

    /// Words of a batch: what is learned from one is not seen by the others, so that a line that a
    /// log repeats must not be in it often, nor any word of a small vocabulary.
    func batchSize(vocabulary: Int) -> Int {
      max(1, min(isBagOfWords ? 128 : 320 / window, vocabulary / 32))
    }

    var shape: slk_word_shape {
      slk_word_shape(outputs: negative + 1, reach: window, is_cbow: isBagOfWords)
    }
  }

  let corpus: WordCorpus
  let bags: WordBags?
  let tables: Tables
  private let settings: Settings
  private let parallel: Parallel
  private let room: Room

  /// Words between reports.
  static let chunkSize = 1 << 12

  init(_ corpus: WordCorpus, _ bags: WordBags?, _ settings: Settings) throws(StackLensError) {
    (self.corpus, self.bags, self.settings) = (corpus, bags, settings)
    parallel = Parallel(ThreadPool.withThreads(settings.threadCount))
    tables = try Tables(
      words: corpus.counts.count, rows: bags?.rowCount ?? corpus.counts.count, settings)
    room = try Room(
      tables, WordSampler(corpus.counts), settings, wordCount: corpus.ids.count,
      longestBag: bags?.longest ?? 1)
  }

  /// Goes over the texts, and tells how it goes.
  func run(_ fitting: Fitting) throws(StackLensError) {
    var before = Double.infinity
    for epoch in 0..<settings.epochs {
      let start = monotonicNanoseconds()
      guard let loss = pass(epoch, fitting) else { return fitting.stopped() }
      guard loss.isFinite else {
        throw .nonFinite("the loss is \(loss) in epoch \(epoch): the learning rate is too large")
      }
      let report = EpochReport(
        epoch: epoch, loss: loss, learningRate: rate(at: Double(epoch + 1)), gradientNorm: 0,
        seconds: Double(monotonicNanoseconds() - start) * 1e-9, isBest: loss < before)
      before = min(before, loss)
      guard fitting.report(report) else { return fitting.stopped() }
    }
  }

  /// The learning rate falls in a line from the first word to the last.
  private func rate(at epochs: Double) -> Double {
    max(
      settings.leastLearningRate,
      settings.learningRate
        - (settings.learningRate - settings.leastLearningRate) * epochs / Double(settings.epochs))
  }

  /// - Returns: the mean loss of an example; nil where it was stopped.
  private func pass(_ epoch: Int, _ fitting: Fitting) -> Double? {
    var random = RandomGenerator(seed: settings.seed &+ UInt64(epoch))
    let (keepSeed, drawSeed) = (random.next(), random.next())
    let keep = WordSampler.keep(corpus.counts, subsample: settings.subsample)
    let count = slk_words_kept(corpus.ids, corpus.ids.count, keep, keepSeed, room.words)
    let chunks = max(1, (count + Self.chunkSize - 1) / Self.chunkSize)
    var loss = (sum: 0.0, examples: 0.0)
    for chunk in 0..<chunks {
      let first = chunk * Self.chunkSize
      let rate = rate(at: Double(epoch) + Double(chunk) / Double(chunks))
      let found = learn(first..<min(count, first + Self.chunkSize), seed: drawSeed, rate)
      loss = (loss.sum + found.sum, loss.examples + found.examples)
      let report = StepReport(
        step: epoch * chunks + chunk + 1, epoch: epoch, batch: chunk, batchCount: chunks,
        loss: found.sum / max(1, found.examples), gradientNorm: 0, learningRate: rate)
      guard fitting.report(report) else { return nil }
    }
    return loss.sum / max(1, loss.examples)
  }

  private func learn(
    _ chunk: Range<Int>, seed: UInt64, _ rate: Double
  ) -> (sum: Double, examples: Double) {
    let room = room
    let partCount = tables.parts.count
    var shape = settings.shape
    var chances = room.chances
    room.losses.update(repeating: 0, count: 2)
    parallel.together { member in
      let share = member.share(of: chunk.count)
      slk_word_draws(
        &chances, room.words, chunk.lowerBound + share.lowerBound,
        chunk.lowerBound + share.upperBound, seed, &shape,
        room.reaches + share.lowerBound, room.drawn + share.lowerBound * room.drawnWidth)
      member.meet()
      let parts = member.share(of: partCount)
      for (turn, start) in stride(
        from: chunk.lowerBound, to: chunk.upperBound, by: room.batchSize
      ).enumerated() {
        let words = start..<min(chunk.upperBound, start + room.batchSize)
        let scores = room.scores + turn % 2 * partCount * room.part
        var sums = slk_word_sums(
          scores: scores, count: 0, parts: partCount, part: room.part)
        for index in parts {
          var part = tables.part(index, bags, settings)
          var batch = room.batch(words, of: chunk, part: index)
          sums.count = slk_word_scores_f32(&part, &batch, scores + index * room.part)
        }
        member.meet()
        for index in parts {
          var part = tables.part(index, bags, settings)
          var batch = room.batch(words, of: chunk, part: index)
          slk_word_steps_f32(
            &part, &batch, &sums, Float(rate), index == 0 ? room.losses : nil)
        }
      }
    }
    return (room.losses[0], room.losses[1])
  }
}
