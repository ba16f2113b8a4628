import Base
import Tensors
import TestSupport
import Testing

@testable import Graphs

struct GraphTests {
  private func node(_ inputs: [String], _ outputs: [String], _ name: String = "") -> Node {
    Node("Add", inputs: inputs, outputs: outputs, name: name)
  }

  @Test func buildsEqualGraphsFromEqualSteps() throws {
    func build() throws -> Graph {
      let g = GraphBuilder("mlp")
      let x = g.input("x", .float32, [.named("batch"), .fixed(2)])
      let w = g.constant("w", try Tensor([Float(1), 2, 3, 4], shape: Shape([2, 2])))
      let hidden = try g.scope("layer0") { () throws(StackLensError) in
        g.add("Relu", [g.matMul(x, w) + (try g.scalar("one", 1))])
      }
      let parts = g.add("Split", [hidden], ["num_outputs": .int(2)], outputs: 2)
      g.output(g.add("Clip", [parts[1], nil, parts[0]]), "y", .float32, nil)
      return g.graph
    }
    let graph = try build()
    try graph.verify()
    #expect(graph.listing() == (try build().listing()))
    #expect(
      graph.listing() == """
        graph mlp {
          input x: float32[batch, 2]
          constant w: float32[2, 2]
          constant layer0/one: float32[]
          layer0/MatMul.out = MatMul(x, w)
          layer0/Add.out = Add(layer0/MatMul.out, layer0/one)
          layer0/Relu.out = Relu(layer0/Add.out)
          Split.out0, Split.out1 = Split(layer0/Relu.out) {num_outputs=2}
          Clip.out = Clip(Split.out1, _, Split.out0)
          y = Identity(Clip.out)
          output y: float32[…]
        }
        """)
  }

  @Test func listsSubgraphsIndented() {
    let inner = Graph(name: "inner", outputs: [ValueInfo("a", .unknown)])
    let graph = Graph(
      name: "outer", inputs: [ValueInfo("a", .sequence(.tensor(.string, [])))],
      nodes: [
        Node(
          "If", inputs: ["a"], outputs: ["b"], attributes: ["then_branch": .graph(inner)],
          domain: "own")
      ])
    #expect(
      graph.listing() == """
        graph outer {
          input a: sequence of string[]
          b = own.If(a) {then_branch=graph inner}
            then_branch:
              graph inner {
                output a: unknown
              }
        }
        """)
  }

  @Test func knowsCapturesAndRequiredInputs() throws {
    let graph = Graph(
      inputs: [ValueInfo("x", .unknown), ValueInfo("d", .unknown)],
      outputs: [ValueInfo("outside", .unknown), ValueInfo("y", .unknown)],
      initializers: [Initializer("d", try Tensor([Float(1)]))],
      nodes: [node(["x", "far"], ["y"]), node(["y", "d"], ["z"]), node(["far", ""], ["q"])])
    #expect(graph.captures == ["far", "outside"])
    #expect(graph.requiredInputs.map(\.name) == ["x"])
    let outer = Node(
      "If", inputs: ["c"], outputs: ["r"], attributes: ["then_branch": .graph(graph)])
    #expect(outer.reads == ["c", "far", "outside"])
  }

  @Test func verificationNamesNodeAndReason() throws {
    let x = ValueInfo("x", .unknown)
    let cases: [(Graph, String)] = [
      (
        Graph(inputs: [x], nodes: [node(["x", "w"], ["y"], "sum")]),
        "node 'sum' (Add) reads 'w', which nothing before it makes"
      ),
      (
        Graph(inputs: [x], nodes: [node(["x", "x"], ["x"])]),
        "node producing 'x' (Add) makes 'x', which already exists"
      ),
      (
        Graph(inputs: [x], nodes: [node(["x", "z"], ["y"]), node(["x", "x"], ["z"])]),
        "reads 'z', which nothing before it makes"
      ),
      (Graph(inputs: [x, x]), "two inputs are called 'x'"),
      (Graph(inputs: [ValueInfo("", .unknown)]), "an input has no name"),
      (Graph(outputs: [ValueInfo("q", .unknown)]), "nothing makes the output 'q'"),
      (Graph(nodes: [Node("", inputs: [], outputs: ["y"], name: "n")]), "has no operator"),
      (
        Graph(initializers: [
          Initializer("w", try Tensor([Float(1)])), Initializer("w", try Tensor([Float(1)])),
        ]), "two initialisers are called 'w'"
      ),
      (
        Graph(initializers: [Initializer("", try Tensor([Float(1)]))]), "an initialiser has no name"
      ),
      (
        Graph(nodes: [
          Node(
            "If", inputs: [], outputs: ["y"],
            attributes: ["then_branch": .graph(Graph(outputs: [ValueInfo("v", .unknown)]))],
            name: "choice")
        ]), "node 'choice' (If), attribute 'then_branch'"
      ),
    ]
    for (graph, message) in cases {
      let error = failure { try graph.verify() }
      #expect(error?.status == .formatError)
      #expect(error?.message.contains(message) == true, "\(error?.message ?? "none")")
    }
  }

  @Test func graphsInsideReadOuterValues() throws {
    let inner = Graph(
      outputs: [ValueInfo("r", .unknown)], nodes: [node(["x", "w"], ["r"])])
    let graph = Graph(
      inputs: [ValueInfo("x", .unknown)], outputs: [ValueInfo("y", .unknown)],
      initializers: [Initializer("w", try Tensor([Float(1)]))],
      nodes: [Node("If", inputs: ["x"], outputs: ["y"], attributes: ["then_branch": .graph(inner)])]
    )
    try graph.verify()
    try inner.verify(outer: ["x", "w"])
    #expect(failure { try inner.verify() }?.status == .formatError)
  }

  @Test func refusesDeepNesting() {
    var graph = Graph(name: "leaf")
    for _ in 0..<Graph.maximumDepth {
      graph = Graph(
        nodes: [Node("If", inputs: [], outputs: [], attributes: ["then_branch": .graph(graph)])])
    }
    #expect(failure { try graph.verify() }?.status == .limitExceeded)
    #expect(failure { try graph.sortNodes() }?.status == .limitExceeded)
  }

  @Test func sortsNodesAndFindsCycles() throws {
    var graph = Graph(
      inputs: [ValueInfo("x", .unknown)],
      nodes: [node(["b", "x"], ["c"]), node(["a", "x"], ["b"]), node(["x", "x"], ["a"])])
    try graph.sortNodes()
    try graph.verify()
    #expect(graph.nodes.flatMap(\.outputs) == ["a", "b", "c"])
    var sorted = graph
    sorted.nodes.append(node(["x", "x"], ["z"]))
    let before = sorted.listing()
    try sorted.sortNodes()
    #expect(sorted.listing() == before)
    var cyclic = Graph(
      nodes: [node(["b", ""], ["a"], "first"), node(["a", ""], ["b"], "second")])
    let error = failure { try cyclic.sortNodes() }
    #expect(
      error?.message.contains("cycle: node 'first' (Add) -> node 'second' (Add)") == true
        || error?.message.contains("cycle: node 'second' (Add) -> node 'first' (Add)") == true)
    var doubled = Graph(nodes: [node([], ["a"], "one"), node([], ["a"], "two")])
    #expect(failure { try doubled.sortNodes() }?.message.contains("both make 'a'") == true)
  }

  @Test func sortsLongChainsWithoutRecursion() throws {
    let count = 100_000
    var graph = Graph(
      inputs: [ValueInfo("v0", .unknown)],
      nodes: (0..<count).reversed().map { node(["v\($0)"], ["v\($0 + 1)"]) })
    try graph.sortNodes()
    #expect(graph.nodes.first?.outputs == ["v1"] && graph.nodes.last?.outputs == ["v\(count)"])
  }
}
