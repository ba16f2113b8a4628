import Base
import Graphs
import Tensors
import Testing

@testable import Exchange

/// Functions that a model brings along are expanded where they are called.
struct FunctionTests {
  private func load(
    _ nodes: [Node], _ functions: [Function], outputs: [String] = ["y"]
  ) throws(StackLensError) -> Graph {
    try ONNX.load(
      bytes: SmallModels.bytes(SmallModels.graph(nodes, outputs: outputs), functions: functions)
    ).graph
  }

  private func call(_ name: String, _ input: String, _ output: String) -> Node {
    Node(name, inputs: [input], outputs: [output], name: "call", domain: "local")
  }

  private func function(_ name: String, _ nodes: [Node]) -> Function {
    Function(
      name: name, domain: "local", inputs: ["a"], outputs: ["b"], nodes: nodes,
      opsetImports: ["": 17, "local": 1])
  }

  @Test func expandsNestedCallsWithFreshNames() throws {
    let inner = function(
      "Inner",
      [
        Node("Relu", inputs: ["a"], outputs: ["t"]), Node("Relu", inputs: ["t"], outputs: ["b"]),
      ])
    let outer = function("Outer", [call("Inner", "a", "t"), call("Inner", "t", "b")])
    let graph = try load([call("Outer", "x", "t"), call("Outer", "t", "y")], [outer, inner])
    #expect(graph.nodes.count == 8)
    #expect(graph.nodes.allSatisfy { $0.opType == "Relu" })
    #expect(graph.nodes.first?.inputs == ["x"] && graph.nodes.last?.outputs == ["y"])
    #expect(Set(graph.nodes.flatMap(\.outputs)).count == 8)
  }

  @Test func fillsInAttributes() throws {
    let body = Function(
      name: "F", domain: "local", inputs: ["a"], outputs: ["b"], attributeNames: ["dims"],
      attributeDefaults: ["zero": .int(1)],
      nodes: [
        Node(
          "Constant", inputs: [], outputs: ["s"],
          attributes: ["value_ints": .reference("dims", kind: 7)]),
        Node(
          "Reshape", inputs: ["a", "s"], outputs: ["b"],
          attributes: ["allowzero": .reference("zero", kind: 2)]),
      ], opsetImports: ["": 17])
    var node = call("F", "x", "y")
    let missing = failure { () throws(StackLensError) in _ = try load([node], [body]) }
    #expect(missing.message.contains("'dims'"), "\(missing)")
    node.attributes["dims"] = .ints([-1, 2])
    let graph = try load([node], [body])
    #expect(try graph.initializers.first?.tensor.integers() == [-1, 2])
    guard case .int(1)? = graph.nodes.first?.attributes["allowzero"] else {
      Issue.record("the default is missing: \(graph.nodes)")
      return
    }
  }

  @Test func passesInputsThrough() throws {
    let body = Function(
      name: "F", domain: "local", inputs: ["a"], outputs: ["a"], nodes: [],
      opsetImports: ["": 17])
    let graph = try load([call("F", "x", "y")], [body])
    #expect(graph.nodes.map(\.opType) == ["Identity"])
  }

  @Test func choosesByOverload() throws {
    var one = function("F", [Node("Relu", inputs: ["a"], outputs: ["b"])])
    var two = function(
      "F",
      [
        Node("Relu", inputs: ["a"], outputs: ["t"]), Node("Relu", inputs: ["t"], outputs: ["b"]),
      ])
    one.overload = "one"
    two.overload = "two"
    var node = call("F", "x", "y")
    node.overload = "two"
    #expect(try load([node], [one, two]).nodes.count == 2)
  }

  @Test func refusesRecursion() {
    let first = function("A", [call("B", "a", "b")])
    let second = function("B", [call("A", "a", "b")])
    let error = failure { () throws(StackLensError) in
      _ = try load([call("A", "x", "y")], [first, second])
    }
    #expect(error.status == .formatError && error.message.contains("calls itself"), "\(error)")
  }

  @Test func walksLongChainsWithoutAStack() throws {
    let count = 3000
    let functions = (0..<count).map { index in
      function(
        "F\(index)",
        [
          index == count - 1
            ? Node("Relu", inputs: ["a"], outputs: ["b"]) : call("F\(index + 1)", "a", "b")
        ])
    }
    #expect(try load([call("F0", "x", "y")], functions).nodes.count == 1)
  }

  @Test func boundsExponentialExpansion() {
    let count = 40
    let functions = (0..<count).map { index in
      let next = index == count - 1 ? "Relu" : "F\(index + 1)"
      return function(
        "F\(index)",
        [("a", "t"), ("t", "b")].map { input, output in
          Node(
            next, inputs: [input], outputs: [output], domain: next == "Relu" ? "" : "local")
        })
    }
    let error = failure { () throws(StackLensError) in
      _ = try load([call("F0", "x", "y")], functions)
    }
    #expect(error.status == .limitExceeded, "\(error)")
  }
}
