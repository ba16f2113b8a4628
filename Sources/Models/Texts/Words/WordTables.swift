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
  /// The tables that are learned, rows filled up with zeros to whole vectors of the processor. The
  /// columns of a part lie together, so that what one thread reads ahead is never another's.
  struct Tables {
    /// What the columns of a part are a multiple of.
    static let block = 16
    let width: Int
    /// The columns of each part, those that fill up included.
    let parts: [Range<Int>]
    let input: Table
    let output: Table

    /// A table in parts: [rows, columns of the part] behind each other.
    struct Table {
      let rows: Int
      private let storage: Tensor

      init(rows: Int, columns: Int) throws(StackLensError) {
        (self.rows, storage) = (rows, try Tensor(zeros: .float32, Shape([rows, columns])))
      }

      /// The first number of a part.
      func start(of part: Range<Int>) -> UnsafeMutablePointer<Float> {
        storage.base.assumingMemoryBound(to: Float.self) + rows * part.lowerBound
      }
    }

    /// Input rows start with small random numbers, output rows with zeros.
    init(words: Int, rows: Int, _ settings: Settings) throws(StackLensError) {
      width = settings.width
      let blocks = (width + Self.block - 1) / Self.block
      let count = max(1, min(blocks / 3, 16))
      parts = (0..<count).map {
        blocks * $0 / count * Self.block..<blocks * ($0 + 1) / count * Self.block
      }
      input = try Table(rows: rows, columns: blocks * Self.block)
      output = try Table(rows: words, columns: blocks * Self.block)
      var random = RandomGenerator(seed: settings.seed)
      let reach = 1 / Double(width)
      for row in 0..<rows {
        for part in parts {
          let base = input.start(of: part) + row * part.count
          for column in part where column < width {
            base[column - part.lowerBound] = Float((2 * random.uniform() - 1) * reach)
          }
        }
      }
    }

    /// A part as the kernels take it.
    func part(_ index: Int, _ bags: WordBags?, _ settings: Settings) -> slk_word_tables {
      slk_word_tables(
        input: input.start(of: parts[index]), output: output.start(of: parts[index]),
        stride: parts[index].count,
        bag_ends: bags.map { UnsafePointer($0.ends.base.assumingMemoryBound(to: Int32.self)) },
        bag_rows: bags.map { UnsafePointer($0.rows.base.assumingMemoryBound(to: Int32.self)) },
        shape: settings.shape)
    }

    /// The real columns of an input row.
    func vector(_ row: Int) -> [Float] {
      var vector: [Float] = []
      for part in parts {
        vector += UnsafeBufferPointer(
          start: input.start(of: part) + row * part.count, count: part.count)
      }
      return Array(vector.prefix(width))
    }
  }

  /// Memory of the threads. Held by the tensors; the pointers lead into them.
  struct Room {
    /// The numbers of a batch that each part of the tables has room for.
    let part: Int
    /// Words of a batch.
    let batchSize: Int
    /// Numbers of all outputs of a word.
    let drawnWidth: Int
    private let hasMeans: Bool
    private let owned: [Tensor]
    private let examples, rowRoom, stride: Int
    /// The text of an epoch.
    let words: UnsafeMutablePointer<Int32>
    /// What is drawn for a chunk of it.
    let reaches, drawn: UnsafeMutablePointer<Int32>
    /// Of a batch and of the one before it, which some thread may still read.
    let scores: UnsafeMutablePointer<Float>
    private let places: UnsafeMutablePointer<Int32>
    private let numbers: UnsafeMutablePointer<Float>
    let losses: UnsafeMutablePointer<Double>
    let chances: slk_word_chances

    init(
      _ tables: Tables, _ sampler: WordSampler, _ settings: Settings, wordCount: Int,
      longestBag: Int
    ) throws(StackLensError) {
      let count = tables.parts.count
      stride = tables.parts.map(\.count).max() ?? 0
      var shape = settings.shape
      drawnWidth = shape.outputs
      batchSize = settings.batchSize(vocabulary: sampler.chance.count)
      part = batchSize * slk_word_scores(&shape)
      examples = batchSize * slk_word_examples(&shape)
      rowRoom = batchSize * 2 * settings.window * longestBag
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
      places = try room(Int32.self, count, batchSize + examples + rowRoom)
      hasMeans = settings.isBagOfWords || longestBag > 1
      numbers = try room(Float.self, count, (hasMeans ? examples * stride : 0) + part)
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
      let counts = places + index * (batchSize + examples + rowRoom)
      let meanRoom = hasMeans ? examples * stride : 0
      let errors = numbers + index * (meanRoom + part)
      return slk_word_batch(
        words: words, first: range.lowerBound, last: range.upperBound, reaches: reaches + place,
        drawn: drawn + place * drawnWidth, examples: counts, ends: counts + batchSize,
        rows: counts + batchSize + examples, means: errors + part, errors: errors)
    }
  }
}

extension WordTraining {
  /// The mean of the rows of each word, and the rows behind those of words.
  func learned() throws(StackLensError) -> (vectors: Tensor, subwords: Tensor) {
    let width = tables.width
    let wordCount = corpus.counts.count
    let vectors = try Tensor(zeros: .float32, Shape([wordCount, width]))
    let others = tables.input.rows - wordCount
    let subwords = try Tensor(zeros: .float32, Shape([others, width]))
    let (to, further) = (
      vectors.base.assumingMemoryBound(to: Float.self),
      subwords.base.assumingMemoryBound(to: Float.self)
    )
    for row in 0..<others {
      (further + row * width).update(from: tables.vector(wordCount + row), count: width)
    }
    let ends = try bags?.ends.elements(as: Int32.self)
    let rows = try bags?.rows.elements(as: Int32.self)
    for word in 0..<wordCount {
      guard let ends, let rows else {
        (to + word * width).update(from: tables.vector(word), count: width)
        continue
      }
      let bag = rows[Int(ends[word])..<Int(ends[word + 1])]
      for row in bag {
        for (column, value) in tables.vector(Int(row)).enumerated() {
          to[word * width + column] += value
        }
      }
      for column in 0..<width { to[word * width + column] /= Float(bag.count) }
    }
    return (vectors, subwords)
  }
}
