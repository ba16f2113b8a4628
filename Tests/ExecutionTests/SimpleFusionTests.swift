import Base
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Execution

/// Patterns of one row: GELU, layer normalisation, products with what follows them.
struct SimpleFusionTests {
  enum Gelu: CaseIterable {
    case halfLast, halfFirst, halfOfX
    // What only looks like it.
    case otherRoot, otherHalf, otherOne, otherFactor, bellReadTwice, moreAxes, axisForScalar

    var isGelu: Bool { [.halfLast, .halfFirst, .halfOfX].contains(self) }
  }

  @Test(arguments: Gelu.allCases) func fusesOnlyGelu(_ spelling: Gelu) throws {
    let g = GraphBuilder("gelu")
    let dims = spelling == .axisForScalar ? [] : [3, 8]
    let x = g.input("x", .float32, dims.map { .fixed($0) })
    func scalar(_ value: Float) throws -> Edge {
      let axes = spelling == .moreAxes ? [1, 1, 1] : spelling == .axisForScalar ? [1] : []
      return g.constant("c\(g.graph.initializers.count)", try Tensor([value], shape: Shape(axes)))
    }
    let (half, one) = (
      spelling == .otherHalf ? Float(0.4) : 0.5, spelling == .otherOne ? Float(2) : 1
    )
    let root = spelling == .otherRoot ? Float(1.5) : Float(2).squareRoot()
    let scaled = spelling == .halfFirst ? try x * scalar(1 / root) : try x / scalar(root)
    let bell = try g.add("Erf", [scaled]) + scalar(one)
    switch spelling {
    case .halfFirst: g.output(try x * (scalar(half) * bell), "y")
    case .halfOfX: g.output(try (scalar(half) * x) * bell, "y")
    case .otherFactor: g.output(try (g.add("Neg", [x]) * bell) * scalar(half), "y")
    default: g.output(try (x * bell) * scalar(half), "y")
    }
    if spelling == .bellReadTwice { g.output(bell, "bell") }
    var numbers = SeededNumbers(1)
    let operators = try expectSameAtAllLevels(
      g.graph, ["x": numbers.tensor(.float32, dims, low: -4, high: 4)])
    #expect(operators.contains("Gelu") == spelling.isGelu)
  }

  enum TanhGelu: CaseIterable {
    case cubeLast, cubeFirst, otherCube, otherRoot, otherPower, cubeOfAnother

    var isGelu: Bool { self == .cubeLast || self == .cubeFirst }
  }

  @Test(arguments: TanhGelu.allCases) func fusesOnlyGeluByTanh(_ spelling: TanhGelu) throws {
    let g = GraphBuilder("gelu")
    let x = g.floats("x", 3, 8)
    let base = spelling == .cubeOfAnother ? g.add("Neg", [x]) : x
    let cube = g.add("Pow", [base, try g.scalar("three", spelling == .otherPower ? 2 : 3)])
    let cubic = try g.scalar("factor", spelling == .otherCube ? 0.05 : 0.044715) * cube
    let inner = spelling == .cubeFirst ? cubic + x : x + cubic
    let root = try g.scalar("root", spelling == .otherRoot ? 0.8 : 0.797_884_6)
    let bell = try g.add("Tanh", [inner * root]) + g.scalar("one", 1)
    g.output(try (x * g.scalar("half", 0.5)) * bell, "y")
    var numbers = SeededNumbers(3)
    let operators = try expectSameAtAllLevels(
      g.graph, ["x": numbers.tensor(.float32, [3, 8], low: -4, high: 4)])
    #expect(operators.contains("Gelu") == spelling.isGelu)
  }

  enum Norm: CaseIterable {
    case power, product
    case meanOverOther, varianceOverOther, withoutKept, epsilonVector, scaleMatrix, scaleScalar
    case numeratorTurned, otherMean, spreadOverVector, rootReadTwice

    var isNormalization: Bool { self == .power || self == .product }
  }

  @Test(arguments: Norm.allCases) func fusesOnlyLayerNormalization(_ form: Norm) throws {
    let g = GraphBuilder("norm")
    let width = form == .spreadOverVector ? 1 : 8
    let x = g.input(
      "x", .float32, [.fixed(8), .fixed(8), form == .spreadOverVector ? .unknown : .fixed(8)])
    var numbers = SeededNumbers(2)
    func mean(_ x: Edge, isOther: Bool) throws -> Edge {
      g.add(
        "ReduceMean", [x, try g.ints("axes", [isOther ? 1 : -1])],
        ["keepdims": .int(form == .withoutKept ? 0 : 1)])
    }
    let source = form == .otherMean ? g.add("Abs", [x]) : x
    let centre = try mean(source, isOther: form == .meanOverOther)
    let centred = x - centre
    let square =
      form == .power ? g.add("Pow", [centred, try g.scalar("two", 2)]) : centred * centred
    let epsilon =
      form == .epsilonVector
      ? g.constant("eps", try numbers.tensor(.float32, [8], low: 0.01, high: 0.02))
      : try g.scalar("eps", 1e-5)
    let variance = try mean(square, isOther: form == .varianceOverOther)
    let root = g.add("Sqrt", [variance + epsilon])
    let quotient = (form == .numeratorTurned ? centre - x : centred) / root
    let dims = form == .scaleMatrix ? [1, 8] : form == .scaleScalar ? [1] : [8]
    let scale = g.constant("scale", try numbers.tensor(.float32, dims))
    g.output(quotient * scale + g.constant("bias", try numbers.floats(8)), "y")
    if form == .rootReadTwice { g.output(root, "root") }
    let operators = try expectSameAtAllLevels(
      g.graph, ["x": numbers.floats(8, 8, width)], tolerance: 2e-5)
    #expect(operators.contains("LayerNormalization") == form.isNormalization)
  }

  @Test(arguments: ["Relu", "Tanh", "Sigmoid", "Gelu", "Exp", ""], [true, false])
  func fusesProducts(activation: String, hasBias: Bool) throws {
    let g = GraphBuilder("product")
    var numbers = SeededNumbers(3)
    let x = g.floats("x", 2, 3, 12)
    var y = g.matMul(x, g.constant("w", try numbers.floats(12, 20)))
    if hasBias { y = y + g.constant("b", try numbers.floats(20)) }
    if !activation.isEmpty { y = g.add(activation, [y]) }
    g.output(y, "y")
    let operators = try expectSameAtAllLevels(g.graph, ["x": numbers.floats(2, 3, 12)])
    let isActivated = ["Relu", "Tanh", "Sigmoid", "Gelu"].contains(activation)
    #expect(operators.contains("FusedMatMul") == (hasBias || isActivated))
    #expect(operators.contains("Exp") == (activation == "Exp"))
  }

  enum General: CaseIterable {
    case plain, turnedWeight, scaled, withoutBias
    // What only looks like it: a bias of other axes or with a factor, and columns of x.
    case biasRow, biasColumn, halfBias, turned
    // A second bias stays a sum.
    case addedTo

    var isFused: Bool {
      [.plain, .turnedWeight, .scaled, .withoutBias].contains(self)
    }
  }

  @Test(arguments: General.allCases) func fusesGeneralProducts(_ form: General) throws {
    let g = GraphBuilder("product")
    var numbers = SeededNumbers(6)
    let x = g.floats("x", 12, 12)
    let wide = form == .turnedWeight ? [20, 12] : [12, 20]
    var inputs = [x, g.constant("w", try numbers.tensor(.float32, wide))]
    if form != .withoutBias {
      let dims = form == .biasRow ? [1, 20] : form == .biasColumn ? [12, 1] : [20]
      inputs.append(g.constant("b", try numbers.tensor(.float32, dims)))
    }
    var attributes: [String: Attribute] = [:]
    if form == .turnedWeight { attributes["transB"] = .int(1) }
    if form == .turned { attributes["transA"] = .int(1) }
    if form == .halfBias { attributes["beta"] = .float(0.5) }
    if form == .scaled { attributes["alpha"] = .float(0.25) }
    var y = g.add("Gemm", inputs, attributes)
    if form == .addedTo { y = y + g.constant("c", try numbers.floats(20)) }
    g.output(g.add("Relu", [y]), "y")
    let operators = try expectSameAtAllLevels(g.graph, ["x": numbers.floats(12, 12)])
    #expect(operators.contains("FusedMatMul") == form.isFused)
    #expect(operators.contains("Relu") != form.isFused)
  }

  @Test func sumsOfGeneralProductsKeepTheirBiases() throws {
    let g = GraphBuilder("sum")
    var numbers = SeededNumbers(7)
    let x = g.floats("x", 6, 12)
    let products = try ["a", "b"].map { name in
      g.add(
        "Gemm",
        [
          x, g.constant(name + ".w", try numbers.floats(12, 20)),
          g.constant(name + ".b", try numbers.floats(20)),
        ])
    }
    g.output(g.add("Sum", products + [g.floats("y", 6, 20)]), "z")
    let operators = try expectSameAtAllLevels(
      g.graph, ["x": numbers.floats(6, 12), "y": numbers.floats(6, 20)])
    #expect(operators.contains("FusedMatMul") && !operators.contains("Sum"))
  }

  enum Gated: CaseIterable {
    case product, general, transposed, withBatch, sum, spreadSum, readTwice, otherSlope,
      afterActivation

    var isFused: Bool { ![.readTwice, .otherSlope].contains(self) }
  }

  @Test(arguments: Gated.allCases) func slopesOfReLUsGoIntoProducts(_ form: Gated) throws {
    let g = GraphBuilder("gradient")
    var numbers = SeededNumbers(11)
    let (x, v) =
      form == .withBatch
      ? (g.floats("x", 2, 3, 12), g.floats("v", 2, 3, 20))
      : (g.floats("x", 6, 12), g.floats("v", 6, 20))
    let weight = g.constant("w", try numbers.floats(12, 20))
    var arriving =
      switch form {
      case .general: g.add("Gemm", [x, weight, g.constant("b", try numbers.floats(20))])
      case .transposed:
        g.add(
          "FusedMatMul", [x, g.constant("t", try numbers.floats(20, 12))],
          ["transB": .int(1), "alpha": .float(0.5)], domain: "com.microsoft")
      default: g.matMul(x, weight)
      }
    let added = form == .spreadSum ? g.floats("y", 1, 20) : g.floats("y", 6, 20)
    if form == .sum || form == .spreadSum { arriving = g.add("Sum", [arriving, added]) }
    if form == .readTwice { g.output(g.add("Neg", [arriving]), "again") }
    if form == .afterActivation { arriving = g.add("Tanh", [arriving]) }
    let slope = g.add(
      "ActivationGradient", [arriving, v],
      ["function": .string(form == .otherSlope ? "Elu" : "Relu")], domain: "ai.stacklens")
    g.output(slope, "z")
    var given = ["x": try numbers.floats(6, 12), "v": try numbers.floats(6, 20)]
    if form == .withBatch {
      given = ["x": try numbers.floats(2, 3, 12), "v": try numbers.floats(2, 3, 20)]
    }
    given["y"] = try form == .spreadSum ? numbers.floats(1, 20) : numbers.floats(6, 20)
    let operators = try expectSameAtAllLevels(g.graph, given)
    #expect(operators.contains("ActivationGradient") != form.isFused)
  }

  enum Layer: CaseIterable {
    case matrices, batches, oneColumn, row, twoBiases, transposed, kept

    var isFused: Bool { [.matrices, .batches, .kept].contains(self) }
  }

  @Test(arguments: Layer.allCases) func gradientsOfLinearLayersAreOneStep(_ form: Layer) throws {
    let g = GraphBuilder("gradient")
    var numbers = SeededNumbers(12)
    let rows = form == .batches ? [2, 18] : [18]
    let given = [
      "g": try numbers.tensor(.float32, rows + [20], low: -1, high: 1),
      "x": try numbers.tensor(.float32, rows + [32], low: -1, high: 1),
      "b": try numbers.floats(form == .oneColumn ? 1 : 20),
    ]
    func input(_ name: String, _ dims: [Int]) -> Edge {
      g.input(name, .float32, dims.map { .fixed($0) })
    }
    var (arriving, x) = (input("g", rows + [20]), input("x", rows + [32]))
    arriving = g.add("Neg", [arriving])
    if form == .transposed { x = g.add("Transpose", [x], ["perm": .ints([1, 0])]) }
    let bias = input("b", [form == .oneColumn ? 1 : 20])
    func sum() throws -> Edge {
      let shape =
        form == .row
        ? g.constant("shape", try Tensor([Int64(1), 20])) : g.add("Shape", [bias])
      return g.add("SumTo", [arriving, shape], domain: "ai.stacklens")
    }
    g.output(
      g.add(
        "FusedMatMul", [arriving, x],
        [
          "transA": .int(1), "alpha": .float(0.5), "transB": .int(form == .transposed ? 1 : 0),
        ], domain: "com.microsoft"), "dw")
    try g.output(sum(), "db")
    if form == .twoBiases { try g.output(sum(), "dc") }
    if form == .kept { g.output(arriving, "again") }
    let operators = try expectSameAtAllLevels(g.graph, given)
    #expect(operators.contains("WeightGradient") == form.isFused)
  }

  @Test func keepsTheFormOfGelu() throws {
    let g = GraphBuilder("product")
    var numbers = SeededNumbers(4)
    let product = g.matMul(g.floats("x", 3, 12), g.constant("w", try numbers.floats(12, 20)))
    g.output(g.add("Gelu", [product], ["approximate": .string("tanh")]), "y")
    try expectSameAtAllLevels(
      g.graph, ["x": numbers.tensor(.float32, [3, 12], low: -3, high: 3)], tolerance: 4e-6)
  }

  enum Product: CaseIterable {
    case vector, biasMatrix, biasScalar, biasIsInput, weightBatch, readTwice, keptInside, doubled
  }

  @Test(arguments: Product.allCases) func productsOfOtherFormsStayRight(_ form: Product) throws {
    let g = GraphBuilder("product")
    var numbers = SeededNumbers(5)
    let dims = form == .vector ? [4] : [3, 4]
    let x = g.input("x", .float32, dims.map { .fixed($0) })
    let weight = try numbers.tensor(.float32, form == .weightBatch ? [2, 4, 5] : [4, 5])
    let product = g.matMul(x, g.constant("w", weight))
    let biasDims = form == .biasMatrix ? [3, 5] : form == .biasScalar ? [1] : [5]
    if form == .biasIsInput { _ = g.input("b", .float32, [.fixed(5)]) }
    let bias = g.constant("b", try numbers.tensor(.float32, biasDims))
    let sum = form == .doubled ? product + product : product + bias
    g.output(g.add("Relu", [sum]), "y")
    if form == .readTwice { g.output(g.add("Neg", [product]), "z") }
    if form == .keptInside { g.output(sum, "z") }
    let operators = try expectSameAtAllLevels(
      g.graph, ["x": numbers.tensor(.float32, dims)])
    if [.biasMatrix, .biasScalar, .doubled].contains(form) {
      #expect(operators.contains("Add"))
    }
    guard form == .biasIsInput else { return }
    let inputs = ["x": try numbers.floats(3, 4), "b": try numbers.floats(5)]
    try expectSameAtAllLevels(g.graph, inputs)
  }

  /// The shapes of the product's operand and of what is added to it.
  @Test(arguments: [
    ([2, 3, 8], [2, 3, 8]), ([1, 3, 8], [2, 3, 8]), ([2, 3, 8], [8]), ([3, 8], [2, 1, 8]),
    ([2, 3, 8], [1, 1, 8]), ([8], [2, 8]),
  ])
  func fusesResidualsOfEveryShape(left: [Int], right: [Int]) throws {
    let g = GraphBuilder("residual")
    var numbers = SeededNumbers(6)
    let x = g.input("x", .float32, left.map { .fixed($0) })
    let r = g.input("r", .float32, right.map { .fixed($0) })
    func normalized(_ x: Edge, _ name: String) throws -> Edge {
      g.add(
        "LayerNormalization",
        [
          x, g.constant(name + ".s", try numbers.floats(8)),
          g.constant(name + ".b", try numbers.floats(8)),
        ])
    }
    let product = g.matMul(x, g.constant("w", try numbers.floats(8, 8)))
    let sum = product + g.constant("b", try numbers.floats(8))
    g.output(try normalized(sum + normalized(r, "a"), "c"), "y")
    let operators = try expectSameAtAllLevels(
      g.graph, ["x": numbers.tensor(.float32, left), "r": numbers.tensor(.float32, right)],
      tolerance: 2e-5)
    #expect(operators.filter { $0 == "Add" } == [])
  }
}
