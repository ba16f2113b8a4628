import Base
import Graphs
import Tensors
import Testing

@testable import Operators

/// Runs one operator; a nil input is left out.
private func evaluate(
  _ name: String, domain: String = "", _ inputs: [Tensor?], _ attributes: [String: Attribute] = [:],
  kernel: String? = nil
) throws -> Tensor {
  let definition = try #require(OperatorTable.find(name, domain: domain))
  let node = Node(
    name, inputs: inputs.indices.map { inputs[$0] == nil ? "" : "x\($0)" }, outputs: ["y"],
    attributes: attributes, domain: domain)
  return try definition.evaluate(
    node, inputs: inputs.map { $0.map { .tensor($0) } }, kernel: kernel)[
      0
    ].tensor()
}

private func floats(_ dims: [Int], _ values: (Int) -> Float) throws -> Tensor {
  let shape = try Shape(dims)
  return try Tensor((0..<shape.count).map(values), shape: shape)
}

/// Values that look random, the same in every run.
private func noise(_ index: Int) -> Float { Float((index &* 7919 &+ 13) % 201 - 100) / 100 }

private func largestDifference(_ a: Tensor, _ b: Tensor) throws -> Float {
  #expect(a.shape == b.shape)
  return zip(try a.elements(as: Float.self), try b.elements(as: Float.self))
    .reduce(0) { max($0, abs($1.0 - $1.1)) }
}

@Suite struct MatrixProductTests {
  @Test func multipliesKnownMatrices() throws {
    let a = try Tensor([1, 2, 3, 4] as [Float], shape: Shape([2, 2]))
    let b = try Tensor([5, 6, 7, 8] as [Float], shape: Shape([2, 2]))
    #expect(try evaluate("MatMul", [a, b]).elements(as: Float.self) == [19, 22, 43, 50])
    let gemm = try evaluate(
      "Gemm", [a, b, Tensor([10, 20] as [Float])],
      ["alpha": .float(2), "transB": .int(1), "beta": .float(0.5)])
    #expect(try gemm.elements(as: Float.self) == [39, 56, 83, 116])
  }

  @Test func wrapsIntegersAndKeepsDoubles() throws {
    let big = try Tensor([Int32.max], shape: Shape([1, 1]))
    let two = try Tensor([Int32(2)], shape: Shape([1, 1]))
    #expect(try evaluate("MatMul", [big, two]).elements(as: Int32.self) == [-2])
    let x = try Tensor([1e300], shape: Shape([1, 1]))
    #expect(try evaluate("MatMul", [x, x]).elements(as: Double.self) == [Double.infinity])
  }

  @Test(arguments: [[1, 17, 1], [1, 300, 50], [5, 1, 49], [33, 64, 97], [130, 70, 48]])
  func packedEqualsReference(_ extents: [Int]) throws {
    let (m, k, n) = (extents[0], extents[1], extents[2])
    for transposed in [false, true] {
      let a = try floats([m, k], noise)
      let b = try floats(transposed ? [n, k] : [k, n], noise)
      let bias = try floats([n], noise)
      let residual = try floats([m, n], noise)
      let attributes: [String: Attribute] = [
        "transB": .int(transposed ? 1 : 0), "activation": .string("gelu_erf"), "alpha": .float(0.5),
      ]
      let inputs: [Tensor?] = [a, b, bias, residual]
      let fast = try evaluate(
        "FusedMatMul", domain: "ai.stacklens", inputs, attributes, kernel: "packed")
      let plain = try evaluate(
        "FusedMatMul", domain: "ai.stacklens", inputs, attributes, kernel: "reference")
      #expect(try largestDifference(fast, plain) < 2e-5)
    }
  }

  @Test func emptyInnerExtentGivesZeros() throws {
    let y = try evaluate("MatMul", [floats([2, 0], noise), floats([0, 3], noise)])
    #expect(try y.elements(as: Float.self) == [0, 0, 0, 0, 0, 0])
  }

  @Test func rejectsExtentsThatDiffer() throws {
    #expect(throws: StackLensError.self) {
      try evaluate("MatMul", [floats([2, 3], noise), floats([4, 2], noise)])
    }
    #expect(throws: StackLensError.self) {
      try evaluate("MatMul", [floats([], noise), floats([1], noise)])
    }
    #expect(throws: StackLensError.self) {
      try evaluate(
        "Gemm",
        [
          floats([2, 3], noise), floats([3, 2], noise), floats([3], noise),
        ])
    }
  }
}

@Suite struct EinsumTests {
  private func einsum(_ equation: String, _ inputs: [Tensor]) throws -> Tensor {
    try evaluate("Einsum", inputs, ["equation": .string(equation)])
  }

  @Test func readsDiagonalsAndImplicitOutputs() throws {
    let square = try floats([3, 3]) { Float($0) }
    #expect(try einsum("ii->i", [square]).elements(as: Float.self) == [0, 4, 8])
    #expect(try einsum("ii", [square]).elements(as: Float.self) == [12])
    #expect(
      try einsum("ba", [square]).elements(as: Float.self) == [0, 3, 6, 1, 4, 7, 2, 5, 8])
    #expect(try einsum("...i->...", [square]).elements(as: Float.self) == [3, 12, 21])
  }

  @Test func twoFactorsEqualThePlainSum() throws {
    let a = try floats([2, 3, 5, 7], noise)
    let b = try floats([2, 3, 4, 7], noise)
    for equation in ["bhid,bhjd->bhij", "bhid,bhjd->bij", "bhid,bhjd->hbij"] {
      let node: [String: Attribute] = ["equation": .string(equation)]
      let plain = try evaluate("Einsum", [a, b], node, kernel: "reference")
      #expect(try largestDifference(try evaluate("Einsum", [a, b], node), plain) < 1e-5)
    }
  }

  @Test(arguments: ["ij", "ij,jk->iz", "ij,jk->ii", "i.j,jk", "ij-jk", "ij,jk,kl", "ij,kk"])
  func rejects(_ equation: String) throws {
    let inputs = [try floats([2, 3], noise), try floats([3, 4], noise)]
    #expect(throws: StackLensError.self) { try self.einsum(equation, inputs) }
  }
}

@Suite struct ConvolutionTests {
  @Test func convolvesAKnownImage() throws {
    let x = try floats([1, 1, 3, 3]) { Float($0) }
    let w = try floats([1, 1, 2, 2]) { _ in 1 }
    #expect(try evaluate("Conv", [x, w]).elements(as: Float.self) == [8, 12, 20, 24])
    let y = try evaluate("ConvTranspose", [try floats([1, 1, 1, 2]) { Float($0 + 1) }, w])
    #expect(try y.elements(as: Float.self) == [1, 3, 2, 1, 3, 2])
  }

  @Test(arguments: [
    (channels: 6, outputs: 6, group: 6, stride: 1), (8, 20, 1, 2), (8, 20, 2, 1), (3, 33, 1, 3),
    (6, 12, 6, 2),
  ])
  func fastEqualsReference(
    _ form: (channels: Int, outputs: Int, group: Int, stride: Int)
  ) throws {
    let x = try floats([2, form.channels, 13, 17], noise)
    let w = try floats([form.outputs, form.channels / form.group, 3, 3], noise)
    let bias = try floats([form.outputs], noise)
    let attributes: [String: Attribute] = [
      "group": .int(Int64(form.group)), "strides": .ints([Int64(form.stride), Int64(form.stride)]),
      "pads": .ints([1, 0, 2, 1]), "activation": .string("silu"),
    ]
    let plain = try evaluate(
      "FusedConv", domain: "ai.stacklens", [x, w, bias], attributes, kernel: "reference")
    for residual in [nil, plain] {
      let inputs: [Tensor?] = [x, w, bias, residual]
      let fast = try evaluate("FusedConv", domain: "ai.stacklens", inputs, attributes)
      let expected = try evaluate(
        "FusedConv", domain: "ai.stacklens", inputs, attributes, kernel: "reference")
      #expect(try largestDifference(fast, expected) < 2e-5)
    }
  }

  @Test func rejectsWhatDoesNotFit() throws {
    let x = try floats([1, 2, 4, 4], noise)
    let w = try floats([3, 2, 3, 3], noise)
    let huge = Int64.max
    let bad: [[String: Attribute]] = [
      ["group": .int(0)], ["group": .int(2)], ["strides": .ints([0, 1])],
      ["strides": .ints([1])], ["dilations": .ints([huge, huge])],
      ["pads": .ints([huge, 0, 0, 0])],
      ["auto_pad": .string("SAME")], ["kernel_shape": .ints([5, 5])], ["dilations": .ints([2, 2])],
    ]
    for attributes in bad {
      #expect(throws: StackLensError.self, "\(attributes)") {
        try evaluate("Conv", [x, w], attributes)
      }
    }
    #expect(throws: StackLensError.self) { try evaluate("Conv", [x, w, floats([2], noise)]) }
    #expect(throws: StackLensError.self) {
      try evaluate("ConvTranspose", [x, w], ["output_shape": .ints([-1, 4])])
    }
  }
}

@Suite struct QuantizationTests {
  @Test func roundsHalvesToEvenAndSaturates() throws {
    let x = try Tensor([0.5, 1.5, 2.5, -0.5, 1000, -1000, .nan, .infinity] as [Float])
    let y = try evaluate(
      "QuantizeLinear", [x, Tensor(scalar: Float(1)), Tensor(scalar: UInt8(10))])
    #expect(try y.elements(as: UInt8.self) == [10, 12, 12, 10, 255, 0, 0, 255])
    let back = try evaluate(
      "DequantizeLinear", [y, Tensor(scalar: Float(0.5)), Tensor(scalar: UInt8(10))])
    #expect(try back.elements(as: Float.self) == [0, 1, 1, 0, 122.5, -5, -5, 122.5])
  }

  @Test func addsExactly() throws {
    let scale = try Tensor(scalar: Float(0.5))
    let zero = try Tensor(scalar: UInt8(0))
    let y = try evaluate(
      "QLinearAdd", domain: "com.microsoft",
      [
        Tensor([1, 2, 3, 255] as [UInt8]), scale, zero, Tensor([0, 1, 2, 255] as [UInt8]), scale,
        zero, Tensor(scalar: Float(1)), zero,
      ])
    #expect(try y.elements(as: UInt8.self) == [0, 2, 2, 255])
  }

  @Test(arguments: [(group: 1, kernel: 3), (1, 1), (4, 3)])
  func integerConvolutionIsExact(_ form: (group: Int, kernel: Int)) throws {
    let x = try Tensor(
      (0..<4 * 81).map { UInt8(truncatingIfNeeded: $0 &* 37) }, shape: Shape([1, 4, 9, 9]))
    let inner = 4 / form.group * form.kernel * form.kernel
    let w = try Tensor(
      (0..<8 * inner).map { Int8(truncatingIfNeeded: $0 &* 53) },
      shape: Shape([8, 4 / form.group, form.kernel, form.kernel]))
    let zeros = try Tensor((0..<8).map { Int8($0 - 4) })
    let inputs: [Tensor?] = [x, w, try Tensor(scalar: UInt8(77)), zeros]
    let attributes: [String: Attribute] = [
      "group": .int(Int64(form.group)), "pads": .ints([1, 1, 1, 1]),
    ]
    let fast = try evaluate("ConvInteger", inputs, attributes, kernel: "packed")
    let plain = try evaluate("ConvInteger", inputs, attributes, kernel: "reference")
    #expect(try fast.elements(as: Int32.self) == plain.elements(as: Int32.self))
  }

  @Test func rejectsScalesThatDoNotFit() throws {
    let x = try floats([2, 3], noise)
    #expect(throws: StackLensError.self) {
      try evaluate("QuantizeLinear", [x, floats([2], noise)], ["axis": .int(1)])
    }
    #expect(throws: StackLensError.self) {
      try evaluate("QuantizeLinear", [x, floats([2, 2], noise)], ["block_size": .int(-1)])
    }
    #expect(throws: StackLensError.self) {
      try evaluate(
        "QuantizeLinear", [x, Tensor(scalar: Float(1))], ["output_dtype": .int(1 << 40)])
    }
  }
}
