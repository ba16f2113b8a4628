import Base
import Tensors
import TestSupport

@testable import Insight

/// A BERT folder with random weights, written by the test that reads it.
struct TinyEncoder {
  var vocabulary =
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "disk", "full", "error", "on", "host", "the"]
    + "abcdefghijklmnopqrstuvwxyz0123456789".flatMap { ["\($0)", "##\($0)"] }
  var width = 16
  var layerCount = 2
  var headCount = 2
  var feedForwardWidth = 40
  var positionCount = 24
  var pooling = "mean"
  var prefix = ""
  /// Files of the folder beside config.json, vocab.txt and model.safetensors.
  var files: [String: String] = [:]
  /// Changes to config.json.
  var settings: [String: String] = [:]
  /// What to do with the weights before they are written, by name.
  var change: (inout [String: Tensor]) throws -> Void = { _ in }

  func weights() throws -> [String: Tensor] {
    var numbers = SeededNumbers(11)
    var weights: [String: Tensor] = [:]
    func add(_ name: String, _ dims: [Int], low: Double = -0.4, high: Double = 0.4) throws {
      weights[prefix + name] = try numbers.tensor(.float32, dims, low: low, high: high)
    }
    func linear(_ name: String, _ outputs: Int, _ inputs: Int) throws {
      try add(name + ".weight", [outputs, inputs])
      try add(name + ".bias", [outputs])
    }
    func norm(_ name: String) throws {
      try add(name + ".weight", [width], low: 0.5, high: 1.5)
      try add(name + ".bias", [width])
    }
    try add("embeddings.word_embeddings.weight", [vocabulary.count, width])
    try add("embeddings.position_embeddings.weight", [positionCount, width])
    try add("embeddings.token_type_embeddings.weight", [2, width])
    try norm("embeddings.LayerNorm")
    for layer in 0..<layerCount {
      let name = "encoder.layer.\(layer)"
      for part in ["query", "key", "value"] {
        try linear("\(name).attention.self.\(part)", width, width)
      }
      try linear(name + ".attention.output.dense", width, width)
      try norm(name + ".attention.output.LayerNorm")
      try linear(name + ".intermediate.dense", feedForwardWidth, width)
      try linear(name + ".output.dense", width, feedForwardWidth)
      try norm(name + ".output.LayerNorm")
    }
    try change(&weights)
    return weights
  }

  func write(to folder: ScratchFolder) throws {
    var config = [
      "model_type": "\"bert\"", "hidden_act": "\"gelu\"", "vocab_size": "\(vocabulary.count)",
      "hidden_size": "\(width)", "num_hidden_layers": "\(layerCount)",
      "num_attention_heads": "\(headCount)", "intermediate_size": "\(feedForwardWidth)",
      "max_position_embeddings": "\(positionCount)", "type_vocab_size": "2",
      "layer_norm_eps": "1e-12",
    ]
    config.merge(settings) { $1 }
    let members = config.keys.sorted().map { "\"\($0)\": \(config[$0] ?? "null")" }
    try folder.write("{" + members.joined(separator: ", ") + "}", to: "config.json")
    try folder.write(vocabulary.joined(separator: "\n") + "\n", to: "vocab.txt")
    folder.makeFolder("1_Pooling")
    let modes = ["mean_tokens", "cls_token", "max_tokens"].map {
      "\"pooling_mode_\($0)\": \($0.hasPrefix(pooling))"
    }
    try folder.write(
      "{" + modes.joined(separator: ", ") + "}", to: "1_Pooling/config.json")
    for (name, text) in files { try folder.write(text, to: name) }
    try folder.write(Self.safetensors(weights()), to: "model.safetensors")
  }

  /// The bytes of a safetensors file.
  static func safetensors(_ weights: [String: Tensor]) -> [UInt8] {
    var entries: [String] = []
    var data: [UInt8] = []
    for name in weights.keys.sorted() {
      guard let tensor = weights[name] else { continue }
      let type = tensor.elementType == .float32 ? "F32" : tensor.elementType == .int8 ? "I8" : "F64"
      entries.append(
        "\"\(name)\": {\"dtype\": \"\(type)\", \"shape\": \(tensor.shape.dims), "
          + "\"data_offsets\": [\(data.count), \(data.count + tensor.byteCount)]}")
      data += tensor.bytes
    }
    var header = Array(("{" + entries.joined(separator: ", ") + "}").utf8)
    while header.count % 8 != 0 { header.append(0x20) }
    let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
    return length + header + data
  }
}

extension Embedder {
  convenience init(
    _ tiny: TinyEncoder, in folder: ScratchFolder, threads: Int = 1,
    _ change: (inout EmbedderOptions) -> Void = { _ in }
  ) throws {
    try tiny.write(to: folder)
    var options = EmbedderOptions()
    options.threadCount = threads
    change(&options)
    try self.init(folder: folder.path, options: options)
  }

  /// One vector for each text.
  func vectors(_ texts: [String], normalize: Bool = true) throws -> [[Float]] {
    let bytes = texts.map { Array($0.utf8) }
    var flat = [Float](repeating: .nan, count: texts.count * dimension)
    try withBuffers(bytes) { buffers in
      try flat.withUnsafeMutableBufferPointer { target in
        guard let start = target.baseAddress else { return }
        try encode(utf8: buffers, normalize: normalize, into: start)
      }
    }
    return texts.indices.map { Array(flat[$0 * dimension..<($0 + 1) * dimension]) }
  }

  func neighbors(
    _ text: String, _ corpus: [String], topK: Int = 5, threshold: Float = 0.7
  ) throws -> [Neighbor] {
    var found: [Neighbor] = []
    try withBuffers([Array(text.utf8)] + corpus.map { Array($0.utf8) }) { buffers in
      found = try findSimilar(
        to: buffers[0], in: Array(buffers.dropFirst()), topK: topK, threshold: threshold)
    }
    return found
  }
}

/// Calls `body` with the memory of all arrays, which stays where it is meanwhile.
func withBuffers(_ arrays: [[UInt8]], _ body: ([UnsafeRawBufferPointer]) throws -> Void) throws {
  var buffers: [UnsafeRawBufferPointer] = []
  for array in arrays {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: array.count, alignment: 1)
    copy.copyBytes(from: array)
    buffers.append(UnsafeRawBufferPointer(copy))
  }
  defer { for buffer in buffers { buffer.deallocate() } }
  try body(buffers)
}
