import Base
import Graphs
import Tensors
import Testing

@testable import Operators

/// Contributed operators that ONNX Runtime has no kernel for on processors, or whose edges matter, on
/// numbers that one can check by hand.
struct ContributedTests {
  private func evaluate(
    _ name: String, domain: String = "com.microsoft", _ inputs: [Tensor?],
    _ attributes: [String: Attribute] = [:], outputs: Int = 1
  ) throws -> [Tensor] {
    let definition = try #require(OperatorTable.find(name, domain: domain))
    let node = Node(
      name, inputs: inputs.indices.map { inputs[$0] == nil ? "" : "x\($0)" },
      outputs: (0..<outputs).map { "y\($0)" }, attributes: attributes, domain: domain)
    try definition.verify(node)
    return try definition.evaluate(node, inputs: inputs.map { $0.map { .tensor($0) } }).map {
      try $0.tensor()
    }
  }

  private func floats(_ values: [Float], _ dims: Int...) throws -> Tensor {
    try Tensor(values, shape: Shape(dims))
  }

  @Test func softmaxTakesABias() throws {
    let low = -Float.infinity
    let x = try floats([1, 2, 3, 3, 5, 5, 5, 5], 2, 2, 2)
    let mask = try floats([0, low, 0, 0], 2, 1, 2)
    let rows = try evaluate("BiasSoftmax", [x, mask], ["axis": .int(2)])[0]
    #expect(try rows.elements(as: Float.self) == [1, 0, 1, 0, 0.5, 0.5, 0.5, 0.5])
    let flat = try evaluate("BiasSoftmax", [x, try floats([0], 1)], ["axis": .int(1)])[0]
    #expect(flat.shape.dims == [2, 2, 2])
    #expect(try flat.elements(as: Float.self).suffix(4) == [0.25, 0.25, 0.25, 0.25])
  }

  @Test func dropoutKeepsAllWhenNotTraining() throws {
    let made = try evaluate(
      "BiasDropout",
      [try floats([1, 2, 3, 4], 2, 2), try floats([10, 20], 2), try floats([5, 6, 7, 8], 2, 2)],
      outputs: 2)
    #expect(try made[0].elements(as: Float.self) == [16, 28, 20, 32])
    #expect(try made[1].elements(as: Bool.self) == [true, true, true, true])
  }

  @Test(arguments: [("ComplexMul", [-5, 10]), ("ComplexMulConj", [11, 2] as [Float])])
  func multipliesComplexNumbers(name: String, expected: [Float]) throws {
    let product = try evaluate(name, [try floats([1, 2], 1, 2), try floats([3, 4], 2)])[0]
    #expect(try product.elements(as: Float.self) == expected)
  }

  @Test func multipliesBytesLessTheirZeroPoints() throws {
    let a = try Tensor([UInt8(0), 255, 128], shape: Shape([3]))
    let b = try Tensor([UInt8(255), 255, 0], shape: Shape([3]))
    let product = try evaluate(
      "MulInteger", [a, try Tensor(scalar: UInt8(128)), b, try Tensor(scalar: UInt8(1))])[0]
    #expect(try product.elements(as: Int32.self) == [-128 * 254, 127 * 254, 0])
  }

  @Test func multipliesByASparseMatrix() throws {
    let a = try floats([0, 2, 0, 0, 0, 3], 2, 3)
    let b = try floats([1, 2, 3, 4, 5, 6], 3, 2)
    let product = try evaluate("SparseToDenseMatMul", [a, b], ["alpha": .float(2)])[0]
    #expect(try product.elements(as: Float.self) == [12, 16, 30, 36])
  }

  @Test func poolsUpToTheMask() throws {
    let x = try floats([1, 9, 3, 4, 5, 6], 1, 1, 6)
    let mask = try Tensor([Int32(1), 0, 1, 1, 0, 1], shape: Shape([1, 1, 6]))
    let largest = try evaluate("MaxpoolWithMask", [x, mask], ["kernel_shape": .ints([3])])[0]
    let none = -Float.greatestFiniteMagnitude
    #expect(try largest.elements(as: Float.self) == [1, none, 4, 4])
    let wrong = try Tensor([Int32](repeating: 1, count: 12), shape: Shape([2, 1, 6]))
    #expect(throws: StackLensError.self) {
      try evaluate("MaxpoolWithMask", [x, wrong], ["kernel_shape": .ints([3])])
    }
  }

  /// One filter that sums two characters' numbers: a word of one character has one window, with
  /// what follows it; a word that begins with 0 is none.
  @Test func embedsWords() throws {
    let words = try Tensor([Int32(1), 2, 3, 2, 0, 0, 0, 3, 3], shape: Shape([3, 3]))
    let table = try floats([0, 0.1, 0.2, 0.3], 4, 1)
    let made = try evaluate(
      "WordConvEmbedding", [words, try floats([1, 1], 1, 1, 2, 1), try floats([0], 1), table])[0]
    #expect(made.shape.dims == [3, 1])
    let values = try made.elements(as: Float.self)
    #expect(abs(values[0] - 0.46211716) < 1e-6)  // tanh 0.5
    #expect(abs(values[1] - 0.19737532) < 1e-6)  // tanh 0.2
    #expect(values[2] == 0)
  }

  @Test func enlargesImagesInBlocks() throws {
    let x = try floats([1, 2], 1, 1, 1, 2)
    let made = try evaluate(
      "Upsample", domain: "com.microsoft.nchwc", [x], ["scales": .ints([1, 1, 2, 3])])[0]
    #expect(try made.elements(as: Float.self) == [1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2])
  }

  /// Equal scores and a sink as large: with two keys and the sink each key has a third.
  @Test func sinksTakeAShare() throws {
    let zeros = try floats([0, 0], 1, 1, 2)
    let past = try floats([3, 6], 1, 1, 1, 2)
    let inputs: [Tensor?] = [
      zeros, zeros, zeros, past, past, try Tensor([Int32(1)]), try Tensor([Int32(2)]),
    ]
    let heads: [String: Attribute] = ["num_heads": .int(1), "kv_num_heads": .int(1)]
    let smooth = try evaluate(
      "GroupQueryAttention", inputs, heads.merging(["smooth_softmax": .int(1)]) { $1 }, outputs: 3)
    #expect(try close(smooth[0], [1, 2]))
    let sink = try evaluate(
      "GroupQueryAttention", inputs + [nil, nil, nil, nil, try floats([0], 1)], heads, outputs: 3)
    #expect(try close(sink[0], [1, 2]))
  }

  @Test func cachesOfFourBitsHoldTwoNumbersAByte() throws {
    let zeros = try floats([0, 0], 1, 1, 2)
    let past = try Tensor([UInt8(0x9A)], shape: Shape([1, 1, 1, 1]))
    let one = try floats([1], 1)
    let made = try evaluate(
      "GroupQueryAttention",
      [
        zeros, try floats([-9, 2.5], 1, 1, 2), zeros, past, past, try Tensor([Int32(1)]),
        try Tensor([Int32(2)]), nil, nil, nil, nil, nil, one, one,
      ],
      [
        "num_heads": .int(1), "kv_num_heads": .int(1), "kv_cache_bit_width": .int(4),
        "k_quant_type": .string("PER_TENSOR"), "v_quant_type": .string("PER_TENSOR"),
      ], outputs: 3)
    // -9 becomes the lowest, 0; 2.5 rounds to 2, which is 10.
    #expect(try made[1].elements(as: UInt8.self) == [0x9A, 0xA0])
    // The past value is 2 and 1, the new one 0 and 0, each with half of the weight.
    #expect(try close(made[0], [1, 0.5]))
  }

  /// 99 whole steps of 1 / 99.9 make 1.
  @Test func quantisedSoftmaxCountsWholeSteps() throws {
    let zero = try Tensor(scalar: UInt8(0))
    for (row, expected) in [([UInt8(7)], [UInt8(99)]), ([7, 7, 7], [33, 33, 33])] {
      let made = try evaluate(
        "QLinearSoftmax",
        [
          try Tensor(row, shape: Shape([1, row.count])), try Tensor(scalar: Float(0.1)), zero,
          try Tensor(scalar: Float(1) / 99.9), zero,
        ], ["opset": .int(13), "axis": .int(-1)])[0]
      #expect(try made.elements(as: UInt8.self) == expected)
    }
  }

  private func close(_ tensor: Tensor, _ expected: [Float]) throws -> Bool {
    try zip(tensor.elements(as: Float.self), expected).allSatisfy { abs($0 - $1) < 1e-6 }
  }
}
