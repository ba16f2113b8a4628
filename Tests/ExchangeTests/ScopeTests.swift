import Base
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Exchange

/// Graphs inside nodes: what they read from outside, and names that hide others.
struct ScopeTests {
  private func branch(_ nodes: [Node], _ output: String) -> Attribute {
    .graph(SmallModels.graph(nodes, inputs: [], outputs: [output]))
  }

  private func load(_ nodes: [Node], _ initializers: [Initializer]) throws(StackLensError) -> Graph
  {
    try ONNX.load(
      bytes: SmallModels.bytes(SmallModels.graph(nodes, initializers: initializers))
    ).graph
  }

  @Test func sortsByWhatSubgraphsCapture() throws {
    let choice = Initializer("c", try Tensor(scalar: true))
    let reader = Node(
      "If", inputs: ["c"], outputs: ["y"],
      attributes: [
        "then_branch": branch(
          [
            // Written backwards, as the outer nodes are.
            Node("Relu", inputs: ["t"], outputs: ["u"]),
            Node("Relu", inputs: ["h"], outputs: ["t"]),
          ], "u"),
        "else_branch": branch([Node("Relu", inputs: ["x"], outputs: ["u"])], "u"),
      ])
    let graph = try load([reader, Node("Relu", inputs: ["x"], outputs: ["h"])], [choice])
    #expect(graph.nodes.map(\.opType) == ["Relu", "If"])
    #expect(graph.nodes[1].reads.sorted() == ["c", "h", "x"])
  }

  @Test func renamesInnerNamesThatHideOuterOnes() throws {
    let choice = Initializer("c", try Tensor(scalar: true))
    let hiding = branch(
      [Node("Relu", inputs: ["x"], outputs: ["h"]), Node("Relu", inputs: ["h"], outputs: ["z"])],
      "z")
    let reader = Node(
      "If", inputs: ["c"], outputs: ["y"],
      attributes: ["then_branch": hiding, "else_branch": hiding])
    let graph = try load([Node("Relu", inputs: ["x"], outputs: ["h"]), reader], [choice])
    for (_, inner) in try #require(graph.nodes.last).subgraphs {
      let made = inner.nodes.flatMap(\.outputs)
      #expect(made.count == 2 && !made.contains("h") && inner.nodes[1].inputs == [made[0]])
      #expect(inner.outputs.map(\.name) == [made[1]])
    }
  }

  @Test func movesConstantsToTheInitialisers() throws {
    let choice = Node("Constant", inputs: [], outputs: ["c"], attributes: ["value_int": .int(1)])
    let graph = try load([choice, Node("Relu", inputs: ["x"], outputs: ["y"])], [])
    #expect(graph.nodes.count == 1)
    #expect(try graph.initializers.first?.tensor.elements(as: Int64.self) == [1])
  }

  @Test func dropsInputsThatAreConstantsInOldFiles() throws {
    let weights = Initializer("x", try Tensor([Float(1)]))
    let graph = SmallModels.graph(
      [Node("Relu", inputs: ["x"], outputs: ["y"])], initializers: [weights])
    for (version, inputCount) in [(Int64(3), 0), (4, 1)] {
      let bytes = SmallModels.bytes(Model(graph: graph, irVersion: version))
      #expect(try ONNX.load(bytes: bytes).graph.inputs.count == inputCount)
    }
  }

  @Test func readsFilesOlderThanOpset7() throws {
    let old = Node(
      "Relu", inputs: ["x"], outputs: ["y"], attributes: ["consumed_inputs": .ints([0])])
    let model = Model(
      graph: SmallModels.graph([old]), irVersion: 3, opsetImports: ["": 1])
    let read = try ONNX.load(bytes: SmallModels.bytes(model)).graph
    #expect(read.nodes.map(\.opType) == ["Relu"] && read.nodes[0].attributes.isEmpty)
  }
}
