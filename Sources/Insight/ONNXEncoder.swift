import Base
import CKernels
import Exchange
import Execution
import Graphs
import Tensors

/// Any encoder that came as ONNX: input_ids [batch, sequence] with an optional mask and type ids, to
/// token states [batch, sequence, width], which are averaged, or to vectors [batch, width].
struct ONNXEncoder: TextEncoder {
  let dimension: Int
  let positionCount: Int
  let maxLength: Int
  private let source: Model
  private let session: Session
  private let output: String
  private let isPooled: Bool

  /// Reads model.onnx (or onnx/model.onnx) and, where they are, config.json and
  /// sentence_bert_config.json of a folder.
  init(folder: String, threadCount: Int) throws(StackLensError) {
    let paths = ["model.onnx", "onnx/model.onnx", "encoder.onnx"].map { folder + "/" + $0 }
    guard let path = paths.first(where: { PathKind(of: $0) == .file }) else {
      throw .ioError("'\(folder)' holds neither model.safetensors nor model.onnx")
    }
    source = try ONNX.load(path: path)
    var options = SessionOptions()
    options.threadCount = threadCount
    session = try Session(source, options: options)
    let known = ["input_ids", "attention_mask", "token_type_ids"]
    for input in session.inputs where !known.contains(input.name) {
      throw .unsupported(
        "'\(path)' has the input '\(input.name)'; an encoder takes \(known.joined(separator: ", "))"
      )
    }
    guard session.inputs.contains(where: { $0.name == "input_ids" }) else {
      throw .unsupported("'\(path)' has no input 'input_ids'")
    }
    let preferred = ["sentence_embedding", "last_hidden_state", "token_embeddings"]
    let names = session.outputs.map(\.name)
    guard let output = preferred.first(where: names.contains) ?? names.first else {
      throw .unsupported("'\(path)' has no output")
    }
    self.output = output
    var positions = 512
    if let config = try EncoderConfiguration.readIfPresent("config.json", in: folder),
      let count = config["max_position_embeddings"]?.integerValue, count > 0
    {
      positions = Int(clamping: count)
    }
    positionCount = positions
    var length = positions
    if let settings = try EncoderConfiguration.readIfPresent(
      "sentence_bert_config.json", in: folder),
      let limit = settings["max_seq_length"]?.integerValue, limit > 0
    {
      length = min(length, Int(clamping: limit))
    }
    maxLength = length
    let probe = try Self.run(session, [[0, 0]], output, onCallingThread: false)
    guard probe.elementType == .float32, probe.rank == 2 || probe.rank == 3, probe.shape[0] == 1
    else {
      throw .unsupported(
        "'\(path)' gives '\(output)' as \(probe.elementType.name)\(probe.shape), expected float32 "
          + "[batch, width] or [batch, sequence, width]")
    }
    isPooled = probe.rank == 2
    dimension = probe.shape[probe.rank - 1]
  }

  /// Texts of equal length together: no padding, so nothing is computed for it.
  func batches(_ job: EncoderJob, threadCount: Int) -> [[Int]] {
    var groups: [Int: [Int]] = [:]
    for text in 0..<job.textCount { groups[job.tokenCount(text), default: []].append(text) }
    var batches: [[Int]] = []
    for length in groups.keys.sorted(by: >) {
      let size = max(1, 256 / length)
      let texts = groups[length] ?? []
      for first in stride(from: 0, to: texts.count, by: size) {
        batches.append(Array(texts[first..<min(first + size, texts.count)]))
      }
    }
    return batches
  }

  func run(_ batch: [Int], _ job: EncoderJob, onCallingThread: Bool) throws(StackLensError) {
    let result = try Self.run(
      session, batch.map { job.tokens($0).map(Int64.init) }, output,
      onCallingThread: onCallingThread)
    let rows = result.base.assumingMemoryBound(to: Float.self)
    let length = batch.first.map(job.tokenCount) ?? 0
    guard result.count == batch.count * dimension * (isPooled ? 1 : length) else {
      throw .shapeMismatch("the encoder gave \(result.shape) for \(batch.count) texts of \(length)")
    }
    for (index, text) in batch.enumerated() {
      let target = job.vectors + text * dimension
      if isPooled {
        target.update(from: rows + index * dimension, count: dimension)
      } else {
        slk_mean_rows(rows + index * length * dimension, dimension, length, dimension, target)
      }
    }
  }

  /// Runs ids of equal length without padding.
  private static func run(
    _ session: Session, _ ids: [[Int64]], _ output: String, onCallingThread: Bool
  ) throws(StackLensError) -> Tensor {
    let shape = try Shape([ids.count, ids.first?.count ?? 0])
    var values: [String: Value] = [:]
    for input in session.inputs {
      let elements: [Int64]
      switch input.name {
      case "input_ids": elements = ids.flatMap { $0 }
      case "attention_mask": elements = Array(repeating: 1, count: shape.count)
      default: elements = Array(repeating: 0, count: shape.count)
      }
      guard case .tensor(.int32, _) = input.type else {
        values[input.name] = .tensor(try Tensor(elements, shape: shape))
        continue
      }
      values[input.name] = .tensor(
        try Tensor(elements.map { Int32(truncatingIfNeeded: $0) }, shape: shape))
    }
    return try session.run(values, outputs: [output], onCallingThread: onCallingThread)[0].tensor()
  }

  func model() throws(StackLensError) -> Model { source }

  func whyNotFinite() -> StackLensError? { nil }

  func trim() { session.trim() }
}
