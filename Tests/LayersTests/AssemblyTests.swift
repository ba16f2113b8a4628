import Base
import Execution
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Layers

struct AssemblyTests {
  private func withInput(_ dims: [Dimension]? = [.named("batch"), .fixed(4)]) throws -> Assembly {
    let assembly = Assembly("net", seed: 42)
    try assembly.input("x", .float32, dims)
    return assembly
  }

  private func status(_ body: () throws -> Void) -> Status? {
    do {
      try body()
      return nil
    } catch { return (error as? StackLensError)?.status }
  }

  @Test func buildsModelsByName() throws {
    let assembly = try withInput()
    let hidden = try assembly.layer(
      "linear", "fc", ["x"],
      options: .object(JSONObject([.init(key: "out_features", value: .integer(3))])),
      atMost: 1)
    let y = try assembly.apply("Relu", hidden, [:], outputCount: 1)
    try assembly.output(y[0], "y")
    let model = try assembly.model()
    #expect(model.graph.initializers.map(\.name).sorted() == ["fc.bias", "fc.weight"])
    #expect(
      model.graph.outputs == [ValueInfo("y", .tensor(.float32, [.named("batch"), .fixed(3)]))])
    let results = try Session(model).run(["x": .tensor(Tensor(zeros: .float32, Shape([2, 4])))])
    #expect(try results[0].tensor().shape == Shape([2, 3]))
  }

  @Test func failedStepsLeaveNoTrace() throws {
    let assembly = try withInput()
    let w = try assembly.parameter("w", Tensor(zeros: .float32, Shape([5, 2])))
    try assembly.output("x", "same")
    let before = try assembly.model().graph.listing()
    let relu = try assembly.apply("Relu", ["x"], [:], outputCount: 1)
    #expect(
      status { _ = try assembly.apply("MatMul", ["x"], [:], outputCount: 1) } == .invalidArgument)
    #expect(
      status { _ = try assembly.apply("Relu", ["y"], [:], outputCount: 1) } == .invalidArgument)
    #expect(
      status { _ = try assembly.apply("Relu", ["x"], ["alpha": .float(1)], outputCount: 1) }
        == .invalidArgument)
    #expect(status { _ = try assembly.apply("Reelu", ["x"], [:], outputCount: 1) } == .unsupported)
    #expect(status { try assembly.input("w", .float32, nil) } == .invalidArgument)
    #expect(status { try assembly.input("z", .float32, [.fixed(-1)]) } == .invalidArgument)
    #expect(status { try assembly.output("x", "same") } == .invalidArgument)
    #expect(status { try assembly.output("x", "w") } == .invalidArgument)
    #expect(
      status { _ = try assembly.parameter("w", Tensor(zeros: .float32, Shape([2]))) }
        == .shapeMismatch)
    let bad = JSON.object(
      JSONObject([
        .init(key: "in_features", value: .integer(7)),
        .init(key: "out_features", value: .integer(3)),
      ]))
    #expect(
      status { _ = try assembly.layer("linear", "fc", ["x"], options: bad, atMost: 1) }
        == .shapeMismatch)
    #expect(try assembly.model().graph.listing() == before)
    #expect(try assembly.apply("Relu", ["x"], [:], outputCount: 1) == ["Relu_1.out"])
    #expect(relu == ["Relu.out"])
    #expect(w == "w")
  }

  @Test func refusesExtentsThatCannotFit() throws {
    let assembly = try withInput([.fixed(3), .fixed(4)])
    let w = try assembly.parameter("w", Tensor(zeros: .float32, Shape([5, 2])))
    #expect(
      status { _ = try assembly.apply("MatMul", ["x", w], [:], outputCount: 1) } == .shapeMismatch)
  }

  @Test func compositionsBecomeWhatTheyStandFor() throws {
    let assembly = try withInput()
    let y = try assembly.apply("Gelu", domain: "com.microsoft", ["x"], [:], outputCount: 1)
    try assembly.output(y[0], "y")
    let model = try assembly.model()
    for node in model.graph.nodes {
      let definition = try #require(OperatorTable.find(node.opType, domain: node.domain))
      #expect(!definition.isComposition)
    }
    #expect(try assembly.type(of: y[0]) == .tensor(.float32, [.named("batch"), .fixed(4)]))
  }

  @Test func goesOnWithModels() throws {
    let first = try withInput()
    let hidden = try first.apply("Relu", ["x"], [:], outputCount: 1)
    try first.output(hidden[0], "features")
    try first.output("x", "unused")
    let second = Assembly(continuing: try first.model(), seed: 1)
    let again = try second.apply("Relu", ["features"], [:], outputCount: 1)
    #expect(again != hidden)
    try second.output(again[0], "y")
    let model = try second.model()
    #expect(model.graph.outputs.map(\.name) == ["y"])
    #expect(model.graph.nodes.count == 4)
    try model.graph.verify()
  }
}
