import Base
import Exchange
import Execution
import Operators
import Tensors
import TestSupport
import Testing

import struct Synchronization.Atomic

@testable import Insight

struct EmbedderTests {
  static let texts = [
    "disk full", "error on host 7", "", "the", "a longer line with many words that is cut",
    "disk disk disk", "\u{e9}\u{4e2d}\u{1f600}", "full error on the host the disk",
  ]

  /// The packed form that runs and the padded form that files get give the same numbers.
  @Test(arguments: ["mean", "cls", "max"], [17, 13, 20]) func filesHoldTheSameEncoder(
    pooling: String, opset: Int
  ) throws {
    let folder = try ScratchFolder()
    let embedder = try Embedder(TinyEncoder(pooling: pooling), in: folder)
    let expected = try embedder.vectors(Self.texts, normalize: false)
    let path = folder.path + "/encoder.onnx"
    try embedder.saveONNX(to: path, opset: opset)
    for level in [0, 2] {
      var options = SessionOptions()
      options.optimizationLevel = level
      let session = try Session(try ONNX.load(path: path), options: options)
      let output = try session.run(
        inputs(embedder, Self.texts).mapValues { .tensor($0) }, outputs: ["sentence_embedding"])
      let rows = try output[0].tensor().elements(as: Float.self)
      for (index, row) in expected.enumerated() {
        for (column, value) in row.enumerated() {
          #expect(abs(rows[index * row.count + column] - value) < 1e-5)
        }
      }
    }
  }

  /// Padded ids and mask.
  private func inputs(_ embedder: Embedder, _ texts: [String]) throws -> [String: Tensor] {
    var rows: [[Int64]] = []
    try withBuffers(texts.map { Array($0.utf8) }) { buffers in
      let packed = try embedder.tokenizer.packedIDs(utf8: buffers, maxLength: embedder.maxLength)
      rows = texts.indices.map { text in
        packed.ids[packed.starts[text]..<packed.starts[text + 1]].map { Int64($0) }
      }
    }
    let length = rows.map(\.count).max() ?? 0
    let shape = try Shape([rows.count, length])
    func padded(_ value: (Int64) -> Int64) throws -> Tensor {
      try Tensor(
        rows.flatMap { $0.map(value) + [Int64](repeating: 0, count: length - $0.count) },
        shape: shape)
    }
    return [
      "input_ids": try padded { $0 }, "attention_mask": try padded { _ in 1 },
      "token_type_ids": try padded { _ in 0 },
    ]
  }

  @Test(arguments: [Precision.fp32, .bf16, .int8]) func vectorsDoNotDependOnTheCompany(
    precision: Precision
  ) throws {
    let folder = try ScratchFolder()
    let one = try Embedder(TinyEncoder(), in: folder) { $0.precision = precision }
    let two = try Embedder(TinyEncoder(), in: folder, threads: 2) { $0.precision = precision }
    var numbers = SeededNumbers(4)
    let many = (0..<300).map { _ in
      (0..<Int.random(in: 0...9, using: &numbers)).map { _ in
        ["disk", "full", "host", "q7", "zz"].randomElement(using: &numbers) ?? ""
      }.joined(separator: " ")
    }
    let alone = try many.map { try one.vectors([$0])[0] }
    #expect(try one.vectors(many) == alone)
    #expect(try two.vectors(many) == alone)
    #expect(try two.vectors(many.reversed()).reversed() == alone)
    #expect(try Array(two.vectors(Array(many[10..<40]))) == Array(alone[10..<40]))
    let wrong = Atomic<Int>(0)
    onThreads(4) { _ in
      guard let found = try? two.vectors(many), found == alone else {
        wrong.add(1, ordering: .relaxed)
        return
      }
    }
    #expect(wrong.load(ordering: .relaxed) == 0)
  }

  @Test func normalizesOnRequest() throws {
    let embedder = try Embedder(TinyEncoder(), in: ScratchFolder())
    let (raw, unit) = (
      try embedder.vectors(["disk full"], normalize: false)[0],
      try embedder.vectors(["disk full"])[0]
    )
    let length = raw.reduce(0) { $0 + $1 * $1 }.squareRoot()
    for (a, b) in zip(raw, unit) { #expect(abs(a / length - b) < 1e-6) }
    #expect(try embedder.vectors([]) == [])
  }

  @Test func readsAnEmptyTextAsItsSpecialTokens() throws {
    let embedder = try Embedder(TinyEncoder(), in: ScratchFolder())
    let empty = try embedder.vectors([""])[0]
    #expect(empty.allSatisfy { $0.isFinite })
    #expect(try embedder.vectors(["  \t\n"])[0] == empty)
    var direct = [Float](repeating: 0, count: embedder.dimension)
    try direct.withUnsafeMutableBufferPointer { buffer in
      try embedder.encode(
        ids: [2, 3], starts: [0, 2], into: #require(buffer.baseAddress), progress: nil)
    }
    #expect(direct == empty)
  }

  @Test func cutsLongTextsAndSaysWhenToStop() throws {
    let embedder = try Embedder(TinyEncoder(), in: ScratchFolder())
    let long = String(repeating: "disk ", count: 10_000)
    let cut = String(repeating: "disk ", count: embedder.maxLength)
    #expect(try embedder.vectors([long]) == embedder.vectors([cut]))
    #expect(embedder.maxLength == 24)
    let short = try Embedder(TinyEncoder(), in: ScratchFolder()) { $0.maxLength = 4 }
    #expect(try short.vectors(["disk full"]) == short.vectors(["disk full error"]))
    for length in [0, 2, 25, -1] {
      let error = failure {
        _ = try Embedder(TinyEncoder(), in: ScratchFolder()) { $0.maxLength = length }
      }
      #expect(error?.status == .invalidArgument)
    }
  }

  @Test func refusesWrongIDs() throws {
    let embedder = try Embedder(TinyEncoder(), in: ScratchFolder())
    var vectors = [Float](repeating: 7, count: embedder.dimension)
    func encode(_ ids: [Int32], _ starts: [Int]) -> StackLensError? {
      failure {
        try vectors.withUnsafeMutableBufferPointer { buffer in
          try embedder.encode(
            ids: ids, starts: starts, into: #require(buffer.baseAddress), progress: nil)
        }
      }
    }
    #expect(encode([2, 5000, 3], [0, 3])?.message.contains("5000") == true)
    #expect(encode([2, -1, 3], [0, 3])?.status == .invalidArgument)
    #expect(encode([], [0, 0])?.status == .invalidArgument)
    #expect(
      encode([Int32](repeating: 5, count: 25), [0, 25])?.message.contains("25 tokens") == true)
    #expect(encode([2, 3], [0, 2]) == nil)
  }

  @Test func progressCanEndTheWork() throws {
    let embedder = try Embedder(TinyEncoder(), in: ScratchFolder())
    let count = 5000
    let ids = [Int32](repeating: 5, count: count)
    var vectors = [Float](repeating: 0, count: count * embedder.dimension)
    var seen: [Int] = []
    let error = try vectors.withUnsafeMutableBufferPointer { buffer -> StackLensError? in
      let start = try #require(buffer.baseAddress)
      return failure {
        try embedder.encode(ids: ids, starts: Array(0...count), into: start) { done, total in
          seen.append(done)
          return total == count && done < 3000
        }
      }
    }
    #expect(error?.status == .cancelled)
    #expect(seen == [2048, 4096])
  }
}
