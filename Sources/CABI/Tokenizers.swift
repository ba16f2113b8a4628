import Base
import CStackLens
import Text

/// Texts lent by C for the time of a call.
func texts(
  _ pointer: UnsafePointer<sl_text>?, _ count: Int, _ name: String
) throws(StackLensError) -> [UnsafeRawBufferPointer] {
  var result: [UnsafeRawBufferPointer] = []
  result.reserveCapacity(max(count, 0))
  for (index, item) in try array(pointer, count, name).enumerated() {
    result.append(try bytes(item, "\(name)[\(index)]"))
  }
  return result
}

/// The bytes of one text.
func bytes(_ text: sl_text, _ name: String) throws(StackLensError) -> UnsafeRawBufferPointer {
  UnsafeRawBufferPointer(try array(text.bytes, text.byte_count, name))
}

/// The tokens of a batch in the form that C borrows: six arrays of int64 in one block a text.
final class EncodingBox: @unchecked Sendable {  // immutable after init
  let tokens: [sl_tokens]
  private let blocks: [UnsafeMutablePointer<Int64>]

  init(_ encodings: [Encoding]) {
    var blocks: [UnsafeMutablePointer<Int64>] = []
    tokens = encodings.map { encoding in
      let count = encoding.count
      let block = UnsafeMutablePointer<Int64>.allocate(capacity: max(8 * count, 1))
      blocks.append(block)
      for (part, values) in [
        encoding.ids, encoding.typeIDs, encoding.attentionMask, encoding.specialTokensMask,
      ].enumerated() {
        for (index, value) in values.enumerated() { block[part * count + index] = Int64(value) }
      }
      for (part, spans) in [encoding.offsets, encoding.byteOffsets].enumerated() {
        let target = block + (4 + 2 * part) * count
        for (index, span) in spans.enumerated() {
          target[2 * index] = Int64(span.start)
          target[2 * index + 1] = Int64(span.end)
        }
      }
      return sl_tokens(
        count: count, ids: block, type_ids: block + count, attention_mask: block + 2 * count,
        special_tokens_mask: block + 3 * count, offsets: block + 4 * count,
        byte_offsets: block + 6 * count, is_truncated: encoding.isTruncated ? 1 : 0)
    }
    self.blocks = blocks
  }

  deinit { for block in blocks { block.deallocate() } }
}

private func tokenizer(_ handle: OpaquePointer?) throws(StackLensError) -> Tokenizer {
  try Handles.object(handle, as: Tokenizer.self, "tokenizer")
}

@_cdecl("sl_tokenizer_load") @implementation
public func sl_tokenizer_load(
  _ path: UnsafePointer<CChar>?, _ outTokenizer: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let path = try text(path, "path")
    let out = try required(outTokenizer, "out_tokenizer")
    out.pointee = Handles.create(try Tokenizer.load(path: path))
  }
}

@_cdecl("sl_tokenizer_release") @implementation
public func sl_tokenizer_release(_ tokenizer: OpaquePointer?) { Handles.release(tokenizer) }

@_cdecl("sl_tokenizer_vocabulary_size") @implementation
public func sl_tokenizer_vocabulary_size(
  _ handle: OpaquePointer?, _ outSize: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let tokenizer = try tokenizer(handle)
    try required(outSize, "out_size").pointee = tokenizer.vocabularySize
  }
}

@_cdecl("sl_tokenizer_encode") @implementation
public func sl_tokenizer_encode(
  _ handle: OpaquePointer?, _ first: UnsafePointer<sl_text>?, _ pairs: UnsafePointer<sl_text>?,
  _ count: Int, _ given: UnsafePointer<sl_tokenizer_options>?,
  _ outEncoding: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let tokenizer = try tokenizer(handle)
    let firsts = try texts(first, count, "texts")
    let seconds = pairs == nil ? [] : try texts(pairs, count, "pairs")
    let given = try options(
      given,
      defaults: sl_tokenizer_options(
        struct_size: 0, max_length: 0, special_tokens: 1, pad: 0, thread_count: 0), "options")
    let out = try required(outEncoding, "out_encoding")
    guard given.thread_count >= 0 else {
      throw .invalidArgument("options.thread_count is \(given.thread_count), expected 0 or more")
    }
    var settings = EncodingOptions()
    settings.addsSpecialTokens = given.special_tokens != 0
    switch given.max_length {
    case 0: settings.length = .configured
    case -1: settings.length = .unlimited
    case 1...: settings.length = .truncated(Truncation(maxLength: Int(given.max_length)))
    default:
      throw .invalidArgument("options.max_length is \(given.max_length), expected -1 or more")
    }
    settings.fill = given.pad == 0 ? .none : .padded(padding(of: tokenizer))
    let encodings = try tokenizer.encodeBatch(
      utf8: firsts, pairs: seconds, options: settings,
      on: Parallel(ThreadPool.withThreads(Int(given.thread_count))))
    out.pointee = Handles.create(EncodingBox(encodings))
  }
}

/// The file's padding, to the longest of the batch.
private func padding(of tokenizer: Tokenizer) -> Padding {
  var padding = tokenizer.configuredPadding ?? Padding(id: tokenizer.id(ofToken: "[PAD]") ?? 0)
  padding.length = nil
  return padding
}

/// An id as the tokenizer knows them.
private func tokenID(_ id: Int64) throws(StackLensError) -> Int32 {
  guard let id = Int32(exactly: id) else {
    throw .invalidArgument("id \(id) is outside the vocabulary")
  }
  return id
}

@_cdecl("sl_tokenizer_token") @implementation
public func sl_tokenizer_token(
  _ handle: OpaquePointer?, _ id: Int64, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ outLength: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    guard let token = try tokenizer(handle).token(ofID: tokenID(id)) else {
      throw .invalidArgument("id \(id) is outside the vocabulary")
    }
    try copy(token, to: buffer, capacity, outLength)
  }
}

@_cdecl("sl_tokenizer_id") @implementation
public func sl_tokenizer_id(
  _ handle: OpaquePointer?, _ token: UnsafePointer<CChar>?, _ outID: UnsafeMutablePointer<Int64>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let token = try text(token, "token")
    let tokenizer = try tokenizer(handle)
    let out = try required(outID, "out_id")
    guard let id = tokenizer.id(ofToken: token) else {
      throw .invalidArgument("'\(token)' is no token of the vocabulary")
    }
    out.pointee = Int64(id)
  }
}

@_cdecl("sl_tokenizer_decode") @implementation
public func sl_tokenizer_decode(
  _ handle: OpaquePointer?, _ ids: UnsafePointer<Int64>?, _ count: Int,
  _ outText: UnsafeMutablePointer<OpaquePointer?>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let tokenizer = try tokenizer(handle)
    let out = try required(outText, "out_text")
    var values: [Int32] = []
    for id in try array(ids, count, "ids") { values.append(try tokenID(id)) }
    out.pointee = Handles.create(try ByteBuffer(tokenizer.decode(values).utf8))
  }
}

@_cdecl("sl_encoding_count") @implementation
public func sl_encoding_count(
  _ handle: OpaquePointer?, _ outCount: UnsafeMutablePointer<Int>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try Handles.object(handle, as: EncodingBox.self, "encoding")
    try required(outCount, "out_count").pointee = box.tokens.count
  }
}

@_cdecl("sl_encoding_tokens") @implementation
public func sl_encoding_tokens(
  _ handle: OpaquePointer?, _ index: Int, _ outTokens: UnsafeMutablePointer<sl_tokens>?
) -> sl_status {
  boundary { () throws(StackLensError) in
    let box = try Handles.object(handle, as: EncodingBox.self, "encoding")
    let out = try required(outTokens, "out_tokens")
    guard box.tokens.indices.contains(index) else {
      throw .invalidArgument("index \(index) is outside the \(box.tokens.count) texts")
    }
    out.pointee = box.tokens[index]
  }
}

@_cdecl("sl_encoding_release") @implementation
public func sl_encoding_release(_ encoding: OpaquePointer?) { Handles.release(encoding) }
