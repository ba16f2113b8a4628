import Base
import CKernels
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Execution

/// Graphs that are differentiated after what gradients have kernels for was joined.
struct TrainingFusionTests {
  /// A transformer block with a loss, its weights as initialisers.
  private static func block(_ numbers: inout SeededNumbers, drops: Bool = false) throws -> (
    graph: Graph, weights: [String]
  ) {
    let g = GraphBuilder("block")
    var weights: [String] = []
    func weight(_ name: String, _ dims: [Int]) throws -> Edge {
      weights.append(name)
      return g.constant(name, try numbers.tensor(.float32, dims, low: -0.4, high: 0.4))
    }
    func linear(_ x: Edge, _ name: String, _ from: Int, _ to: Int) throws -> Edge {
      let turned = g.add(
        "Transpose", [try weight(name + ".w", [to, from])], ["perm": .ints([1, 0])])
      return g.matMul(x, turned) + (try weight(name + ".b", [to]))
    }
    func normalized(_ x: Edge, _ name: String) throws -> Edge {
      g.add(
        "LayerNormalization", [x, try weight(name + ".w", [12]), try weight(name + ".b", [12])])
    }
    let embedded = g.add(
      "Gather", [try weight("table", [9, 12]), g.input("x", .int64, [.fixed(2), .fixed(5)])])
    let heads = g.constant("heads", try Tensor([Int64(2), 5, 3, 4]))
    let flat = g.constant("flat", try Tensor([Int64(2), 5, 12]))
    func parts(_ name: String, _ order: [Int64]) throws -> Edge {
      let split = g.add("Reshape", [try linear(embedded, name, 12, 12), heads])
      return g.add("Transpose", [split], ["perm": .ints(order)])
    }
    let scores = g.matMul(try parts("q", [0, 2, 1, 3]), try parts("k", [0, 2, 3, 1]))
    let scaled = scores / (try g.scalar("root", 2)) + g.floats("mask", 2, 1, 1, 5)
    var shares = g.add("Softmax", [scaled])
    if drops {
      shares = g.add(
        "SeededDropout", [shares, try g.scalar("ratio", 0.3), g.input("seed", .int64, [])],
        ["salt": .int(9)], domain: "ai.stacklens")
    }
    let mixed = g.matMul(shares, try parts("v", [0, 2, 1, 3]))
    let joined = g.add(
      "Reshape", [g.add("Transpose", [mixed], ["perm": .ints([0, 2, 1, 3])]), flat])
    let x = try normalized(try linear(joined, "o", 12, 12) + embedded, "n1")
    let inner = try linear(x, "f1", 12, 20)
    let bell = g.add("Erf", [inner / (try g.scalar("root2", 1.4142135))]) + (try g.scalar("1", 1))
    let gelu = inner * bell * (try g.scalar("half", 0.5))
    let y = try normalized(try linear(gelu, "f2", 20, 12) + x, "n2")
    g.output(g.add("ReduceMean", [y * y * g.floats("t", 2, 5, 12)], ["keepdims": .int(0)]), "loss")
    return (g.graph, weights)
  }

  /// Forward and backward pass with the weights as inputs.
  static func training(
    _ graph: Graph, _ weights: [String], isFused: Bool
  ) throws -> Graph {
    let forward =
      isFused ? try graph.fusedForTraining(keeping: []) { weights.contains($0) } : graph
    let types = GraphTypes(of: forward).values
    let back = GraphBuilder("back", prefix: "back")
    let gradients = try Differentiation(forward.nodes, into: back, types: { types[$0] })
      .gradients(of: "loss", with: weights)
    var result = forward
    result.nodes += back.graph.nodes
    result.initializers += back.graph.initializers
    for initializer in result.initializers where weights.contains(initializer.name) {
      result.inputs.append(
        ValueInfo(
          initializer.name, .tensor(.float32, initializer.tensor.shape.dims.map { .fixed($0) })))
    }
    result.initializers.removeAll { weights.contains($0.name) }
    result.outputs += try gradients.map { ValueInfo(try #require($0).name, .unknown) }
    return result
  }

  /// What a step of the block reads: tokens, mask, target and the weights as they begin.
  private static func inputs(
    _ graph: Graph, _ weights: [String], _ numbers: inout SeededNumbers, tokens: [Int64],
    mask: [Float]
  ) throws -> [String: Tensor] {
    var inputs: [String: Tensor] = [
      "x": try Tensor(tokens, shape: Shape([2, 5])),
      "mask": try Tensor(mask, shape: Shape([2, 1, 1, 5])),
      "t": try numbers.tensor(.float32, [2, 5, 12]),
    ]
    for constant in graph.initializers where weights.contains(constant.name) {
      inputs[constant.name] = constant.tensor
    }
    return inputs
  }

  @Test(arguments: [false, true])
  func joinedPartsHaveTheSameGradients(drops: Bool) throws {
    var numbers = SeededNumbers(21)
    let (graph, weights) = try Self.block(&numbers, drops: drops)
    var inputs = try Self.inputs(
      graph, weights, &numbers, tokens: [1, 2, 8, 0, 2, 2, 7, 5, 5, 1],
      mask: [0, 0, 0, 0, -1e9, 0, 0, 0, 0, 0])
    if drops { inputs["seed"] = try Tensor(scalar: Int64(17)) }
    let plain = try Self.training(graph, weights, isFused: false)
    let fused = try Self.training(graph, weights, isFused: true)
    let expected = try session(plain, level: 0).run(tensors: inputs)
    let operators = try expectSameAtAllLevels(fused, inputs, tolerance: 2e-5)
    let text = difference(
      try session(fused).run(tensors: inputs), expected, tolerance: 2e-5)
    #expect(text == nil)
    for name in ["Attention", "AttentionGradient", "GatherGradient", "ActivationGradient"] {
      #expect(operators.contains(name), "\(name) in \(operators)")
    }
    for name in ["Erf", "Softmax", "MatMul", "SeededDropout"] {
      #expect(!operators.contains(name), "\(name)")
    }
  }

  @Test func bitsDoNotDependOnThreads() throws {
    var numbers = SeededNumbers(22)
    let (graph, weights) = try Self.block(&numbers)
    let fused = try Self.training(graph, weights, isFused: true)
    let inputs = try Self.inputs(
      graph, weights, &numbers, tokens: [3, 1, 4, 1, 5, 8, 2, 6, 5, 3],
      mask: [Float](repeating: 0, count: 10))
    for rounds in [false, true] {
      let results = try (1...3).map { threads in
        try session(fused, threads: threads) { $0.roundsProducts = rounds }.run(tensors: inputs)
          .map { try $0.tensor().elements(as: Float.self) }
      }
      #expect(results[1] == results[0] && results[2] == results[0])
    }
  }

  /// What a step gives with rounded factors is near what it gives without, and not the same.
  @Test func roundingStaysNear() throws {
    var numbers = SeededNumbers(24)
    let (graph, weights) = try Self.block(&numbers)
    let fused = try Self.training(graph, weights, isFused: true)
    let inputs = try Self.inputs(
      graph, weights, &numbers, tokens: [3, 1, 4, 1, 5, 8, 2, 6, 5, 3],
      mask: [Float](repeating: 0, count: 10))
    let results = try [false, true].map { rounds in
      try session(fused, threads: 2) { $0.roundsProducts = rounds }.run(tensors: inputs)
        .map { try $0.tensor().elements(as: Float.self) }
    }
    let (exact, rounded) = (results[0].flatMap { $0 }, results[1].flatMap { $0 })
    let distance = zip(exact, rounded).map { ($0 - $1) * ($0 - $1) }.reduce(0, +)
    #expect(distance <= 4e-4 * exact.map { $0 * $0 }.reduce(0, +))
    #expect((distance > 0) == slk_cpu_has_bf16())
  }

  /// Products long enough for blocks of terms, threads and rounding.
  @Test(arguments: [(m: 70, n: 100, k: 2000), (m: 33, n: 96, k: 1700), (m: 300, n: 20, k: 900)])
  func longProductsAgree(size: (m: Int, n: Int, k: Int)) throws {
    let g = GraphBuilder("product")
    let (m, n, k) = size
    let (a, b) = (g.floats("a", m, k), g.floats("b", k, n))
    let (at, bt) = (g.floats("at", k, m), g.floats("bt", n, k))
    func product(_ a: Edge, _ b: Edge, _ transA: Int64, _ transB: Int64) -> Edge {
      g.add(
        "FusedMatMul", [a, b], ["transA": .int(transA), "transB": .int(transB)],
        domain: "com.microsoft")
    }
    for (index, edge) in [
      product(a, b, 0, 0), product(at, b, 1, 0), product(a, bt, 0, 1), product(at, bt, 1, 1),
    ].enumerated() { g.output(edge, "y\(index)") }
    var numbers = SeededNumbers(23)
    let inputs = [
      "a": try numbers.floats(m, k), "b": try numbers.floats(k, n),
      "at": try numbers.floats(k, m), "bt": try numbers.floats(n, k),
    ]
    try expectSameAtAllLevels(g.graph, inputs, tolerance: 1e-4)
    let exact = try session(g.graph).run(tensors: inputs)
    let rounded = try session(g.graph, threads: 2) { $0.roundsProducts = true }
      .run(tensors: inputs)
    for (left, right) in zip(exact, rounded) {
      let (x, y) = (
        try left.tensor().elements(as: Float.self), try right.tensor().elements(as: Float.self)
      )
      let scale = Float(k).squareRoot()
      #expect(zip(x, y).allSatisfy { abs($0 - $1) <= 0.02 * scale })
    }
  }
}
