import Base
import Exchange
import Execution
import Graphs
import Operators
import Tensors

/// A BERT encoder over packed texts.
struct BertEncoder: TextEncoder {
  let dimension: Int
  let positionCount: Int
  let maxLength: Int
  private let configuration: EncoderConfiguration
  private let file: SafetensorsFile
  private let weights: BertWeights
  private let session: Session

  init(
    folder: String, _ precision: Precision, threadCount: Int
  ) throws(StackLensError) {
    configuration = try EncoderConfiguration(folder: folder)
    let path = folder + "/model.safetensors"
    file = try SafetensorsFile.load(path: path)
    do throws(StackLensError) {
      weights = try BertWeights(file.expanded(), configuration)
    } catch {
      throw error.within(path)
    }
    dimension = configuration.width
    positionCount = configuration.positionCount
    maxLength = configuration.maxLength
    var options = SessionOptions()
    options.threadCount = threadCount
    options.optimizationLevel = 0
    session = try Session(
      Model(graph: try BertGraph.packed(weights, configuration, precision)), options: options)
    // The first run packs the weights; their pages in the file are not needed after that.
    var vector = [Float](repeating: 0, count: dimension)
    let ids: [Int32] = [0]
    try ids.withUnsafeBufferPointerTyped { (ids) throws(StackLensError) in
      try vector.withUnsafeMutableBufferPointerTyped { (vector) throws(StackLensError) in
        guard let start = vector.baseAddress else { return }
        try run([0], EncoderJob(ids: ids, starts: [0, 1], vectors: start), onCallingThread: false)
      }
    }
    file.dropPages()
  }

  /// Texts in order, cut where about this many tokens are together: enough rows to keep the matrix
  /// kernels busy, few enough to stay in a core's cache.
  private static let batchTokenCount = 256
  /// No batch of several texts has more tokens: what the largest run needs is all that runs need.
  private static let mostTokens = 320

  func batches(_ job: EncoderJob, threadCount: Int) -> [[Int]] {
    guard job.textCount > 0 else { return [] }
    let all = Array(0..<job.textCount)
    let total = job.starts[job.textCount] - job.starts[0]
    guard threadCount > 1 || total > Self.batchTokenCount else { return [all] }
    // A multiple of the threads, so that they end together.
    let wanted = (total + Self.batchTokenCount / 2) / Self.batchTokenCount
    let count = (max(wanted, 1) + threadCount - 1) / threadCount * threadCount
    guard total >= Self.smallestSplit * count, job.textCount >= count else {
      return wanted <= 1 || job.textCount == 1 ? [all] : split(all, job, wanted, total)
    }
    return split(all, job, count, total)
  }

  /// Fewer tokens a thread than this are done faster by all threads together.
  private static let smallestSplit = 32

  private func split(_ texts: [Int], _ job: EncoderJob, _ count: Int, _ total: Int) -> [[Int]] {
    var batches: [[Int]] = []
    var batch: [Int] = []
    var (seen, next, inBatch) = (0, 1, 0)
    func close() {
      if !batch.isEmpty { batches.append(batch) }
      (batch, inBatch) = ([], 0)
    }
    for text in texts {
      let tokens = job.tokenCount(text)
      if inBatch + tokens > Self.mostTokens { close() }
      batch.append(text)
      inBatch += tokens
      seen += tokens
      if seen * count >= total * next {
        close()
        while seen * count >= total * next { next += 1 }
      }
    }
    close()
    return batches
  }

  func run(_ batch: [Int], _ job: EncoderJob, onCallingThread: Bool) throws(StackLensError) {
    let packed = try PackedBatch(tokenCounts: batch.map(job.tokenCount)) { text, target in
      let tokens = job.tokens(batch[text])
      if let source = tokens.baseAddress { target.update(from: source, count: tokens.count) }
    }
    let output = try session.run(
      ["ids": .tensor(packed.ids), "offsets": .tensor(packed.offsets)],
      onCallingThread: onCallingThread
    )[0].tensor()
    let rows = output.base.assumingMemoryBound(to: Float.self)
    for (index, text) in batch.enumerated() {
      (job.vectors + text * dimension).update(from: rows + index * dimension, count: dimension)
    }
  }

  func model() throws(StackLensError) -> Model {
    Model(graph: try BertGraph.standard(weights, configuration))
  }

  func whyNotFinite() -> StackLensError? { BertWeights.findNonFinite(file) }

  func trim() { session.trim() }
}

extension Array {
  /// `withUnsafeMutableBufferPointer` with a typed error.
  mutating func withUnsafeMutableBufferPointerTyped<Result>(
    _ body: (UnsafeMutableBufferPointer<Element>) throws(StackLensError) -> Result
  ) throws(StackLensError) -> Result {
    let result = withUnsafeMutableBufferPointer { buffer in
      Swift.Result { () throws(StackLensError) in try body(buffer) }
    }
    return try result.get()
  }
}
