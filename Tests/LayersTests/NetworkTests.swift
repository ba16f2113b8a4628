import Base
import Execution
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Layers

struct NetworkTests {
  private func mlp(seed: UInt64 = 42, extra: Bool = false) throws -> Model {
    let network = Network("mlp", seed: seed)
    var x = network.input("x", .float32, [.named("batch"), .fixed(4)])
    x = try network.activation("relu", network.linear("fc1", x, to: 8))
    if extra { x = try network.linear("extra", x, to: 8) }
    network.output(try network.linear("fc2", x, to: 3), "logits")
    return try network.model()
  }

  private func parameter(_ model: Model, _ name: String) -> Tensor? {
    model.graph.initializers.first { $0.name == name }?.tensor
  }

  @Test func namesParametersAsPyTorchDoes() throws {
    let network = Network("encoder")
    let x = network.input("x", .float32, [.named("batch"), .named("time"), .fixed(8)])
    var settings = TransformerSettings(heads: 2)
    settings.feedForward = 16
    let y = try network.transformerEncoder("encoder", x, layers: 2, finalNorm: true, settings)
    network.output(y, "y")
    let names = try network.model().graph.initializers.filter {
      $0.tensor.elementType == .float32 && !$0.isConstant
    }.map(\.name)
    let each = [
      "self_attn.in_proj_weight", "self_attn.in_proj_bias", "self_attn.out_proj.weight",
      "self_attn.out_proj.bias", "norm1.weight", "norm1.bias", "linear1.weight", "linear1.bias",
      "linear2.weight", "linear2.bias", "norm2.weight", "norm2.bias",
    ]
    let expected =
      (0...1).flatMap { layer in each.map { "encoder.layers.\(layer).\($0)" } }
      + ["encoder.norm.weight", "encoder.norm.bias"]
    #expect(Set(names) == Set(expected) && names.count == expected.count)
  }

  @Test func outputsHaveOpenExtents() throws {
    let model = try mlp()
    #expect(
      model.graph.outputs.map(\.type) == [.tensor(.float32, [.named("batch"), .fixed(3)])])
    let x = try Tensor([Float](repeating: 1, count: 20), shape: Shape([5, 4]))
    let found = try Session(model).run(["x": .tensor(x)])
    #expect(try found[0].tensor().shape.dims == [5, 3])
    let none = try Session(model).run(["x": .tensor(Tensor(zeros: .float32, Shape([0, 4])))])
    #expect(try none[0].tensor().shape.dims == [0, 3])
  }

  @Test func aLayerMoreChangesNoOtherNumbers() throws {
    let (plain, more, other) = (try mlp(), try mlp(extra: true), try mlp(seed: 7))
    let name = "fc2.weight"
    let first = try #require(parameter(plain, name))
    #expect(try #require(parameter(more, name)).isIdentical(to: first))
    #expect(!(try #require(parameter(other, name)).isIdentical(to: first)))
  }

  @Test func sameNameIsSameParameter() throws {
    let network = Network("shared")
    let x = network.input("x", .float32, [.named("batch"), .fixed(4)])
    let once = try network.linear("fc", x, to: 4)
    network.output(try network.linear("fc", once, to: 4), "y")
    let model = try network.model()
    #expect(model.graph.initializers.map(\.name).sorted() == ["fc.bias", "fc.weight"])
    let error = failure { _ = try network.linear("fc", once, to: 5) }
    #expect(error?.status == .shapeMismatch)
    #expect(error?.message.contains("fc.weight") ?? false)
  }

  @Test func constantsAreNoParameters() throws {
    let network = Network("sines")
    let x = network.input("x", .float32, [.named("batch"), .named("time"), .fixed(6)])
    network.output(try network.sinusoidalPositions("pos", x, length: 16), "y")
    let model = try network.model()
    #expect(
      model.graph.initializers.allSatisfy { $0.isConstant || $0.tensor.elementType != .float32 })
  }

  @Test func leavesOutWhatNoOutputNeeds() throws {
    let network = Network("lstm")
    let x = network.input("x", .float32, [.named("batch"), .named("time"), .fixed(6)])
    var settings = RecurrentSettings(.lstm, hiddenSize: 4)
    settings.layerCount = 2
    let found = try network.recurrent("lstm", x, settings)
    _ = try network.linear("unused", found.y, to: 3)
    network.output(found.h, "h")
    let names = try network.model().graph.initializers.map(\.name)
    #expect(!names.contains("unused.weight") && names.contains("lstm.W_l1"))
  }

  @Test func goesOnWithAModel() throws {
    var base = try mlp()
    base.metadata = [KeyValue("origin", "test")]
    let network = Network(continuing: base)
    let logits = try network.value("logits")
    let head = try network.scope("head") { () throws(StackLensError) in
      try network.linear("fc1", network.activation("tanh", logits), to: 2)
    }
    network.output(head, "y")
    let model = try network.model()
    #expect(model.graph.outputs.map(\.name) == ["y"])
    #expect(model.metadata == base.metadata)
    #expect(parameter(model, "head.fc1.weight")?.shape.dims == [2, 3])
    #expect(parameter(model, "fc1.weight")?.shape.dims == [8, 4])
    #expect(failure { _ = try network.value("nothing") }?.status == .invalidArgument)
  }

  @Test func refusesWidthsThatDoNotFit() throws {
    let network = Network("wrong")
    let x = network.input("x", .float32, [.named("batch"), .fixed(4)])
    let open = network.input("open", .float32, nil)
    #expect(failure { _ = try network.linear("a", x, from: 5, to: 2) }?.status == .shapeMismatch)
    #expect(failure { _ = try network.linear("b", open, to: 2) }?.status == .invalidArgument)
    _ = try network.linear("c", open, from: 3, to: 2)
    #expect(failure { _ = try network.model() }?.status == .invalidArgument)
    let windows = try Windows([3])
    #expect(
      failure { _ = try network.convolution("d", x, to: 2, windows) }?.status == .shapeMismatch)
  }

  @Test func refusesSizesThatCannotBe() throws {
    let network = Network("wrong")
    let x = network.input("x", .float32, [.named("batch"), .fixed(4), .fixed(8)])
    func refuses(_ body: () throws -> Void) { #expect(failure(body)?.status == .invalidArgument) }
    refuses { _ = try Windows([]) }
    refuses { _ = try Windows([1, 1, 1, 1]) }
    refuses { _ = try Windows([3], stride: [1, 1]) }
    refuses { _ = try network.convolution("a", x, to: 4, Windows([3]), groups: 0) }
    refuses { _ = try network.transposedConvolution("b", x, to: 4, Windows([3]), groups: -1) }
    refuses { _ = try network.adaptivePool("c", x, .max, to: []) }
    refuses { _ = try network.groupNorm("d", x, groups: 0) }
    refuses {
      _ = try network.multiHeadAttention("e", x, keyMask: nil, AttentionSettings(heads: 0))
    }
    refuses { _ = try network.recurrent("f", x, RecurrentSettings(.lstm, hiddenSize: 0)) }
    refuses {
      _ = try network.transformerEncoder("g", x, layers: -1, TransformerSettings(heads: 2))
    }
  }

  @Test func recurrentWeightsStartAsTold() throws {
    let network = Network("lstm")
    let x = network.input("x", .float32, [.named("batch"), .named("time"), .fixed(6)])
    var settings = RecurrentSettings(.lstm, hiddenSize: 4)
    settings.initialization = .orthogonal
    settings.isBidirectional = true
    network.output(try network.recurrent("lstm", x, settings).y, "y")
    let model = try network.model()
    let biases = try #require(parameter(model, "lstm.B_l0")).elements(as: Float.self)
    let one = [Float](repeating: 1, count: 4)
    let zero = [Float](repeating: 0, count: 4)
    let each = zero + zero + one + zero + zero + zero + zero + zero
    #expect(biases == each + each)
    let r = try #require(parameter(model, "lstm.R_l0")).elements(as: Float.self)
    for block in 0..<8 {
      let rows = (0..<4).map { r[(block * 4 + $0) * 4..<(block * 4 + $0 + 1) * 4].map { $0 } }
      for (i, a) in rows.enumerated() {
        for (j, b) in rows.enumerated() {
          let dot = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
          #expect(abs(dot - (i == j ? 1 : 0)) < 1e-5)
        }
      }
    }
  }
}
