import Base
import CKernels
import Exchange
import Execution
import Operators
import Text

/// How an embedder loads and runs its encoder.
public struct EmbedderOptions: Sendable {
  /// Number format of the matrix products. Falls back to fp32 where the processor lacks it.
  public var precision = Precision.fp32
  /// 0: all processors the process may use.
  public var threadCount = 0
  /// Tokens kept of a text, special ones included; nil: the model's own setting.
  public var maxLength: Int?
  public var log: (@Sendable (LogLevel, String) -> Void)?

  public init() {}
}

/// Texts to vectors: a tokenizer and an encoder. Immutable and safe to use from many threads. The
/// vector of a text is the same to the last bit alone, in any batch, in any order and with any
/// number of threads.
public final class Embedder: Sendable {
  /// Called with texts done and texts in all; false ends the work.
  public typealias Progress = (_ done: Int, _ total: Int) -> Bool

  public let tokenizer: Tokenizer
  /// Length of a vector.
  public let dimension: Int
  /// The precision in use, after any fallback.
  public let precision: Precision
  public let maxLength: Int
  private let encoder: any TextEncoder
  private let pool: ThreadPool?

  /// Texts tokenised and encoded before the next ones are looked at: bounds the memory for ids.
  private static let slabTextCount = 2048

  /// Loads a sentence-transformers folder, or a folder with model.onnx and a tokenizer.
  /// - Throws: `.ioError`, `.formatError` naming file and tensor, `.unsupported` for other models.
  public init(
    folder: String, options: EmbedderOptions = EmbedderOptions()
  ) throws(StackLensError) {
    guard PathKind(of: folder) == .folder else {
      throw .ioError("'\(folder)' is no folder; give the one that holds config.json")
    }
    var precision = options.precision
    if !precision.isSupported {
      options.log?(
        .warning, "this processor lacks the instructions for \(precision.rawValue), using fp32")
      precision = .fp32
    }
    tokenizer = try Tokenizer.load(path: folder)
    if PathKind(of: folder + "/model.safetensors") == .file {
      encoder = try BertEncoder(folder: folder, precision, threadCount: options.threadCount)
    } else {
      if precision != .fp32 {
        options.log?(.warning, "an ONNX encoder runs as its file says, precision is fp32")
        precision = .fp32
      }
      encoder = try ONNXEncoder(folder: folder, threadCount: options.threadCount)
    }
    self.precision = precision
    dimension = encoder.dimension
    let limit = min(encoder.maxLength, encoder.positionCount)
    if let wanted = options.maxLength {
      guard wanted >= 3, wanted <= encoder.positionCount else {
        throw .invalidArgument(
          "max_length is \(wanted), the encoder takes 3 to \(encoder.positionCount) tokens")
      }
      maxLength = wanted
    } else {
      maxLength = limit
    }
    let pool = ThreadPool.withThreads(options.threadCount)
    self.pool = pool.threadCount > 1 ? pool : nil
  }

  /// Embeds texts.
  /// - Parameters:
  ///   - texts: UTF-8, not necessarily valid; an empty text gives the vector of [CLS] [SEP].
  ///   - normalize: scale vectors to length 1.
  ///   - vectors: receives `texts.count` × `dimension` numbers.
  /// - Throws: `.nonFinite` naming a broken weight, `.cancelled` when `progress` says so.
  public func encode(
    utf8 texts: [UnsafeRawBufferPointer], normalize: Bool = true,
    into vectors: UnsafeMutablePointer<Float>, progress: Progress? = nil
  ) throws(StackLensError) {
    if !texts.isEmpty { pool?.alert() }
    var done = 0
    while done < texts.count {
      let slab = done..<min(texts.count, done + Self.slabTextCount)
      let tokens = try tokenizer.packedIDs(
        utf8: Array(texts[slab]), maxLength: maxLength, on: Parallel(pool))
      let row = vectors + done * dimension
      try tokens.ids.withUnsafeBufferPointerTyped { (ids) throws(StackLensError) in
        try encode(ids: ids, starts: tokens.starts, normalize: normalize, into: row)
      }
      done = slab.upperBound
      if let progress, !progress(done, texts.count) {
        throw .cancelled("embedding was cancelled after \(done) of \(texts.count) texts")
      }
    }
  }

  /// Embeds token ids as `encode(ids:starts:normalize:into:)` does, with progress.
  public func encode(
    ids: [Int32], starts: [Int], normalize: Bool = true,
    into vectors: UnsafeMutablePointer<Float>, progress: Progress?
  ) throws(StackLensError) {
    let total = starts.count - 1
    var done = 0
    while done < total {
      let slab = done..<min(total, done + Self.slabTextCount)
      try ids.withUnsafeBufferPointerTyped { (ids) throws(StackLensError) in
        try encode(
          ids: ids, starts: Array(starts[slab.lowerBound...slab.upperBound]),
          normalize: normalize, into: vectors + done * dimension)
      }
      done = slab.upperBound
      if let progress, !progress(done, total) {
        throw .cancelled("embedding was cancelled after \(done) of \(total) texts")
      }
    }
  }

  /// Embeds token ids, special tokens included.
  /// - Parameters:
  ///   - ids: all texts' ids in a row.
  ///   - starts: text i has the ids `starts[i]..<starts[i + 1]`.
  /// - Throws: `.invalidArgument` for an id outside the vocabulary or a text that is empty or too
  ///   long.
  public func encode(
    ids: UnsafeBufferPointer<Int32>, starts: [Int], normalize: Bool = true,
    into vectors: UnsafeMutablePointer<Float>
  ) throws(StackLensError) {
    for text in 0..<max(starts.count - 1, 0) {
      let count = starts[text + 1] - starts[text]
      guard count > 0, count <= encoder.positionCount else {
        throw .invalidArgument(
          "text \(text) has \(count) tokens, the encoder takes 1 to \(encoder.positionCount)")
      }
    }
    let job = EncoderJob(ids: ids, starts: starts, vectors: vectors)
    let batches = encoder.batches(job, threadCount: pool?.threadCount ?? 1)
    if batches.count == 1 {
      try run(batches[0], job, normalize: normalize, onCallingThread: false)
      return
    }
    let failure = Mutex<StackLensError?>(nil)
    let body: (Int) -> Void = { index in
      if failure.withLock({ $0 != nil }) { return }
      do throws(StackLensError) {
        try self.run(batches[index], job, normalize: normalize, onCallingThread: true)
      } catch {
        failure.withLock { if $0 == nil { $0 = error } }
      }
    }
    if let pool {
      pool.run(batches.count, body)
    } else {
      for index in batches.indices { body(index) }
    }
    if let error = failure.withLock({ $0 }) { throw error }
  }

  private func run(
    _ batch: [Int], _ job: EncoderJob, normalize: Bool, onCallingThread: Bool
  ) throws(StackLensError) {
    try encoder.run(batch, job, onCallingThread: onCallingThread)
    for text in batch {
      let row = job.vectors + text * dimension
      guard slk_sum_squares(row, dimension).isFinite else {
        throw encoder.whyNotFinite() ?? .nonFinite("the vector of text \(text) is not finite")
      }
      if normalize { slk_normalise_rows(row, dimension, 1, dimension, 1e-12) }
    }
  }

  /// Writes the encoder as an ONNX file: input_ids, attention_mask and token_type_ids to
  /// last_hidden_state and sentence_embedding (pooled, not normalised).
  /// - Parameter opset: nil means 17.
  public func saveONNX(to path: String, opset: Int? = nil) throws(StackLensError) {
    try ONNX.save(try encoder.model(), to: path, opset: opset)
  }

  /// Gives the memory of idle runs back to the system.
  public func trim() { encoder.trim() }
}

extension Array {
  /// `withUnsafeBufferPointer` with a typed error.
  func withUnsafeBufferPointerTyped<Result>(
    _ body: (UnsafeBufferPointer<Element>) throws(StackLensError) -> Result
  ) throws(StackLensError) -> Result {
    let result = withUnsafeBufferPointer { buffer in
      Swift.Result { () throws(StackLensError) in try body(buffer) }
    }
    return try result.get()
  }
}
