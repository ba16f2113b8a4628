import Base
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Operators

/// Types of all values of a graph, extents by symbol.
@Suite struct TypeInferenceTests {
  private let batch: Dimension = .named("batch")

  private func types(_ build: (GraphBuilder) throws -> Void) rethrows -> GraphTypes {
    let builder = GraphBuilder("g")
    try build(builder)
    return GraphTypes(of: builder.graph)
  }

  /// The extents of a value; "?" for unknown ones and for names that stand for nothing declared.
  private func extents(_ types: GraphTypes, _ name: String) -> [String]? {
    guard case .tensor(_, let dims?)? = types.values[name] else { return nil }
    return dims.map { $0.description.hasPrefix("dim") ? "?" : $0.description }
  }

  @Test func keepsNamesThroughProductsAndBroadcasts() throws {
    let found = try types { graph in
      let x = graph.input("x", .float32, [batch, .fixed(4)])
      let w = graph.constant("w", try Tensor(zeros: .float32, Shape([4, 8])))
      let b = graph.constant("b", try Tensor(zeros: .float32, Shape([8])))
      graph.output(graph.matMul(x, w) + b, "y", .float32, nil)
    }
    #expect(found.values["y"] == .tensor(.float32, [batch, .fixed(8)]))
  }

  @Test func findsFormulas() throws {
    let found = try types { graph in
      let x = graph.input("x", .float32, [batch, .named("seq"), .fixed(6)])
      graph.output(graph.add("Concat", [x, x], ["axis": .int(0)]), "twice", .float32, nil)
      graph.output(try graph.reshape(x, [-1, 3]), "flat", .float32, nil)
      let pads = try graph.ints("pads", [0, 1, 0, 0, 2, 0])
      graph.output(graph.add("Pad", [x, pads]), "padded", .float32, nil)
    }
    #expect(
      found.values["twice"]
        == .tensor(.float32, [.named("2*batch"), .named("seq"), .fixed(6)]))
    #expect(found.values["flat"] == .tensor(.float32, [.named("2*batch*seq"), .fixed(3)]))
    #expect(
      found.values["padded"] == .tensor(.float32, [batch, .named("seq + 3"), .fixed(6)]))
  }

  @Test func followsShapesThroughTheirComputation() throws {
    let found = try types { graph in
      let x = graph.input("x", .float32, [batch, .named("seq"), .fixed(12)])
      let shape = graph.add("Shape", [x], ["end": .int(2)])
      let heads = try graph.ints("heads", [3, 4])
      let target = graph.add("Concat", [shape, heads], ["axis": .int(0)])
      let split = graph.add("Reshape", [x, target])
      graph.output(graph.transpose(split, [0, 2, 1, 3]), "y", .float32, nil)
    }
    #expect(
      found.values["y"] == .tensor(.float32, [batch, .fixed(3), .named("seq"), .fixed(4)]))
  }

  @Test func givesExtentsThatDependOnDataOneIdentity() {
    let found = types { graph in
      let x = graph.input("x", .float32, [batch])
      let places = graph.add("NonZero", [x])
      graph.output(graph.transpose(places, [1, 0]), "columns", .int64, nil)
      graph.output(graph.add("Cast", [places], ["to": .int(1)]), "rows", .float32, nil)
      graph.output(graph.add("NonMaxSuppression", [x, x]), "other", .int64, nil)
    }
    #expect(found.values["columns"] == .tensor(.int64, [.named("dim1"), .fixed(1)]))
    #expect(found.values["rows"] == .tensor(.float32, [.fixed(1), .named("dim1")]))
    #expect(extents(found, "other") == ["?", "3"])
  }

  @Test func doesNotBelieveWhatAConstantCutsOff() throws {
    let found = try types { graph in
      let x = graph.input("x", .float32, [batch])
      let (zero, five) = (try graph.ints("zero", [0]), try graph.ints("five", [5]))
      graph.output(graph.add("Slice", [x, zero, five]), "y", .float32, nil)
    }
    #expect(extents(found, "y") == ["?"])
  }

  @Test func knowsTheRankWhereOnlyAValueIsMissing() {
    let found = types { graph in
      let x = graph.input("x", .float32, [batch, .fixed(6)])
      let target = graph.input("target", .int64, [.fixed(3)])
      let axes = graph.input("axes", .int64, [.fixed(1)])
      let split = graph.input("split", .int64, [.fixed(2)])
      graph.output(graph.add("Reshape", [x, target]), "y", .float32, nil)
      graph.output(graph.add("Unsqueeze", [x, axes]), "z", .float32, nil)
      let parts = graph.add("Split", [x, split], ["axis": .int(1)], outputs: 2)
      graph.output(parts[0], "part", .float32, nil)
    }
    #expect(extents(found, "y") == ["?", "?", "?"])
    #expect(extents(found, "z") == ["?", "?", "?"])
    #expect(extents(found, "part") == ["batch", "?"])
  }

  @Test func letsUndeclaredExtentsMeet() throws {
    let found = try types { graph in
      let x = graph.input("x", .float32, [.unknown, .fixed(3)])
      let y = graph.input("y", .float32, [.unknown, .unknown])
      let w = graph.constant("w", try Tensor(zeros: .float32, Shape([7, 2])))
      graph.output(x + y, "sum", .float32, nil)
      graph.output(graph.matMul(y, w), "product", .float32, nil)
    }
    #expect(extents(found, "sum") == ["?", "3"])
    #expect(extents(found, "product") == ["?", "2"])
  }

  @Test func findsElementTypesWithoutShapes() {
    let found = types { graph in
      let x = graph.input("x", .float16, nil)
      let hidden = graph.add("Conv", [x, x])
      graph.output(graph.add("Greater", [hidden, hidden]), "y", .bool, nil)
      graph.output(graph.add("Shape", [hidden]), "shape", .int64, nil)
    }
    #expect(found.elementType(of: "Conv.out") == .float16)
    #expect(found.elementType(of: "y") == .bool)
    #expect(found.elementType(of: "shape") == .int64)
  }

  @Test func walksBranchesAndLoops() {
    let body = Graph(
      name: "body",
      inputs: [
        ValueInfo("i", .tensor(.int64, [])), ValueInfo("on", .tensor(.bool, [])),
        ValueInfo("state", .unknown),
      ],
      outputs: [
        ValueInfo("on_out", .unknown), ValueInfo("grown", .unknown), ValueInfo("seen", .unknown),
      ],
      nodes: [
        Node("Identity", inputs: ["on"], outputs: ["on_out"]),
        Node(
          "Concat", inputs: ["state", "x"], outputs: ["grown"], attributes: ["axis": .int(0)]),
        Node("Relu", inputs: ["x"], outputs: ["seen"]),
      ])
    let graph = Graph(
      name: "g",
      inputs: [
        ValueInfo("n", .tensor(.int64, [])), ValueInfo("c", .tensor(.bool, [])),
        ValueInfo("x", .tensor(.float32, [batch, .fixed(2)])),
      ],
      outputs: [ValueInfo("end", .unknown), ValueInfo("all", .unknown)],
      nodes: [
        Node(
          "Loop", inputs: ["n", "c", "x"], outputs: ["end", "all"],
          attributes: ["body": .graph(body)])
      ])
    let found = GraphTypes(of: graph)
    #expect(extents(found, "end") == ["?", "2"])
    #expect(extents(found, "all") == ["?", "batch", "2"])
    let typed = graph.typed()
    guard case .graph(let inner)? = typed.nodes[0].attributes["body"] else {
      Issue.record("the body is gone")
      return
    }
    #expect(inner.outputs[2].type == .tensor(.float32, [batch, .fixed(2)]))
  }

  @Test func typesSequences() throws {
    let found = try types { graph in
      let x = graph.input("x", .float32, [batch, .fixed(2)])
      let y = graph.input("y", .float32, [.named("other"), .fixed(2)])
      let both = graph.add("SequenceConstruct", [x, y])
      graph.output(both, "both", .float32, nil)
      graph.output(
        graph.add("SequenceAt", [both, try graph.ints("at", [0])]), "item", .float32, nil)
      graph.output(graph.add("SequenceLength", [both]), "count", .int64, nil)
    }
    #expect(extents(found, "item") == ["?", "2"])
    #expect(found.values["count"] == .tensor(.int64, []))
    #expect(found.elementType(of: "item") == .float32)
  }

  @Test func saysWhatContradictsADeclaration() throws {
    let graph = GraphBuilder("g")
    let x = graph.input("x", .float32, [batch, .fixed(4)])
    let w = graph.constant("w", try Tensor(zeros: .float32, Shape([4, 8])))
    graph.output(graph.matMul(x, w), "y", .float32, [batch, .fixed(9)])
    do throws(StackLensError) {
      try graph.graph.verifyTypes()
      Issue.record("nothing was found")
    } catch {
      #expect(error.status == .shapeMismatch)
      for part in ["'Identity'", "'y'", "float32[batch, 9]", "float32[batch, 8]", "'MatMul.out'"] {
        #expect(error.message.contains(part), "\(error.message)")
      }
    }
    var typed = graph.graph
    typed.outputs[0].type = .tensor(.int32, nil)
    #expect(throws: StackLensError.self) { try typed.verifyTypes() }
    typed.outputs[0].type = .tensor(.float32, [.unknown, .named("width")])
    try typed.verifyTypes()
  }

  @Test func reportsNodesThatCanNeverRun() throws {
    let graph = GraphBuilder("g")
    let x = graph.input("x", .float32, [.fixed(2), .fixed(3)])
    graph.output(graph.matMul(x, x), "y", .float32, nil)
    do throws(StackLensError) {
      try graph.graph.verifyTypes()
      Issue.record("nothing was found")
    } catch {
      #expect(error.message.contains("'MatMul'") && error.message.contains("float32[2, 3]"))
    }
  }

  @Test func staysLinearInNestedLoops() {
    var inner = Graph(
      name: "innermost", inputs: loopInputs, outputs: loopOutputs,
      nodes: [
        Node("Identity", inputs: ["on"], outputs: ["on_out"]),
        Node("Concat", inputs: ["s", "s"], outputs: ["s_out"], attributes: ["axis": .int(0)]),
      ])
    for depth in 0..<40 {
      inner = Graph(
        name: "level\(depth)", inputs: loopInputs, outputs: loopOutputs,
        nodes: [
          Node("Identity", inputs: ["on"], outputs: ["on_out"]),
          Node(
            "Loop", inputs: ["i", "on", "s"], outputs: ["s_out"],
            attributes: ["body": .graph(inner)]),
        ])
    }
    let clock = ContinuousClock()
    let time = clock.measure { _ = GraphTypes(of: inner) }
    #expect(time < .seconds(5))
  }

  private let loopInputs = [
    ValueInfo("i", .tensor(.int64, [])), ValueInfo("on", .tensor(.bool, [])),
    ValueInfo("s", .tensor(.float32, [.named("n")])),
  ]
  private let loopOutputs = [ValueInfo("on_out", .unknown), ValueInfo("s_out", .unknown)]
}

/// The types that are found for a node against what it gives when it runs, over all samples.
struct TypeInferenceSweepTests {
  @Test(arguments: SampleSweepTests.cases) func agreesWithRealOutputs(
    _ test: SampleSweepTests.Case
  ) throws {
    guard !test.definition.isComposition,
      !test.sample.attributes.values.contains(where: { $0.kindName == "graph" })
    else { return }
    let inputs = try test.sample.tensors()
    let node = test.sample.node(test.definition)
    var graph = Graph(name: "sample")
    for (name, tensor) in zip(node.inputs, inputs) {
      guard let tensor else { continue }
      let dims = tensor.shape.dims.map { Dimension.fixed($0) }
      graph.inputs.append(ValueInfo(name, .tensor(tensor.elementType, dims)))
    }
    graph.nodes = [node]
    let found = GraphTypes(of: graph)
    let outputs = try test.definition.evaluate(
      node, inputs: inputs.map { $0.map { .tensor($0) } })
    for (name, output) in zip(node.outputs, outputs) {
      guard case .tensor(let tensor) = output else { continue }
      let real = ValueType.tensor(tensor.elementType, tensor.shape.dims.map { .fixed($0) })
      var type = try #require(found.values[name])
      if case .optional(let content) = type { type = content }
      #expect(!type.contradicts(real), "\(name) is \(real), \(type) was found")
      guard case .tensor(let elementType, _) = type else {
        Issue.record("\(name) is \(real), \(type) was found")
        continue
      }
      #expect(elementType == tensor.elementType)
    }
  }
}
