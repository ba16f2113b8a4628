import Base
import Tensors
import TestSupport
import Testing

@testable import Insight

/// What is wrong with a folder is named.
struct BrokenFolderTests {
  private func refusal(_ tiny: TinyEncoder) throws -> StackLensError? {
    let folder = try ScratchFolder()
    return failure { _ = try Embedder(tiny, in: folder) }
  }

  private let bias = "encoder.layer.1.attention.self.key.bias"

  @Test(arguments: [Float.nan, .infinity, -.infinity]) func namesTheWeightThatIsNotFinite(
    value: Float
  ) throws {
    let tiny = TinyEncoder(change: { weights in
      var values = try #require(weights[bias]).elements(as: Float.self)
      values[3] = value
      weights[bias] = try Tensor(values)
    })
    let folder = try ScratchFolder()
    let error = failure {
      _ = try Embedder(tiny, in: folder).vectors(["disk full"])
    }
    #expect(error?.status == .nonFinite)
    #expect(error?.message.contains(bias) == true && error?.message.contains("element 3") == true)
  }

  @Test func namesTensorsThatDoNotFit() throws {
    let missing = try refusal(TinyEncoder(change: { $0[bias] = nil }))
    #expect(
      missing?.status == .formatError && missing?.message.contains("'\(bias)' is missing") == true)
    let misshaped = try refusal(
      TinyEncoder(change: { $0[bias] = try Tensor(zeros: .float32, Shape([17])) }))
    #expect(misshaped?.status == .formatError)
    #expect(misshaped?.message.contains("'\(bias)' is float32[17], expected float32[16]") == true)
    let typed = try refusal(
      TinyEncoder(change: { $0[bias] = try Tensor(zeros: .float64, Shape([16])) }))
    #expect(typed?.message.contains("float64[16]") == true)
    let extra = try refusal(
      TinyEncoder(change: { $0["encoder.layer.2.x"] = try Tensor([Float(1)]) }))
    #expect(extra?.message.contains("'encoder.layer.2.x'") == true)
    let folder = try ScratchFolder()
    try TinyEncoder().write(to: folder)
    let cut = Array(TinyEncoder.safetensors(try TinyEncoder().weights()).dropLast(5))
    try folder.write(cut, to: "model.safetensors")
    let error = failure { _ = try Embedder(folder: folder.path) }
    #expect(error?.status == .formatError && error?.message.contains("model.safetensors") == true)
  }

  @Test func acceptsPrefixAndPooler() throws {
    let plain = try Embedder(TinyEncoder(), in: ScratchFolder()).vectors(["disk"])
    let wrapped = TinyEncoder(
      prefix: "bert.",
      change: { weights in
        weights["bert.pooler.dense.weight"] = try Tensor(zeros: .float32, Shape([16, 16]))
        weights["bert.pooler.dense.bias"] = try Tensor(zeros: .float32, Shape([16]))
      })
    #expect(try Embedder(wrapped, in: ScratchFolder()).vectors(["disk"]) == plain)
  }

  @Test(arguments: [
    ("model_type", "\"gpt2\"", "gpt2"), ("hidden_act", "\"relu\"", "relu"),
    ("hidden_size", "-1", "hidden_size"), ("hidden_size", "1e30", "hidden_size"),
    ("num_attention_heads", "3", "num_attention_heads 3"),
    ("num_hidden_layers", "\"2\"", "num_hidden_layers"),
    ("position_embedding_type", "\"relative_key\"", "relative_key"),
    ("num_hidden_layers", "3", "encoder.layer.2"), ("vocab_size", "5", "word_embeddings"),
  ]) func namesTheSettingThatDoesNotFit(key: String, value: String, named: String) throws {
    let error = try refusal(TinyEncoder(settings: [key: value]))
    #expect(error?.status == .formatError || error?.status == .unsupported)
    #expect(error?.message.contains(named) == true, "\(error?.message ?? "none")")
  }

  @Test func namesModulesThatAreNotKnown() throws {
    let module = "[{\"type\": \"sentence_transformers.models.Dense\", \"path\": \"2_Dense\"}]"
    let error = try refusal(TinyEncoder(files: ["modules.json": module]))
    #expect(error?.status == .unsupported && error?.message.contains("Dense") == true)
  }

  @Test func namesFilesThatAreNotThere() throws {
    let folder = try ScratchFolder()
    #expect(failure { _ = try Embedder(folder: folder.path) }?.status == .ioError)
    #expect(failure { _ = try Embedder(folder: folder.path + "/none") }?.status == .ioError)
    try TinyEncoder().write(to: folder)
    try folder.write("{", to: "config.json")
    let error = failure { _ = try Embedder(folder: folder.path) }
    #expect(error?.status == .formatError && error?.message.contains("config.json") == true)
  }
}
