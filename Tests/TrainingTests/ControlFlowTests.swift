import Base
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Training

/// Loops and branches are trained through like the nodes that they stand for.
struct ControlFlowTests {
  private static let width = 4

  private func start() throws -> (GraphBuilder, x: Edge, w: Edge) {
    let graph = GraphBuilder("rounds")
    let x = graph.input("x", .float32, [.fixed(3), .fixed(Self.width)])
    let w = graph.constant("w", try normal([Self.width, Self.width], seed: 1, scale: 0.5))
    return (graph, x, w)
  }

  private func losses(_ graph: GraphBuilder, _ y: Edge) throws -> [Double] {
    graph.output(y, "y", .float32, nil)
    let trainer = try trainer(
      Model(graph: graph.graph), #"{"loss": "mse", "optimizer": "sgd", "learning_rate": 0.2}"#)
    let x = try normal([3, Self.width], seed: 7)
    let target = try normal([3, Self.width], seed: 8)
    return try (0..<5).map { _ in try trainer.step(["x": x, "target": target]).loss }
  }

  private func round(_ state: String, to next: String) -> [Node] {
    [
      Node("MatMul", inputs: [state, "w"], outputs: ["product"]),
      Node("Tanh", inputs: ["product"], outputs: [next]),
    ]
  }

  /// A body of Loop that makes a round of its state.
  /// - Parameter scans: whether the states of all rounds are an output.
  private func loopBody(scans: Bool) -> Graph {
    var body = Graph(
      name: "body",
      inputs: [
        ValueInfo("i", .tensor(.int64, [])), ValueInfo("go", .tensor(.bool, [])),
        ValueInfo("h", .tensor(.float32, nil)),
      ],
      outputs: [ValueInfo("on", .tensor(.bool, [])), ValueInfo("next", .tensor(.float32, nil))],
      nodes: round("h", to: "next") + [Node("Identity", inputs: ["go"], outputs: ["on"])])
    if scans {
      body.outputs.append(ValueInfo("seen", .tensor(.float32, nil)))
      body.nodes.append(Node("Identity", inputs: ["next"], outputs: ["seen"]))
    }
    return body
  }

  @Test func loopsWithAConstantCount() throws {
    let (graph, x, _) = try start()
    let body = loopBody(scans: true)
    let count = graph.constant("count", try Tensor(scalar: Int64(3)))
    let made = graph.add("Loop", [count, nil, x], ["body": .graph(body)], outputs: 2)
    let sum = graph.add("ReduceSum", [made[1], try graph.ints("axes", [0])], ["keepdims": .int(0)])
    let found = try losses(graph, made[0] + sum)

    let (plain, input, w) = try start()
    var states: [Edge] = []
    for _ in 0..<3 { states.append(plain.add("Tanh", [plain.matMul(states.last ?? input, w)])) }
    let expected = try losses(plain, states[2] + plain.add("Sum", states))
    for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-6 * b) }
    #expect(found[4] < found[0])
  }

  @Test(arguments: [false, true]) func scansOverAFixedExtent(isBack: Bool) throws {
    let (graph, x, _) = try start()
    let body = Graph(
      name: "body",
      inputs: [
        ValueInfo("h", .tensor(.float32, nil)), ValueInfo("row", .tensor(.float32, nil)),
      ],
      outputs: [
        ValueInfo("next", .tensor(.float32, nil)), ValueInfo("seen", .tensor(.float32, nil)),
      ],
      nodes: [Node("Add", inputs: ["h", "row"], outputs: ["sum"])] + round("sum", to: "next") + [
        Node("Identity", inputs: ["next"], outputs: ["seen"])
      ])
    let zero = graph.add("Mul", [try row(graph, x, 0), try graph.scalar("zero", 0)])
    let direction: Attribute = .ints([isBack ? 1 : 0])
    let made = graph.add(
      "Scan", [zero, x],
      [
        "body": .graph(body), "num_scan_inputs": .int(1), "scan_input_directions": direction,
        "scan_output_directions": direction,
      ], outputs: 2)
    let found = try losses(graph, made[1] + made[0])

    let (plain, input, w) = try start()
    var state = plain.add("Mul", [try row(plain, input, 0), try plain.scalar("zero", 0)])
    var rows: [Edge] = []
    for index: Int64 in isBack ? [2, 1, 0] : [0, 1, 2] {
      state = plain.add("Tanh", [plain.matMul(state + (try row(plain, input, index)), w)])
      rows.append(state)
    }
    let axes = try plain.ints("axes", [0])
    let stacked = plain.add(
      "Concat", (isBack ? rows.reversed() : rows).map { plain.add("Unsqueeze", [$0, axes]) },
      ["axis": .int(0)])
    let expected = try losses(plain, stacked + state)
    for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-6 * b) }
  }

  private func row(_ graph: GraphBuilder, _ x: Edge, _ index: Int64) throws -> Edge {
    graph.add("Gather", [x, graph.constant(try Tensor(scalar: index))])
  }

  @Test(arguments: [false, true]) func branches(takesFirst: Bool) throws {
    func graph(_ name: String, _ opType: String) -> Graph {
      Graph(
        name: name, outputs: [ValueInfo("\(name) y", .tensor(.float32, nil))],
        nodes: [
          Node("MatMul", inputs: ["x", "w"], outputs: ["\(name) product"]),
          Node(opType, inputs: ["\(name) product"], outputs: ["\(name) y"]),
        ])
    }
    let (builder, x, _) = try start()
    // The sign of the data decides, so nothing can be folded.
    let total = builder.add("ReduceSum", [builder.add("Abs", [x])], ["keepdims": .int(0)])
    let condition = builder.add(
      "Greater", [total, try builder.scalar("limit", takesFirst ? 0 : 1e6)])
    let y = builder.add(
      "If", [condition],
      ["then_branch": .graph(graph("a", "Tanh")), "else_branch": .graph(graph("b", "Sigmoid"))])
    let found = try losses(builder, y)

    let (plain, input, w) = try start()
    let expected = try losses(
      plain, plain.add(takesFirst ? "Tanh" : "Sigmoid", [plain.matMul(input, w)]))
    for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-6 * b) }
  }

  @Test func loopsWhoseCountTheDataDecides() throws {
    let (graph, x, _) = try start()
    let body = loopBody(scans: false)
    let total = graph.add("ReduceSum", [graph.add("Abs", [x])], ["keepdims": .int(0)])
    let count = graph.add("Cast", [total], ["to": .int(Int64(ElementType.int64.rawValue))])
    let y = graph.add("Loop", [count, nil, x], ["body": .graph(body)])
    let error = failure { _ = try losses(graph, y) }
    #expect(error?.message.contains("(Loop)") == true, "\(error?.message ?? "")")
    #expect(error?.message.contains("make its trip count a constant") == true)
  }

  @Test func sequencesOfKnownItems() throws {
    let (graph, x, _) = try start()
    let body = Graph(
      name: "body", inputs: [ValueInfo("row", .tensor(.float32, nil))],
      outputs: [ValueInfo("next", .tensor(.float32, nil))], nodes: round("row", to: "next"))
    func place(_ index: Int64) throws -> Edge { graph.constant(try Tensor(scalar: index)) }
    let rows = graph.add("SplitToSequence", [x, try place(1)])
    let mapped = graph.add("SequenceMap", [rows], ["body": .graph(body)])
    let first = graph.add("SequenceAt", [mapped, try place(-3)])
    let longer = graph.add("SequenceInsert", [mapped, first, try place(0)])
    let shorter = graph.add("SequenceErase", [longer])
    let stacked = graph.add("ConcatFromSequence", [shorter], ["axis": .int(0)])
    let pair = graph.add("SequenceConstruct", [x, stacked])
    let both = graph.add(
      "ConcatFromSequence", [pair], ["axis": .int(0), "new_axis": .int(1)])
    let lines = graph.add("SplitToSequence", [both], ["keepdims": .int(0)])
    let last = graph.add("SequenceAt", [lines, try place(1)])
    let found = try losses(graph, last)

    let (plain, input, w) = try start()
    let whole = plain.add("Tanh", [plain.matMul(input, w)])
    let expected = try losses(
      plain, plain.add("Gather", [whole, try plain.ints("rows", [0, 0, 1])]))
    for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-6 * b) }
    #expect(found[4] < found[0])
  }
}
