import Base
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Operators

/// Every gradient rule of the table against finite differences, on the operator's own samples.
struct GradientTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let definition: OperatorDefinition
    let sample: Sample
    let index: Int
    var testDescription: String { "\(definition.title) #\(index)" }
  }

  static let cases = OperatorTable.all.filter(isCandidate).flatMap { definition in
    definition.samples.enumerated().compactMap { index, sample -> Case? in
      let test = Case(definition: definition, sample: sample, index: index)
      guard let tensors = try? sample.tensors(),
        tensors.contains(where: { $0?.elementType == .float32 || $0?.elementType == .float64 })
      else { return nil }
      return test
    }
  }

  private static func isCandidate(_ definition: OperatorDefinition) -> Bool {
    // One has none although its output moves, the others do not take float64.
    if ["StopGradient", "NonMaxSuppression", "MatMulNBits", "MatMulBnb4"].contains(definition.name)
    {
      return false
    }
    return definition.gradient?.isExplanation == false
      || definition.name == "SoftmaxCrossEntropyLoss"
  }

  @Test(arguments: cases) func agreesWithFiniteDifferences(_ test: Case) throws {
    var function = try TestFunction(test.definition, test.sample)
    for variable in function.variables { try function.check(variable, order: 1) }
  }

  @Test(arguments: cases) func canBeDifferentiatedAgain(_ test: Case) throws {
    var function = try TestFunction(test.definition, test.sample)
    for variable in function.variables { try function.check(variable, order: 2) }
  }

  @Test func namesTheNodeThatStopsIt() throws {
    let nodes = [
      Node("Exp", inputs: ["x"], outputs: ["a"]),
      Node("Unique", inputs: ["a"], outputs: ["y"], name: "kinds"),
    ]
    let error = failure {
      _ = try Differentiation(nodes, into: GraphBuilder("g")).gradients(of: "y", with: ["x"])
    }
    #expect(error?.status == .unsupported)
    #expect(error?.message.contains("'kinds' (Unique)") == true)
  }

  @Test func independentValuesHaveNoGradient() throws {
    let nodes = [
      Node("Exp", inputs: ["x"], outputs: ["a"]), Node("Shape", inputs: ["x"], outputs: ["s"]),
      Node("Reshape", inputs: ["z", "s"], outputs: ["y"]),
    ]
    let found = try Differentiation(nodes, into: GraphBuilder("g"))
      .gradients(of: "y", with: ["x", "z"])
    #expect(found[0] == nil && found[1] != nil)
  }
}

/// The weighted sum of what an operator makes of a sample in double precision, as nodes.
private struct TestFunction {
  private var values: [String: Value] = [:]
  private var nodes: [Node]
  /// Floating-point inputs.
  private(set) var variables: [String] = []
  private let title: String
  /// Inputs that are the ratio of a dropout inside.
  private static let ratios = [
    "ai.stacklens.Attention": "x4", "ai.stacklens.AttentionGradient": "x5",
  ]

  init(_ definition: OperatorDefinition, _ sample: Sample) throws {
    title = definition.title
    let node = sample.node(definition)
    for (name, tensor) in zip(node.inputs, try sample.tensors()) {
      guard let tensor else { continue }
      guard tensor.elementType.isFloat, let numbers = tensor.numbers else {
        values[name] = .tensor(tensor)
        continue
      }
      values[name] = .tensor(try Tensor(numbers, shape: tensor.shape))
      if !Self.isOption(name, of: definition) { variables.append(name) }
    }
    var rewriter = Rewriter(prefix: "part", constants: { _ in nil }, isTaken: { _ in false })
    nodes =
      definition.isComposition
      ? try definition.lift?(node, definition.newestVersion, &rewriter) ?? [] : [node]
    for constant in rewriter.added { values[constant.name] = .tensor(constant.tensor) }
    let results = try run(nodes, values)
    var terms: [String] = []
    var random = SeededNumbers(7)
    for name in node.outputs {
      guard let result = try results[name]?.tensor(), result.elementType == .float64 else {
        continue
      }
      values["weight \(name)"] = .tensor(try random.tensor(.float64, result.shape.dims))
      nodes.append(
        Node("Mul", inputs: [name, "weight \(name)"], outputs: ["weighted \(name)"]))
      nodes.append(total("weighted \(name)", "term \(name)"))
      terms.append("term \(name)")
    }
    nodes.append(Node("Sum", inputs: terms, outputs: ["loss 0"]))
    if terms.isEmpty { nodes.removeLast() }
  }

  /// Scales and counts decide extents, a ratio is no variable of a random choice, and regions name
  /// images.
  private static func isOption(_ name: String, of definition: OperatorDefinition) -> Bool {
    if definition.name == "OneHot" { return name != "x2" }
    if let ratio = ratios[definition.title] { return name == ratio }
    return [
      "Resize", "ResizeGradient", "Dropout", "SeededDropout", "MaxRoiPool", "MaxRoiPlaces", "Range",
    ].contains(definition.name) && name != "x0"
  }

  private func total(_ name: String, _ result: String) -> Node {
    Node("ReduceSum", inputs: [name], outputs: [result], attributes: ["keepdims": .int(0)])
  }

  /// Differentiates as often as asked and compares with differences of the last function.
  mutating func check(_ variable: String, order: Int) throws {
    guard nodes.last?.outputs == ["loss 0"], let x = try values[variable]?.tensor(), x.count > 0
    else { return }
    var program = nodes
    var gradient: Edge?
    var random = SeededNumbers(11)
    var copy = values
    for step in 0..<order {
      let builder = GraphBuilder("g", prefix: "step \(step)")
      do throws(StackLensError) {
        // Rules that know types may take other ways than those that do not.
        gradient = try Differentiation(
          program, into: builder, types: order == 1 ? type : { _ in nil }
        )
        .gradients(of: "loss \(step)", with: [variable])[0]
      } catch {
        // A rule says itself which inputs it does not cover.
        #expect(error.status == .unsupported, "\(error)")
        #expect(!error.message.contains("no gradient rule"), "\(error)")
        return
      }
      program += builder.graph.nodes
      for constant in builder.graph.initializers { copy[constant.name] = .tensor(constant.tensor) }
      guard step + 1 < order else { break }
      guard let gradient else { return }
      copy["direction"] = .tensor(try random.tensor(.float64, x.shape.dims))
      program.append(
        Node("Mul", inputs: [gradient.name, "direction"], outputs: ["directed"]))
      program.append(total("directed", "loss \(step + 1)"))
    }
    try compare(gradient, variable, x, program, copy, loss: "loss \(order - 1)")
  }

  private func type(_ name: String) -> ValueType? {
    guard case .tensor(let tensor)? = values[name] else { return nil }
    return .tensor(tensor.elementType, tensor.shape.dims.map { .fixed($0) })
  }

  private func compare(
    _ gradient: Edge?, _ variable: String, _ x: Tensor, _ program: [Node],
    _ values: [String: Value], loss: String
  ) throws {
    let all = try run(program, values)
    var found = [Double](repeating: 0, count: x.count)
    if let gradient {
      let tensor = try #require(try all[gradient.name]?.tensor())
      #expect(tensor.shape == x.shape && tensor.elementType == .float64)
      found = try tensor.elements(as: Double.self)
    }
    let place = try x.elements(as: Double.self)
    let last = program.lastIndex { $0.outputs == [loss] }.map { $0 + 1 } ?? program.count
    func value(_ numbers: [Double]) throws -> Double {
      var moved = values
      moved[variable] = .tensor(try Tensor(numbers, shape: x.shape))
      let results = try run(Array(program[..<last]), moved)
      return try #require(try results[loss]?.tensor().real)
    }
    let base = abs(try value(place))
    for index in Set([0, x.count / 3, x.count / 2, x.count - 1]) {
      let step = 1e-6 * max(1, abs(place[index]))
      var (up, down) = (place, place)
      up[index] += step
      down[index] -= step
      let expected = try (value(up) - value(down)) / (2 * step)
      // Outside of the operator's domain on one side.
      if expected.isNaN { continue }
      let bound = 1e-6 * max(1, base, abs(expected))
      #expect(
        abs(found[index] - expected) <= bound,
        "\(variable)[\(index)]: \(found[index]), by differences \(expected)")
    }
  }
}

/// All values of nodes that are evaluated in their order.
func run(_ nodes: [Node], _ given: [String: Value]) throws -> [String: Value] {
  var values = given
  for node in nodes {
    let definition = try #require(OperatorTable.find(node.opType, domain: node.domain))
    let results = try definition.evaluate(
      node, inputs: node.inputs.map { values[$0] }, subgraphs: node.subgraphEntries())
    for (name, value) in zip(node.outputs, results) where !name.isEmpty { values[name] = value }
  }
  return values
}
