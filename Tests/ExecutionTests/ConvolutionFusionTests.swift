import Base
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Execution

/// Convolutions with the normalisation and the activation that follow them.
struct ConvolutionFusionTests {
  enum Form: CaseIterable {
    case plain, biased, grouped, oneDimensional
    case training, statisticsAreInputs, biasIsInput, weightIsInput, readTwice, kept

    /// Whether the normalisation goes into the weights.
    var isFolded: Bool {
      [.plain, .biased, .grouped, .oneDimensional].contains(self)
    }
  }

  @Test(arguments: Form.allCases, ["Relu", "Sigmoid", "LeakyRelu", ""])
  func foldsOnlyFixedStatistics(form: Form, activation: String) throws {
    let g = GraphBuilder("convolution")
    var numbers = SeededNumbers(12)
    var inputs: [String: Tensor] = [:]
    func operand(_ name: String, _ dims: [Int], low: Double = -1, isInput: Bool = false) throws
      -> Edge
    {
      let tensor = try numbers.tensor(.float32, dims, low: low)
      guard isInput else { return g.constant(name, tensor) }
      inputs[name] = tensor
      return g.input(name, .float32, dims.map { .fixed($0) })
    }
    let spatial = form == .oneDimensional ? [7] : [7, 6]
    let kernel = form == .oneDimensional ? [3] : [3, 3]
    let x = try operand("x", [2, 4] + spatial, isInput: true)
    let weight = try operand(
      "w", [6, form == .grouped ? 2 : 4] + kernel, isInput: form == .weightIsInput)
    let hasBias = form == .biased || form == .biasIsInput
    let bias = hasBias ? try operand("b", [6], isInput: form == .biasIsInput) : nil
    let convolution = g.add(
      "Conv", [x, weight, bias], ["group": .int(form == .grouped ? 2 : 1)])
    let statistics = form == .statisticsAreInputs
    let normalized = g.add(
      "BatchNormalization",
      [
        convolution, try operand("scale", [6]), try operand("shift", [6]),
        try operand("mean", [6], isInput: statistics),
        try operand("variance", [6], low: 0.1, isInput: statistics),
      ],
      ["training_mode": .int(form == .training ? 1 : 0), "epsilon": .float(0.01)])
    g.output(activation.isEmpty ? normalized : g.add(activation, [normalized]), "y")
    if form == .readTwice { g.output(g.add("Neg", [convolution]), "z") }
    if form == .kept { g.output(normalized, "z") }
    let operators = try expectSameAtAllLevels(g.graph, inputs, tolerance: 1e-5)
    #expect(operators.contains("BatchNormalization") == !(form.isFolded || form == .kept))
    let isFused = form.isFolded && ["Relu", "Sigmoid"].contains(activation)
    #expect(operators.contains("FusedConv") == isFused)
  }
}
