import Base
import CKernels
import Tensors

/// The rows of words where they have subwords: their own and those of their n-grams.
struct WordBags {
  let rowCount: Int
  let ends: Tensor
  let rows: Tensor
  /// Rows of the longest one.
  let longest: Int

  init(_ words: [String], _ subwords: Subwords) throws(StackLensError) {
    var ends: [Int32] = [0]
    var rows: [Int32] = []
    var longest = 0
    for (id, word) in words.enumerated() {
      rows.append(Int32(id))
      rows += subwords.buckets(of: word).map { Int32(words.count + $0) }
      guard let end = Int32(exactly: rows.count) else {
        throw .limitExceeded("the words have over \(Int32.max) n-grams together")
      }
      longest = max(longest, rows.count - Int(ends[id]))
      ends.append(end)
    }
    rowCount = words.count + subwords.bucketCount
    (self.ends, self.rows, self.longest) = (try Tensor(ends), try Tensor(rows), longest)
  }
}

extension WordTraining {
  /// The tables that are learned, rows filled up with zeros to whole vectors of the processor.
  struct Tables {
    /// What the columns of a part are a multiple of.
    static let block = 16
    let width: Int
    let stride: Int
    let input: Tensor
    let output: Tensor

    /// Input rows start with small random numbers, output rows with zeros.
    init(words: Int, rows: Int, _ settings: Settings) throws(StackLensError) {
      width = settings.width
      stride = (width + Self.block - 1) / Self.block * Self.block
      input = try Tensor(zeros: .float32, Shape([rows, stride]))
      output = try Tensor(zeros: .float32, Shape([words, stride]))
      var random = RandomGenerator(seed: settings.seed)
      let reach = 1 / Double(width)
      let base = input.base.assumingMemoryBound(to: Float.self)
      for row in 0..<rows {
        for column in 0..<width {
          base[row * stride + column] = Float((2 * random.uniform() - 1) * reach)
        }
      }
    }

    func kernelTables(_ bags: WordBags?, _ settings: Settings) -> slk_word_tables {
      slk_word_tables(
        input: input.base.assumingMemoryBound(to: Float.self),
        output: output.base.assumingMemoryBound(to: Float.self), stride: stride,
        bag_ends: bags.map { UnsafePointer($0.ends.base.assumingMemoryBound(to: Int32.self)) },
        bag_rows: bags.map { UnsafePointer($0.rows.base.assumingMemoryBound(to: Int32.self)) },
        shape: settings.shape)
    }
  }

  /// Memory of the threads. Held by the tensors; the pointers lead into them.
  struct Room {
    /// The columns of each part, and the numbers of a batch that each has room for.
    let parts: [Range<Int>]
    let part: Int
    /// Words of a batch.
    let batchSize: Int
    /// Numbers of all outputs of a word.
    let drawnWidth: Int
    private let owned: [Tensor]
    private let rowRoom, stride: Int
    /// The text of an epoch.
    let words: UnsafeMutablePointer<Int32>
    /// What is drawn for a chunk of it.
    let reaches, drawn: UnsafeMutablePointer<Int32>
    /// Of a batch and of the one before it, which some thread may still read.
    let scores: UnsafeMutablePointer<Float>
    private let rows: UnsafeMutablePointer<Int32>
    private let numbers: UnsafeMutablePointer<Float>
    let losses: UnsafeMutablePointer<Double>
    let chances: slk_word_chances

    init(
      _ tables: Tables, _ sampler: WordSampler, _ settings: Settings, wordCount: Int,
      longestBag: Int
    ) throws(StackLensError) {
      let blocks = tables.stride / Tables.block
      let count = max(1, min(blocks / 3, 16))
      parts = (0..<count).map {
        blocks * $0 / count * Tables.block..<blocks * ($0 + 1) / count * Tables.block
      }
      stride = tables.stride
      var shape = settings.shape
      drawnWidth = shape.outputs
      batchSize = settings.batchSize(vocabulary: sampler.chance.count)
      part = batchSize * slk_word_scores(&shape)
      rowRoom = 2 * settings.window * longestBag
      var owned: [Tensor] = []
      func room<Element: TensorElement>(
        _ type: Element.Type, _ counts: Int...
      ) throws(StackLensError) -> UnsafeMutablePointer<Element> {
        let tensor = try Tensor(zeros: Element.elementType, Shape(counts))
        owned.append(tensor)
        return tensor.base.assumingMemoryBound(to: Element.self)
      }
      func kept<Element: TensorElement>(
        _ elements: [Element]
      ) throws(StackLensError) -> UnsafePointer<Element> {
        let tensor = try Tensor(elements)
        owned.append(tensor)
        return UnsafePointer(tensor.base.assumingMemoryBound(to: Element.self))
      }
      words = try room(Int32.self, wordCount)
      reaches = try room(Int32.self, WordTraining.chunkSize)
      drawn = try room(Int32.self, WordTraining.chunkSize, drawnWidth)
      scores = try room(Float.self, 2, count, part)
      rows = try room(Int32.self, count, rowRoom)
      numbers = try room(Float.self, count, 2 * stride + part)
      losses = try room(Double.self, 2)
      chances = slk_word_chances(
        chance: try kept(sampler.chance), alias: try kept(sampler.alias),
        count: sampler.chance.count)
      self.owned = owned
    }

    /// What a part needs for words of a chunk.
    func batch(
      _ range: Range<Int>, of chunk: Range<Int>, part index: Int
    ) -> slk_word_batch {
      let place = range.lowerBound - chunk.lowerBound
      let means = numbers + index * (2 * stride + part)
      return slk_word_batch(
        words: words, first: range.lowerBound, last: range.upperBound, reaches: reaches + place,
        drawn: drawn + place * drawnWidth, rows: rows + index * rowRoom, means: means,
        errors: means + 2 * stride)
    }
  }
}

extension WordTraining {
  /// The mean of the rows of each word, and the rows behind those of words.
  func learned() throws(StackLensError) -> (vectors: Tensor, subwords: Tensor) {
    let (width, stride) = (tables.width, tables.stride)
    let wordCount = corpus.counts.count
    let vectors = try Tensor(zeros: .float32, Shape([wordCount, width]))
    let others = tables.input.shape[0] - wordCount
    let subwords = try Tensor(zeros: .float32, Shape([others, width]))
    let from = tables.input.base.assumingMemoryBound(to: Float.self)
    let (to, further) = (
      vectors.base.assumingMemoryBound(to: Float.self),
      subwords.base.assumingMemoryBound(to: Float.self)
    )
    for row in 0..<others {
      (further + row * width).update(from: from + (wordCount + row) * stride, count: width)
    }
    let ends = try bags?.ends.elements(as: Int32.self)
    let rows = try bags?.rows.elements(as: Int32.self)
    for word in 0..<wordCount {
      guard let ends, let rows else {
        (to + word * width).update(from: from + word * stride, count: width)
        continue
      }
      let bag = rows[Int(ends[word])..<Int(ends[word + 1])]
      for row in bag {
        for column in 0..<width {
          to[word * width + column] += from[Int(row) * stride + column]
        }
      }
      for column in 0..<width { to[word * width + column] /= Float(bag.count) }
    }
    return (vectors, subwords)
  }
}
