import Base
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Operators

struct AttentionTests {
  private func tensor(_ values: [Float], _ dims: Int...) throws -> Tensor {
    try Tensor(values, shape: Shape(dims))
  }

  private func floats(_ value: Value) throws -> [Float] {
    try value.tensor().elements(as: Float.self)
  }

  /// One head of width 1 whose scores are all equal: a query gets the mean of what it sees.
  private func means(
    _ values: [Float], queries: Int, _ attributes: [String: Attribute] = [:],
    _ more: [Tensor?] = [], kernel: String? = nil
  ) throws -> [Float] {
    let query = try tensor([Float](repeating: 0, count: queries), 1, 1, queries, 1)
    let key = try tensor([Float](repeating: 1, count: values.count), 1, 1, values.count, 1)
    let value = try tensor(values, 1, 1, values.count, 1)
    let definition = try #require(OperatorTable.find("Attention", domain: ""))
    let inputs: [Tensor?] = [query, key, value] + more
    let node = Node(
      "Attention", inputs: inputs.indices.map { inputs[$0] == nil ? "" : "x\($0)" },
      outputs: ["y"], attributes: attributes)
    let results = try definition.evaluate(
      node, inputs: inputs.map { $0.map { .tensor($0) } }, kernel: kernel)
    return try floats(results[0])
  }

  @Test(arguments: ["heads", "reference"])
  func queriesSeeWhatTheRulesAllow(_ kernel: String) throws {
    let values: [Float] = [1, 3, 5, 7, 9]
    #expect(try means(values, queries: 2, kernel: kernel) == [5, 5])
    #expect(
      try means(values, queries: 5, ["is_causal": .int(1)], kernel: kernel) == [1, 2, 3, 4, 5])
    #expect(
      try means(
        values, queries: 5, ["left_window_size": .int(1), "right_window_size": .int(0)],
        kernel: kernel) == [1, 2, 4, 6, 8])
    let valid = try Tensor([Int64(4)])
    #expect(
      try means(
        values, queries: 2, ["is_causal": .int(1)], [nil, nil, nil, valid], kernel: kernel)
        == [3, 4])
    let flags = try Tensor([true, false, false, true], shape: Shape([1, 4]))
    #expect(try means(values, queries: 1, [:], [flags], kernel: kernel) == [4])
    let nothing = try Tensor([false, false], shape: Shape([1, 2]))
    #expect(try means(values, queries: 1, [:], [nothing], kernel: kernel) == [0])
  }

  @Test func cachesComeBeforeTheNewKeys() throws {
    let one = try tensor([1], 1, 1, 1, 1)
    let outputs = try evaluate(
      "Attention",
      [
        tensor([0], 1, 1, 1, 1), one, tensor([6], 1, 1, 1, 1), nil, tensor([1, 1], 1, 1, 2, 1),
        tensor([0, 3], 1, 1, 2, 1),
      ],
      ["is_causal": .int(1)], outputs: 3)
    #expect(try outputs.map(floats) == [[3], [1, 1, 1], [0, 3, 6]])
  }

  @Test func headsShareKeysInGroups() throws {
    let query = try tensor([0, 0, 0, 0], 1, 4, 1, 1)
    let key = try tensor([1, 1], 1, 2, 1, 1)
    let outputs = try evaluate("Attention", [query, key, tensor([5, 7], 1, 2, 1, 1)])
    #expect(try floats(outputs[0]) == [5, 5, 7, 7])
  }

  @Test func attentionNamesWhatDoesNotFit() throws {
    let x = try tensor([0, 0, 0, 0], 1, 2, 2)
    let many = try tensor([0, 0, 0, 0, 0, 0], 1, 3, 2)
    func message(_ attributes: [String: Attribute], _ inputs: [Tensor?]) -> String {
      do {
        _ = try evaluate("Attention", inputs, attributes)
        return ""
      } catch { return (error as? StackLensError)?.message ?? "" }
    }
    #expect(message([:], [x, x, x]).contains("q_num_heads"))
    let heads: [String: Attribute] = ["q_num_heads": .int(3), "kv_num_heads": .int(2)]
    #expect(message(heads, [x, x, x]).contains("cannot share"))
    let two: [String: Attribute] = ["q_num_heads": .int(2), "kv_num_heads": .int(2)]
    #expect(message(two, [x, x, many]).contains("do not fit together"))
    #expect(message(two, [x, x, x, many]).contains("attn_mask"))
    let largest: [String: Attribute] = [
      "q_num_heads": .int(.max), "kv_num_heads": .int(.max), "left_window_size": .int(.max),
    ]
    #expect(message(largest, [x, x, x]).contains("does not hold"))
    let counts = try Tensor([Int64(9)])
    #expect(message(two, [x, x, x, nil, nil, nil, counts]).contains("holds 9"))
  }

  @Test func rotaryEmbeddingTurnsPairs() throws {
    let x = try tensor([1, 2, 3, 4], 1, 1, 1, 4)
    let (cosines, sines) = (try tensor([9, 9, 0, 1], 2, 2), try tensor([9, 9, 1, 0], 2, 2))
    let place = try Tensor([Int64(1)], shape: Shape([1, 1]))
    let halves = try evaluate("RotaryEmbedding", [x, cosines, sines, place])
    #expect(try floats(halves[0]) == [-3, 2, 1, 4])
    let pairs = try evaluate(
      "RotaryEmbedding", [x, cosines, sines, place], ["interleaved": .int(1)])
    #expect(try floats(pairs[0]) == [-2, 1, 3, 4])
    let beyond = try Tensor([Int64(2)], shape: Shape([1, 1]))
    #expect(throws: StackLensError.self) {
      try evaluate("RotaryEmbedding", [x, cosines, sines, beyond])
    }
  }

  @Test func cachesAreWrittenWhereTheyAreTold() throws {
    let cache = try tensor([0, 0, 0, 0, 0, 0], 2, 3, 1)
    let rows = try tensor([1, 2, 3, 4], 2, 2, 1)
    let places = try Tensor([Int64(1), 0])
    #expect(
      try floats(evaluate("TensorScatter", [cache, rows, places])[0]) == [0, 1, 2, 3, 4, 0])
    let late = try Tensor([Int64(2), 5])
    #expect(throws: StackLensError.self) { try evaluate("TensorScatter", [cache, rows, late]) }
    let around = try evaluate(
      "TensorScatter", [cache, rows, late], ["mode": .string("circular")])
    #expect(try floats(around[0]) == [2, 0, 1, 4, 0, 3])
  }

  @Test func linearAttentionKeepsAState() throws {
    let one = try tensor([1, 1], 1, 2, 1)
    let outputs = try evaluate(
      "LinearAttention", [one, one, tensor([2, 3], 1, 2, 1), tensor([10], 1, 1, 1, 1)],
      ["q_num_heads": .int(1), "kv_num_heads": .int(1), "update_rule": .string("linear")],
      outputs: 2)
    #expect(try outputs.map(floats) == [[12, 15], [15]])
    let corrected = try evaluate(
      "LinearAttention",
      [
        one, one, tensor([2, 3], 1, 2, 1), tensor([10], 1, 1, 1, 1), nil,
        tensor([1, 0.5], 1, 2, 1),
      ],
      ["q_num_heads": .int(1), "kv_num_heads": .int(1), "update_rule": .string("delta")],
      outputs: 2)
    #expect(try corrected.map(floats) == [[2, 2.5], [2.5]])
  }

  @Test func causalConvolutionSeesThePast() throws {
    let outputs = try evaluate(
      "CausalConvWithState",
      [tensor([1, 2, 3], 1, 1, 3), tensor([10, 1], 1, 1, 2), nil, tensor([5], 1, 1, 1)],
      outputs: 2)
    #expect(try outputs.map(floats) == [[51, 12, 23], [3]])
  }
}
