import Base
import Exchange
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Execution

/// Gradients against PyTorch's autograd: Golden/gradients.safetensors, which
/// scripts/generate-gradient-golden.py writes.
struct GradientGoldenTests {
  typealias Build = @Sendable (GraphBuilder, [Edge]) throws(StackLensError) -> [Edge]

  struct Case: CustomTestStringConvertible, Sendable {
    let name: String
    /// How many of the inputs are variables; nil for all floats.
    var variables: Int?
    let build: Build
    var testDescription: String { name }

    init(_ name: String, variables: Int? = nil, _ build: @escaping Build) {
      (self.name, self.variables, self.build) = (name, variables, build)
    }
  }

  /// float32 against float64: sums of up to some hundred terms.
  static let tolerance = 2e-5

  static func golden() throws -> SafetensorsFile {
    var folder = "\(#filePath)"
    while folder.last != "/" { folder.removeLast() }
    return try SafetensorsFile.load(path: folder + "Golden/gradients.safetensors")
  }

  @Test func everyCaseOfTheFileIsBuilt() throws {
    let names = Set(try Self.golden().names.compactMap { $0.split(separator: "/").first })
    #expect(names == Set(Self.cases.map { Substring($0.name) }))
  }

  @Test(arguments: cases) func agreesWithPyTorch(_ test: Case) throws {
    try check(test, isTraining: false)
  }

  @Test(arguments: cases) func agreesInTrainingForm(_ test: Case) throws {
    try check(test, isTraining: true)
  }

  private func check(_ test: Case, isTraining: Bool) throws {
    let file = try Self.golden()
    func listed(_ kind: String) -> [Tensor] {
      var found: [Tensor] = []
      while let tensor = file["\(test.name)/\(kind)\(found.count)"] { found.append(tensor) }
      return found
    }
    let (inputs, results, weights) = (listed("x"), listed("y"), listed("w"))
    let builder = GraphBuilder(test.name)
    let edges = inputs.enumerated().map { index, tensor in
      builder.input("x\(index)", tensor.elementType, tensor.shape.dims.map { .fixed($0) })
    }
    let outputs = try test.build(builder, edges)
    #expect(outputs.count == results.count)
    var graph = builder.graph
    if isTraining {
      var count = 0
      graph.nodes = Differentiation.trainingForm(of: graph.nodes) { hint in
        count += 1
        return "\(hint) \(count)"
      }
    }
    let variables = inputs.indices.filter {
      inputs[$0].elementType == .float32 && $0 < test.variables ?? .max
    }
    let gradients = try graph.addGradients(
      of: outputs, weights: weights, with: variables.map { "x\($0)" })
    graph.outputs = (outputs + gradients).map { ValueInfo($0.name, .unknown) }
    try graph.verify()
    var expected = results
    for index in variables { expected.append(try #require(file["\(test.name)/g\(index)"])) }
    var given: [String: Tensor] = [:]
    for (index, tensor) in inputs.enumerated() { given["x\(index)"] = tensor }
    for threads in 1...2 {
      let found = try session(graph, threads: threads).run(tensors: given)
      for (index, (value, wanted)) in zip(found, expected).enumerated() {
        let text = difference([value], [.tensor(wanted)], tolerance: Self.tolerance)
        #expect(text == nil, "\(graph.outputs[index].name)")
      }
    }
  }
}
