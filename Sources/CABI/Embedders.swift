import Base
import CStackLens
import Insight
import Operators

private func embedder(_ handle: OpaquePointer?) throws(StackLensError) -> Embedder {
  try Handles.object(handle, as: Embedder.self, "embedder")
}

@_cdecl("sl_embedder_load") @implementation
public func sl_embedder_load(
  _ folder: UnsafePointer<CChar>?, _ given: UnsafePointer<sl_embedder_options>?,
  _ outEmbedder: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let folder = folder == nil ? try DefaultEncoder.folder() : try text(folder, "folder")
    let given = try options(
      given,
      defaults: sl_embedder_options(
        struct_size: 0, precision: SL_PRECISION_FP32, thread_count: 0, max_length: 0, log: nil,
        log_user_data: nil), "options")
    let out = try required(outEmbedder, "out_embedder")
    guard given.thread_count >= 0, given.max_length >= 0 else {
      throw .invalidArgument(
        "options: thread_count \(given.thread_count) and max_length \(given.max_length) must be 0 "
          + "or more")
    }
    var options = EmbedderOptions()
    switch given.precision {
    case SL_PRECISION_FP32: options.precision = .fp32
    case SL_PRECISION_BF16: options.precision = .bf16
    case SL_PRECISION_INT8: options.precision = .int8
    default: throw .invalidArgument("options.precision \(given.precision.rawValue) is unknown")
    }
    options.threadCount = Int(given.thread_count)
    if given.max_length > 0 { options.maxLength = Int(given.max_length) }
    options.log = logger(given.log, given.log_user_data)
    out.pointee = Handles.create(try Embedder(folder: folder, options: options))
  }
}

@_cdecl("sl_default_encoder") @implementation
public func sl_default_encoder(
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ outLength: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    try copy(try DefaultEncoder.folder(), to: buffer, capacity, outLength)
  }
}

@_cdecl("sl_embedder_release") @implementation
public func sl_embedder_release(_ embedder: OpaquePointer?) { Handles.release(embedder) }

@_cdecl("sl_embedder_dimension") @implementation
public func sl_embedder_dimension(
  _ handle: OpaquePointer?, _ outDimension: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let embedder = try embedder(handle)
    try required(outDimension, "out_dimension").pointee = embedder.dimension
  }
}

@_cdecl("sl_embedder_precision") @implementation
public func sl_embedder_precision(
  _ handle: OpaquePointer?, _ outPrecision: UnsafeMutablePointer<sl_precision>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let embedder = try embedder(handle)
    let out = try required(outPrecision, "out_precision")
    switch embedder.precision {
    case .fp32: out.pointee = SL_PRECISION_FP32
    case .bf16: out.pointee = SL_PRECISION_BF16
    case .int8: out.pointee = SL_PRECISION_INT8
    }
  }
}

private func encodeOptions(
  _ given: UnsafePointer<sl_encode_options>?
) throws(StackLensError) -> sl_encode_options {
  try options(
    given,
    defaults: sl_encode_options(struct_size: 0, normalize: 1, progress: nil, user_data: nil),
    "options")
}

@_cdecl("sl_embedder_encode") @implementation
public func sl_embedder_encode(
  _ handle: OpaquePointer?, _ items: UnsafePointer<sl_text>?, _ count: Int,
  _ given: UnsafePointer<sl_encode_options>?, _ outVectors: UnsafeMutablePointer<Float>?,
  _ capacity: Int
) -> sl_status {
  boundary { () throws(StackLensError) in
    let embedder = try embedder(handle)
    let texts = try texts(items, count, "texts")
    let given = try encodeOptions(given)
    let out = try vectors(outVectors, count: count, capacity: capacity, embedder)
    guard let start = out.baseAddress else { return }
    try embedder.encode(
      utf8: texts, normalize: given.normalize != 0, into: start,
      progress: given.progress.map { report in { report($0, $1, given.user_data) == 0 } })
  }
}

/// Room for the vectors of `count` texts.
private func vectors(
  _ pointer: UnsafeMutablePointer<Float>?, count: Int, capacity: Int, _ embedder: Embedder
) throws(StackLensError) -> UnsafeMutableBufferPointer<Float> {
  let (needed, overflow) = count.multipliedReportingOverflow(by: embedder.dimension)
  guard !overflow else { throw .invalidArgument("count \(count) is too large") }
  return try output(pointer, needed: needed, capacity: capacity, "out_vectors")
}

@_cdecl("sl_embedder_encode_ids") @implementation
public func sl_embedder_encode_ids(
  _ handle: OpaquePointer?, _ ids: UnsafePointer<Int64>?, _ lengths: UnsafePointer<Int>?,
  _ count: Int, _ given: UnsafePointer<sl_encode_options>?,
  _ outVectors: UnsafeMutablePointer<Float>?, _ capacity: Int
) -> sl_status {
  boundary { () throws(StackLensError) in
    let embedder = try embedder(handle)
    let given = try encodeOptions(given)
    var starts = [0]
    for (index, length) in try array(lengths, count, "lengths").enumerated() {
      let (end, overflow) = starts[index].addingReportingOverflow(length)
      guard length > 0, !overflow else {
        throw .invalidArgument("lengths[\(index)] is \(length), expected at least 1")
      }
      starts.append(end)
    }
    var narrow: [Int32] = []
    narrow.reserveCapacity(starts[count])
    for (index, id) in try array(ids, starts[count], "ids").enumerated() {
      guard let id = Int32(exactly: id), id >= 0 else {
        throw .invalidArgument("ids[\(index)] is \(id), outside the vocabulary")
      }
      narrow.append(id)
    }
    let out = try vectors(outVectors, count: count, capacity: capacity, embedder)
    guard let start = out.baseAddress else { return }
    try embedder.encode(
      ids: narrow, starts: starts, normalize: given.normalize != 0, into: start,
      progress: given.progress.map { report in { report($0, $1, given.user_data) == 0 } })
  }
}

@_cdecl("sl_embedder_similarity") @implementation
public func sl_embedder_similarity(
  _ handle: OpaquePointer?, _ left: sl_text, _ right: sl_text,
  _ outSimilarity: UnsafeMutablePointer<Float>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let embedder = try embedder(handle)
    let out = try required(outSimilarity, "out_similarity")
    out.pointee = try embedder.similarity(bytes(left, "left"), bytes(right, "right"))
  }
}

/// Writes what a search found.
private func write(
  _ found: [Neighbor], _ outIndices: UnsafeMutablePointer<Int>?,
  _ outScores: UnsafeMutablePointer<Float>?, _ outCount: UnsafeMutablePointer<Int>?
) throws(StackLensError) {
  let count = try required(outCount, "out_count")
  if !found.isEmpty {
    let (indices, scores) = (
      try required(outIndices, "out_indices"), try required(outScores, "out_scores")
    )
    for (place, neighbor) in found.enumerated() {
      indices[place] = neighbor.index
      scores[place] = neighbor.score
    }
  }
  count.pointee = found.count
}

@_cdecl("sl_embedder_find_similar") @implementation
public func sl_embedder_find_similar(
  _ handle: OpaquePointer?, _ text: sl_text, _ corpus: UnsafePointer<sl_text>?,
  _ corpusCount: Int, _ topK: Int, _ threshold: Float, _ outIndices: UnsafeMutablePointer<Int>?,
  _ outScores: UnsafeMutablePointer<Float>?, _ outCount: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let embedder = try embedder(handle)
    let corpus = try texts(corpus, corpusCount, "corpus")
    let found = try embedder.findSimilar(
      to: bytes(text, "text"), in: corpus, topK: topK, threshold: threshold)
    try write(found, outIndices, outScores, outCount)
  }
}

@_cdecl("sl_embedder_save_onnx") @implementation
public func sl_embedder_save_onnx(
  _ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ number: Int32
) -> sl_status {
  boundary { () throws(StackLensError) in
    try embedder(handle).saveONNX(to: text(path, "path"), opset: opset(number))
  }
}

@_cdecl("sl_embedder_trim") @implementation
public func sl_embedder_trim(_ handle: OpaquePointer?) -> sl_status {
  boundary { () throws(StackLensError) in try embedder(handle).trim() }
}

@_cdecl("sl_similarity") @implementation
public func sl_similarity(
  _ left: UnsafePointer<Float>?, _ right: UnsafePointer<Float>?, _ dimension: Int,
  _ outSimilarity: UnsafeMutablePointer<Float>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let out = try required(outSimilarity, "out_similarity")
    let (left, right) = (
      try array(left, dimension, "left"), try array(right, dimension, "right")
    )
    guard let first = left.baseAddress, let second = right.baseAddress else {
      throw .invalidArgument("dimension is 0")
    }
    out.pointee = Similarity.cosine(first, second, dimension: dimension)
  }
}

@_cdecl("sl_nearest") @implementation
public func sl_nearest(
  _ query: UnsafePointer<Float>?, _ vectors: UnsafePointer<Float>?, _ count: Int,
  _ dimension: Int, _ topK: Int, _ threshold: Float, _ outIndices: UnsafeMutablePointer<Int>?,
  _ outScores: UnsafeMutablePointer<Float>?, _ outCount: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let (total, overflow) = count.multipliedReportingOverflow(by: dimension)
    guard count >= 0, dimension > 0, !overflow else {
      throw .invalidArgument("count \(count) and dimension \(dimension) are no sizes")
    }
    let rows = try array(vectors, total, "vectors")
    guard let query = try array(query, dimension, "query").baseAddress else { return }
    var found: [Neighbor] = []
    if let start = rows.baseAddress {
      found = try Similarity.nearest(
        to: query, in: start, count: count, dimension: dimension, topK: topK,
        threshold: threshold, parallel: Parallel(ThreadPool.withThreads(0)))
    }
    try write(found, outIndices, outScores, outCount)
  }
}
