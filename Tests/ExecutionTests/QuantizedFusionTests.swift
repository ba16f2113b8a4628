import Base
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Execution

/// Quantised graphs as quantisers write them, and graphs that resemble them.
struct QuantizedFusionTests {
  private static func bytes(_ dims: [Int], _ seed: Int = 3) throws -> Tensor {
    let shape = try Shape(dims)
    return try Tensor((0..<shape.count).map { Int8(($0 &* 37 &+ seed) % 101 - 50) }, shape: shape)
  }

  enum Product: CaseIterable {
    case scalesFirst, scalesOneByOne, rows, rowsReadTwice, integerBias
    // What only looks like it.
    case uncentred, otherScale, weightsGiven, sumsReadTwice

    var isProduct: Bool {
      ![.uncentred, .otherScale, .weightsGiven, .sumsReadTwice].contains(self)
    }
  }

  @Test(arguments: Product.allCases) func fusesOnlyScaledProducts(_ form: Product) throws {
    let g = GraphBuilder("product")
    let x = g.floats("x", 3, 8)
    var inputs: [String: Tensor] = [:]
    var numbers = SeededNumbers(4)
    inputs["x"] = try numbers.tensor(.float32, [3, 8], low: -2, high: 2)
    let weight: Edge
    if form == .weightsGiven {
      weight = g.input("w", .int8, [.fixed(8), .fixed(5)])
      inputs["w"] = try Self.bytes([8, 5])
    } else {
      weight = g.constant("w", try Self.bytes([8, 5]))
    }
    let (bytes, scale, zero): (Edge, Edge, Edge)
    if form == .rows || form == .rowsReadTwice {
      zero = g.constant("middle", try Tensor(scalar: UInt8(128)))
      let largest = g.add(
        "ReduceMax", [g.add("Abs", [x]), try g.ints("axes", [-1])], ["keepdims": .int(1)])
      scale = try g.add("Max", [largest, g.scalar("least", 1e-30)]) / g.scalar("steps", 127)
      bytes = g.add("QuantizeLinear", [x / scale, try g.scalar("one", 1), zero])
    } else {
      let parts = g.add("DynamicQuantizeLinear", [x], outputs: 3)
      (bytes, scale, zero) = (parts[0], parts[1], parts[2])
    }
    var factors: [Edge?] = [bytes, weight, zero]
    if form == .uncentred { factors.append(g.constant("bzero", try Tensor(scalar: Int8(3)))) }
    var sums = g.add("MatMulInteger", factors)
    if form == .integerBias {
      sums = sums + g.constant("steps", try Tensor([1, 2, 3, 4, 5] as [Int32]))
    }
    let product = g.add("Cast", [sums], ["to": .int(1)])
    let scales = g.constant("scales", try Tensor([0.1, 0.2, 0.3, 0.4, 0.5] as [Float]))
    var y: Edge
    switch form {
    case .scalesOneByOne: y = product * scale * scales
    case .otherScale: y = product * (g.add("Neg", [scale]) * scales)
    default: y = product * (scale * scales)
    }
    y = g.add("Relu", [y + g.constant("bias", try Tensor([1, -1, 2, -2, 0] as [Float]))])
    g.output(y, "y")
    if form == .sumsReadTwice { g.output(product, "sums") }
    if form == .rowsReadTwice { g.output(scale, "scale") }
    let operators = try expectSameAtAllLevels(g.graph, inputs, tolerance: 1e-5)
    // An integer bias has the scale of its row, which a fused bias does not.
    let isFused = form.isProduct && form != .integerBias
    #expect(operators.contains("QuantizedMatMul") == isFused, "\(operators)")
    #expect(operators.contains("QuantizeRows") == (form == .rowsReadTwice))
  }

  static func rounded(
    _ g: GraphBuilder, _ x: Edge, _ scale: Float, _ zero: UInt8
  ) throws -> Edge {
    let parameters = [
      try g.scalar("scale", scale),
      g.constant("zero\(g.graph.initializers.count)", try Tensor(scalar: zero)),
    ]
    return g.add(
      "DequantizeLinear", [g.add("QuantizeLinear", [x] + parameters)] + parameters)
  }

  static func weights(
    _ g: GraphBuilder, _ dims: [Int], axis: Int, scales: [Float]
  ) throws -> Edge {
    let name = "w\(g.graph.initializers.count)"
    return g.add(
      "DequantizeLinear",
      [g.constant(name, try bytes(dims)), g.constant(name + "s", try Tensor(scales))],
      ["axis": .int(Int64(axis))])
  }

  @Test func runsConvolutionsOnBytes() throws {
    let g = GraphBuilder("network")
    let x = try Self.rounded(g, g.floats("x", 1, 3, 8, 8), 0.02, 128)
    let w = try Self.weights(
      g, [4, 3, 3, 3], axis: 0, scales: [0.004, 0.005, 0.006, 0.007])
    let c = g.add("Conv", [x, w, g.constant("b", try Tensor([0.1, -0.1, 0.2, 0] as [Float]))])
    let r = try Self.rounded(g, g.add("Relu", [c]), 0.05, 0)
    let p = try Self.rounded(
      g, g.add("MaxPool", [r], ["kernel_shape": .ints([2, 2])]), 0.05, 0)
    let s = try Self.rounded(g, g.add("Sigmoid", [p]), 1 / 255, 0)
    let a = try Self.rounded(g, s + p, 0.06, 2)
    let m = try Self.rounded(g, g.add("GlobalAveragePool", [a]), 0.05, 0)
    let f = try Self.rounded(g, g.add("Flatten", [m]), 0.05, 0)
    g.output(
      g.add("MatMul", [f, try Self.weights(g, [4, 2], axis: 1, scales: [0.01, 0.02])]), "y")
    var numbers = SeededNumbers(5)
    let operators = try expectSameAtAllLevels(
      g.graph, ["x": numbers.tensor(.float32, [1, 3, 8, 8], low: -2, high: 2)], tolerance: 0.02)
    #expect(
      operators.filter { $0 != "Identity" } == [
        "QuantizeLinear", "QLinearConv", "MaxPool", "ByteTable", "QLinearAdd",
        "QLinearGlobalAveragePool", "Flatten", "QuantizedMatMul",
      ])
  }

  @Test(arguments: [ElementType.int4, .uint4, .int8, .uint8], [false, true])
  func keepsWeightsInBlocks(_ type: ElementType, _ hasZeros: Bool) throws {
    for isTransposed in [false, true] {
      let g = GraphBuilder("blocks")
      let x = g.floats("x", 3, 40)
      let bits = type == .int4 || type == .uint4 ? 4 : 8
      func codes(_ dims: [Int]) throws -> Tensor {
        let shape = try Shape(dims)
        let mask = UInt8((1 << bits) - 1)
        return try Tensor(
          codes: (0..<shape.count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 5) & mask },
          as: type,
          shape: shape)
      }
      let (dims, blocks) = isTransposed ? ([6, 40], [6, 3]) : ([40, 6], [3, 6])
      var numbers = SeededNumbers(6)
      var parts: [Edge?] = [
        g.constant("codes", try codes(dims)),
        g.constant("scales", try numbers.tensor(.float32, blocks, low: 0.01, high: 0.02)),
      ]
      if hasZeros { parts.append(g.constant("zeros", try codes(blocks))) }
      let weight = g.add(
        "DequantizeLinear", parts,
        ["axis": .int(isTransposed ? 1 : 0), "block_size": .int(16)])
      let bias = g.constant("b", try Tensor([1, 2, 3, 4, 5, 6] as [Float]))
      g.output(
        isTransposed
          ? g.add("Gemm", [x, weight, bias], ["transB": .int(1)])
          : g.add("MatMul", [x, weight]) + bias, "y")
      let operators = try expectSameAtAllLevels(
        g.graph, ["x": numbers.tensor(.float32, [3, 40], low: -1, high: 1)], tolerance: 1e-5)
      #expect(operators.filter { $0 != "Identity" } == ["MatMulNBits"])
    }
  }

  @Test func multipliesBFloat16AsItIs() throws {
    let g = GraphBuilder("bf16")
    let x = g.floats("x", 3, 9)
    func cast(_ x: Edge, _ type: Int64) -> Edge { g.add("Cast", [x], ["to": .int(type)]) }
    let values = (0..<45).map { BFloat16(Float($0 % 7) - 3) }
    let w = cast(g.constant("w", try Tensor(values, shape: Shape([9, 5]))), 1)
    g.output(g.add("MatMul", [cast(cast(x, 16), 1), w]), "y")
    var numbers = SeededNumbers(7)
    let operators = try expectSameAtAllLevels(
      g.graph, ["x": numbers.tensor(.float32, [3, 9], low: -1, high: 1)], tolerance: 1e-5)
    #expect(operators.contains("BFloat16MatMul") == Precision.bf16.isSupported)
  }
}
