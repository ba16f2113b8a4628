import Base
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Operators

private func results(
  _ name: String, domain: String = "com.microsoft", _ inputs: [Tensor?],
  _ attributes: [String: Attribute] = [:], outputs: Int = 1, kernel: String? = nil
) throws -> [Tensor] {
  let definition = try #require(OperatorTable.find(name, domain: domain))
  let node = Node(
    name, inputs: inputs.indices.map { inputs[$0] == nil ? "" : "x\($0)" },
    outputs: (0..<outputs).map { "y\($0)" }, attributes: attributes, domain: domain)
  return try definition.evaluate(
    node, inputs: inputs.map { $0.map { .tensor($0) } }, kernel: kernel
  ).map { try $0.tensor() }
}

@Suite struct BlockWeightTests {
  /// W = [[-8, 7, 0, …], [1, 1, 1, …]] · scale in blocks of 16, the second block of row 1 with zero
  /// point 10.
  @Test(arguments: ["packed", "reference"]) func multipliesKnownCodes(_ kernel: String) throws {
    var codes = [UInt8](repeating: 0x88, count: 2 * 2 * 8)
    codes[0] = 0xf0
    for index in 16..<32 { codes[index] = 0x99 }
    let b = try Tensor(codes, shape: Shape([2, 2, 8]))
    let scales = try Tensor([0.5, 1, 2, 4] as [Float], shape: Shape([2, 2]))
    let zeros = try Tensor([UInt8(0x88), 0xa8], shape: Shape([2, 1]))
    let a = try Tensor([1, 2] + [Float](repeating: 1, count: 18), shape: Shape([1, 20]))
    let y = try results(
      "MatMulNBits", [a, b, scales, zeros, nil, Tensor([100, 200] as [Float])],
      ["K": .int(20), "N": .int(2), "block_size": .int(16)], kernel: kernel)[0]
    // Row 0: 0.5 (1 · -8 + 2 · 7); row 1: 2 · 17 · 1 + 4 · 4 · (9 - 10).
    #expect(try y.elements(as: Float.self) == [103, 218])
  }

  @Test func namesBlocksThatAreNotThere() throws {
    let b = try Tensor([UInt8](repeating: 0, count: 8), shape: Shape([1, 1, 8]))
    let groups = try Tensor([Int32](repeating: 1, count: 16))
    let inputs = [
      try Tensor([Float](repeating: 1, count: 16)), b, try Tensor([1 as Float]), nil, groups,
    ]
    let error = failure {
      _ = try results(
        "MatMulNBits", inputs, ["K": .int(16), "N": .int(1), "block_size": .int(16)])
    }
    #expect(error?.description.contains("blocks outside [0, 1)") == true)
  }

  @Test(arguments: [
    ["K": 0, "N": 1, "block_size": 16], ["K": 1 << 40, "N": 1, "block_size": 16],
    ["K": 16, "N": 1, "block_size": 24], ["K": 16, "N": 1, "block_size": 16, "bits": 3],
  ])
  func refusesOddExtents(_ attributes: [String: Int64]) throws {
    let bytes = try Tensor([UInt8](repeating: 0, count: 8))
    let one = try Tensor([1 as Float])
    let error = failure {
      _ = try results("MatMulNBits", [one, bytes, one], attributes.mapValues { .int($0) })
    }
    #expect(error != nil)
  }

  @Test func gathersKnownRows() throws {
    let table = try Tensor(
      [UInt8(0x98)] + [UInt8](repeating: 0x88, count: 15), shape: Shape([2, 8]))
    let y = try results(
      "GatherBlockQuantized",
      [table, Tensor([Int64(0), 5]), Tensor([2, 3] as [Float], shape: Shape([2, 1]))],
      ["block_size": .int(16)])[0]
    #expect(y.shape.dims == [2, 16])
    #expect(try y.elements(as: Float.self).prefix(3) == [0, 2, 0])
    #expect(try y.elements(as: Float.self).suffix(16).allSatisfy { $0 == 0 })
  }
}

@Suite struct QuantizedPartsTests {
  @Test func scalesIntegerProducts() throws {
    let a = try Tensor([3, 5] as [UInt8], shape: Shape([1, 2]))
    let b = try Tensor([1, -2, 3, 4] as [Int8], shape: Shape([2, 2]))
    let y = try results(
      "MatMulIntegerToFloat",
      [
        a, b, Tensor(scalar: 0.5 as Float), Tensor([2, 4] as [Float]), Tensor(scalar: UInt8(1)),
        nil,
        Tensor([10, 20] as [Float]),
      ])[0]
    // (2 · 1 + 4 · 3) · 0.5 · 2 + 10; (2 · -2 + 4 · 4) · 0.5 · 4 + 20.
    #expect(try y.elements(as: Float.self) == [24, 44])
  }

  @Test func joinsUnderOneScale() throws {
    let one = try Tensor(scalar: 1 as Float)
    let zero = try Tensor(scalar: UInt8(0))
    let y = try results(
      "QLinearConcat",
      [
        Tensor(scalar: 0.5 as Float), Tensor(scalar: UInt8(10)), Tensor([1, 2] as [UInt8]), one,
        zero,
        Tensor([200] as [UInt8]), one, zero,
      ], ["axis": .int(0)])[0]
    #expect(try y.elements(as: UInt8.self) == [12, 14, 255])
  }

  @Test func quantisesRowsAlone() throws {
    let x = try Tensor([127, -1, 0, 0, 0, 0] as [Float], shape: Shape([3, 2]))
    let y = try results("QuantizeRows", domain: "ai.stacklens", [x], outputs: 2)
    #expect(try y[0].elements(as: UInt8.self) == [255, 127, 128, 128, 128, 128])
    #expect(try y[1].elements(as: Float.self) == [1, 0, 0])
  }

  @Test(arguments: ["packed", "reference"]) func keepsFaultsInTheirRow(_ kernel: String) throws {
    let x = try Tensor([1, 1, 2, .nan] as [Float], shape: Shape([2, 2]))
    let b = try Tensor([1, 1] as [Int8], shape: Shape([2, 1]))
    let y = try results(
      "QuantizedMatMul", domain: "ai.stacklens", [x, b, Tensor(scalar: 1 as Float)],
      ["rows": .int(1)], kernel: kernel)[0].elements(as: Float.self)
    #expect(y[0] == 2)
    #expect(kernel == "reference" || y[1].isNaN)
  }
}
