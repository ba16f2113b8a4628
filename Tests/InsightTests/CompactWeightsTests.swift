import Base
import Tensors
import TestSupport
import Testing

@testable import Insight

/// Weights of a byte each, with a factor for each row.
struct CompactWeightsTests {
  private static let name = "encoder.layer.0.intermediate.dense.weight"

  /// Bytes, a factor for each of their rows, and what they stand for.
  private func matrix(_ rows: Int, _ columns: Int) throws -> (Tensor, Tensor, Tensor) {
    let bytes = (0..<rows * columns).map { Int8(truncatingIfNeeded: $0 * 37 - 128) }
    let factors = (0..<rows).map { Float($0 + 1) / 4096 }
    let product = bytes.indices.map { Float(bytes[$0]) * factors[$0 / columns] }
    let shape = try Shape([rows, columns])
    return (
      try Tensor(bytes, shape: shape), try Tensor(factors, shape: Shape([rows, 1])),
      try Tensor(product, shape: shape)
    )
  }

  @Test func areMultipliedOut() throws {
    let (bytes, factors, product) = try matrix(40, 16)
    let (compact, plain) = (try ScratchFolder(), try ScratchFolder())
    let small = TinyEncoder(change: {
      $0[Self.name] = bytes
      $0[Self.name + "_scale"] = factors
    })
    let whole = TinyEncoder(change: { $0[Self.name] = product })
    let expected = try Embedder(whole, in: plain).vectors(EmbedderTests.texts)
    #expect(try Embedder(small, in: compact).vectors(EmbedderTests.texts) == expected)

    let files = try EncoderFiles(path: compact.path)
    let tensors = try BertWeights.tensors(files, try EncoderConfiguration(folder: compact.path))
    let found = try #require(tensors[BertWeights.prefix + Self.name])
    #expect(try found.elements(as: Float.self) == product.elements(as: Float.self))
    #expect(tensors[BertWeights.prefix + Self.name + "_scale"] == nil)
  }

  @Test func areRefusedWithoutFactors() throws {
    let (bytes, factors, _) = try matrix(40, 16)
    func refusal(_ change: @escaping (inout [String: Tensor]) throws -> Void) throws -> String {
      let folder = try ScratchFolder()
      let error = failure { _ = try Embedder(TinyEncoder(change: change), in: folder) }
      #expect(error?.status == .formatError)
      return error?.message ?? ""
    }
    let missing = try refusal { $0[Self.name] = bytes }
    #expect(missing.contains("'\(Self.name)' is int8[40, 16]") && missing.contains("found none"))
    let flat = try refusal {
      $0[Self.name] = bytes
      $0[Self.name + "_scale"] = try Tensor(zeros: .float32, Shape([40]))
    }
    #expect(flat.contains("found float32[40]"))
    let vector = try refusal {
      $0["embeddings.LayerNorm.bias"] = try Tensor([Int8](repeating: 1, count: 16))
    }
    #expect(vector.contains("is int8[16], expected a matrix"))
    let misshaped = try refusal {
      $0[Self.name] = try Tensor(zeros: .int8, Shape([40, 17]))
      $0[Self.name + "_scale"] = factors
    }
    #expect(misshaped.contains("'\(Self.name)' is float32[40, 17], expected float32[40, 16]"))
  }
}
