import Base
import Graphs
import Operators
import Tensors
import TestSupport
import Testing

@testable import Execution

/// What plans do with constants, shapes that appear late, subgraphs and memory.
struct PlannerTests {
  @Test func computesShapesWhilePlanning() throws {
    let g = GraphBuilder("shapes")
    let x = g.input("x", .float32, [.named("n"), .fixed(2), .fixed(3)])
    let length = g.add("Gather", [g.add("Shape", [x]), try g.ints("zero", [0])])
    let shape = g.add("Concat", [length, try g.ints("rest", [-1])], ["axis": .int(0)])
    g.output(g.add("Reshape", [g.add("Relu", [x]), shape]), "y")
    let session = try session(g.graph) { $0.isProfiling = true }
    for count in [1, 4] {
      var numbers = SeededNumbers(1)
      let y = try session.run(tensors: ["x": numbers.floats(count, 2, 3)])[0].tensor()
      #expect(y.shape.dims == [count, 6])
    }
    let names = try events(session).map { $0["cat"]?.stringValue }
    #expect(names.filter { $0 == "Relu" }.count == 2)
    #expect(names.contains("Shape") == false && names.contains("Concat") == false)
  }

  @Test func foldsConstantsOnlyWhereItMay() throws {
    let g = GraphBuilder("folding")
    let a = g.constant("a", try Tensor([Float(1), 2]))
    let product = a * g.constant("b", try Tensor([Float(3), 4]))
    let noise = g.add("RandomNormalLike", [product])
    g.output(product + g.floats("x", 2), "y")
    g.output(noise, "noise")
    _ = g.add("Div", [a, g.constant("unused", try Tensor([Float(0), 0]))])
    let session = try session(g.graph, level: 1)
    #expect(
      session.operators.contains("Mul") == false && session.operators.contains("Div") == false)
    #expect(session.operators.contains("RandomNormalLike"))
    #expect(try floats(session.run(tensors: ["x": Tensor([Float(1), 1])])) == [4, 9])
  }

  @Test func keepsErrorsOfNodesThatNeverRun() throws {
    // The branch not taken divides integers by zero.
    let bad = Graph(
      outputs: [ValueInfo("q", .unknown)],
      initializers: [
        Initializer("one", try Tensor([Int64(1)])), Initializer("none", try Tensor([Int64(0)])),
      ],
      nodes: [Node("Div", inputs: ["one", "none"], outputs: ["q"])])
    let good = Graph(
      outputs: [ValueInfo("r", .unknown)],
      nodes: [Node("Identity", inputs: ["one"], outputs: ["r"])])
    let graph = Graph(
      inputs: [ValueInfo("c", .tensor(.bool, []))], outputs: [ValueInfo("y", .unknown)],
      initializers: [Initializer("one", try Tensor([Int64(5)]))],
      nodes: [
        Node(
          "If", inputs: ["c"], outputs: ["y"],
          attributes: ["then_branch": .graph(good), "else_branch": .graph(bad)], name: "choice")
      ])
    let session = try session(graph)
    #expect(try session.run(tensors: ["c": Tensor(scalar: true)])[0].tensor().integers() == [5])
  }

  /// A reshape whose shape is an input keeps what it was made from, whatever runs in between.
  @Test(arguments: 0...2) func lateViewsKeepTheirData(level: Int) throws {
    let g = GraphBuilder("late")
    let x = g.floats("x", 12)
    let shape = g.input("shape", .int64, [.fixed(2)])
    let view = g.add("Reshape", [g.add("Relu", [x]), shape])
    var chain = x
    for _ in 0..<6 { chain = g.add("Neg", [g.add("Exp", [chain])]) }
    g.output(chain, "chain")
    g.output(view + view, "y")
    let session = try session(g.graph, level: level)
    let values = (0..<12).map { Float($0) / 16 }
    for dims in [[3, 4], [2, 6], [12, 1]] {
      let y = try session.run(tensors: [
        "x": Tensor(values), "shape": Tensor(dims.map { Int64($0) }),
      ])[1].tensor()
      #expect(y.shape.dims == dims)
      #expect(try y.elements(as: Float.self) == values.map { 2 * $0 })
    }
  }

  @Test(arguments: 0...2) func branchesHandOnWhatTheyCapture(level: Int) throws {
    let g = GraphBuilder("branch")
    let x = g.floats("x", 8)
    let relu = g.add("Relu", [x])
    let condition = g.input("c", .bool, [])
    let same = Graph(
      name: "same", outputs: [ValueInfo("s", .unknown)],
      nodes: [Node("Identity", inputs: [relu.name], outputs: ["s"])])
    let sum = Graph(
      name: "sum", outputs: [ValueInfo("t", .unknown)],
      nodes: [
        Node("Add", inputs: [relu.name, "x"], outputs: ["u"]),
        Node("Reshape", inputs: ["u", "shape"], outputs: ["t"]),
      ])
    _ = g.constant("shape", try Tensor([Int64(8)]))
    let chosen = g.add(
      "If", [condition], ["then_branch": .graph(same), "else_branch": .graph(sum)])
    var chain = x
    for _ in 0..<6 { chain = g.add("Neg", [g.add("Exp", [chain])]) }
    g.output(chain, "chain")
    g.output(chosen, "y")
    let session = try session(g.graph, level: level)
    let values = (0..<8).map { Float($0) / 8 }
    for (condition, factor) in [(true, Float(1)), (false, 2), (true, 1)] {
      let found = try session.run(tensors: [
        "x": Tensor(values), "c": Tensor(scalar: condition),
      ])[1].tensor()
      #expect(try found.elements(as: Float.self) == values.map { factor * $0 })
    }
  }

  @Test(arguments: 0...2) func loopsCarryCaptureAndStack(level: Int) throws {
    // sum_i: carried += x · scale, with a branch inside that reads both outer graphs.
    let step = Graph(
      name: "step", outputs: [ValueInfo("s", .unknown)],
      nodes: [Node("Mul", inputs: ["relu", "scale"], outputs: ["s"])])
    let none = Graph(
      name: "none", outputs: [ValueInfo("n", .unknown)],
      nodes: [Node("Sub", inputs: ["carried", "carried"], outputs: ["n"])])
    let body = Graph(
      name: "body",
      inputs: [
        ValueInfo("i", .tensor(.int64, [])), ValueInfo("go", .tensor(.bool, [])),
        ValueInfo("carried", .tensor(.float32, nil)),
      ],
      outputs: [
        ValueInfo("go_on", .unknown), ValueInfo("next", .unknown),
        ValueInfo("row", .tensor(.float32, [.fixed(2)])),
      ],
      nodes: [
        Node("Less", inputs: ["i", "two"], outputs: ["early"]),
        Node(
          "If", inputs: ["early"], outputs: ["step"],
          attributes: ["then_branch": .graph(step), "else_branch": .graph(none)]),
        Node("Add", inputs: ["carried", "step"], outputs: ["next"]),
        Node("Identity", inputs: ["next"], outputs: ["row"]),
        Node("Identity", inputs: ["go"], outputs: ["go_on"]),
      ])
    let graph = Graph(
      inputs: [
        ValueInfo("x", .tensor(.float32, [.fixed(2)])), ValueInfo("n", .tensor(.int64, [])),
      ],
      outputs: [ValueInfo("y", .unknown), ValueInfo("rows", .unknown)],
      initializers: [
        Initializer("two", try Tensor(scalar: Int64(2))),
        Initializer("scale", try Tensor(scalar: Float(10))),
      ],
      nodes: [
        Node("Relu", inputs: ["x"], outputs: ["relu"]),
        Node(
          "Loop", inputs: ["n", "", "relu"], outputs: ["y", "rows"],
          attributes: ["body": .graph(body)]),
      ])
    try graph.verify()
    let session = try session(graph, level: level)
    for (count, rows) in [
      (0, []), (1, [11, 22]), (3, [11, 22, 21, 42, 21, 42]),
    ] as [(Int64, [Float])] {
      let found = try session.run(tensors: [
        "x": Tensor([Float(1), 2]), "n": Tensor(scalar: count),
      ])
      #expect(try found[1].tensor().elements(as: Float.self) == rows)
      #expect(
        try found[0].tensor().elements(as: Float.self) == (rows.isEmpty ? [1, 2] : rows.suffix(2)))
    }
  }

  @Test(arguments: 0...2) func sequencesKeepWhatTheyHold(level: Int) throws {
    let g = GraphBuilder("sequence")
    let x = g.floats("x", 4)
    let held = g.add("SequenceConstruct", [g.add("Relu", [x]), x])
    var chain = x
    for _ in 0..<6 { chain = g.add("Neg", [g.add("Exp", [chain])]) }
    g.output(chain, "chain")
    g.output(
      g.add("SequenceAt", [held, g.constant("zero", try Tensor(scalar: Int64(0)))]), "first")
    let session = try session(g.graph, level: level)
    let values = [Float(-1), 0, 0.5, 1]
    let found = try session.run(tensors: ["x": Tensor(values)])[1].tensor()
    #expect(try found.elements(as: Float.self) == [0, 0, 0.5, 1])
  }

  /// Results are the caller's alone: not the inputs', the model's or each other's memory.
  @Test(arguments: 0...2) func resultsHaveMemoryOfTheirOwn(level: Int) throws {
    let g = GraphBuilder("own")
    let x = g.floats("x", 2, 3)
    let weight = g.constant("w", try Tensor([Float(1), 2]))
    g.output(try g.reshape(x, [6]), "view")
    let relu = g.add("Relu", [x])
    g.output(relu, "relu")
    g.output(try g.reshape(relu, [3, 2]), "turned")
    g.output(weight, "weight")
    g.output(x, "same")
    let session = try session(g.graph, level: level)
    let input = try Tensor([Float(1), 2, 3, 4, 5, 6], shape: Shape([2, 3]))
    let first = try session.run(tensors: ["x": input]).map { try $0.tensor() }
    let second = try session.run(tensors: ["x": input]).map { try $0.tensor() }
    let storages = (first + second + [input]).map { ObjectIdentifier($0.storage) }
    #expect(Set(storages).count == storages.count)
    for tensor in first {
      tensor.base.initializeMemory(as: UInt8.self, repeating: 0xff, count: tensor.byteCount)
    }
    let third = try session.run(tensors: ["x": input]).map { try $0.tensor() }
    for (a, b) in zip(second, third) { #expect(a.isIdentical(to: b)) }
  }

  @Test func aGraphMayHandAnInputOn() throws {
    let graph = Graph(
      inputs: [ValueInfo("x", .tensor(.float32, nil))], outputs: [ValueInfo("x", .unknown)])
    let found = try session(graph).run(tensors: ["x": Tensor([Float(7)])])
    #expect(try floats(found) == [7])
  }

  @Test func leavesUnwantedOutputsOut() throws {
    let graph = Graph(
      inputs: [ValueInfo("x", .tensor(.float32, [.fixed(1), .fixed(1), .fixed(4)]))],
      outputs: [ValueInfo("y", .unknown)],
      nodes: [
        Node(
          "MaxPool", inputs: ["x"], outputs: ["", "where"],
          attributes: ["kernel_shape": .ints([2])]),
        Node("Cast", inputs: ["where"], outputs: ["y"], attributes: ["to": .int(1)]),
      ])
    let x = try Tensor([Float(1), 3, 2, 0], shape: Shape([1, 1, 4]))
    #expect(try floats(session(graph).run(tensors: ["x": x])) == [1, 1, 2])
  }

  @Test func arenasStayAsLargeAsTheLargestRun() throws {
    let g = GraphBuilder("arena")
    let x = g.input("x", .float32, [.named("n"), .named("m")])
    var chain = x
    for _ in 0..<5 { chain = g.add("Exp", [g.add("Neg", [chain])]) }
    g.output(g.matMul(chain, g.transpose(chain, [1, 0])), "y")
    let session = try session(g.graph)
    var numbers = SeededNumbers(3)
    _ = try session.run(tensors: ["x": numbers.floats(64, 64)])
    let largest = session.idleByteCount
    #expect(largest >= 2 * 64 * 64 * 4)
    for _ in 0..<200 {
      let dims = [Int.random(in: 0...64, using: &numbers), Int.random(in: 0...64, using: &numbers)]
      _ = try session.run(tensors: ["x": numbers.tensor(.float32, dims)])
      #expect(session.idleByteCount <= largest)
    }
    session.trim()
    #expect(session.idleByteCount == 0)
  }

  /// A frame is used again: nothing of the last run may stay in it.
  @Test func runsLetGoOfWhatTheyWereGiven() throws {
    let g = GraphBuilder("held")
    let x = g.input("x", .float32, [.fixed(2), .fixed(3)])
    let turned = g.add("Reshape", [x, try g.ints("shape", [3, 2])])
    g.output(g.matMul(g.add("Exp", [x]), turned), "y")
    let session = try session(g.graph)
    var results: [[Float]] = []
    for value in [Float(1), 2, 1] {
      let memory = UnsafeMutablePointer<Float>.allocate(capacity: 6)
      defer { memory.deallocate() }
      memory.update(repeating: value, count: 6)
      let isReleased = Mutex(false)
      let tensor = Tensor(
        lending: memory, elementType: .float32, shape: try Shape([2, 3]), isReadOnly: true
      ) { isReleased.withLock { $0 = true } }
      results.append(try floats(session.run(inOrder: [.tensor(consume tensor)])))
      #expect(isReleased.withLock { $0 })
    }
    #expect(results[0] == results[2])
    #expect(results[1] != results[0])
  }

  private func events(_ session: Session) throws -> [JSON] {
    let json = try JSON.parse(Array(session.profile().utf8))
    return try #require(json["traceEvents"]?.arrayValue)
  }
}
