import Base
import Graphs
import Tensors
import Testing

@testable import Exchange

/// Files that break the rules are refused with a reason; none of them may stop the process.
struct HostileModelTests {
  private func decode(_ bytes: [UInt8]) throws(StackLensError) -> Model {
    try ONNX.decode(ByteSource(copying: bytes), folder: nil)
  }

  private func decodeError(_ graph: Graph) -> StackLensError {
    failure { () throws(StackLensError) in _ = try decode(SmallModels.bytes(graph)) }
  }

  @Test func refusesEveryTruncation() throws {
    let bytes = SmallModels.bytes(try SmallModels.reluThenReshape())
    _ = try ONNX.load(bytes: bytes)
    // The graph is the last field, so that every shorter file breaks it.
    for length in 0..<bytes.count {
      let error = failure { () throws(StackLensError) in
        _ = try ONNX.load(bytes: Array(bytes[..<length]))
      }
      #expect(error.status == .formatError, "length \(length): \(error)")
    }
  }

  @Test func refusesGarbage() {
    let cases: [[UInt8]] = [
      [], [0], [0xff], Array("not a model at all".utf8), [0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f],
      [UInt8](repeating: 0xff, count: 64), [UInt8](repeating: 0, count: 64), [0x0b, 0x0c],
      [0x3a] + [UInt8](repeating: 0xff, count: 9) + [0x01],
    ]
    for bytes in cases {
      let error = failure { () throws(StackLensError) in _ = try decode(bytes) }
      #expect(error.status == .formatError, "\(bytes): \(error)")
    }
  }

  @Test func refusesDeepMessages() {
    // type_proto inside type_proto, far past any stack's depth.
    var type = WireWriter()
    for _ in 0..<5000 {
      var sequence = WireWriter()
      sequence.message(1, type)
      type = WireWriter()
      type.message(4, sequence)
    }
    var info = WireWriter()
    info.string(1, "x")
    info.message(2, type)
    var graph = WireWriter()
    graph.message(11, info)
    var model = WireWriter()
    model.integer(1, 8)
    model.message(7, graph)
    let error = failure { () throws(StackLensError) in _ = try decode(model.joined()) }
    #expect(error.status == .limitExceeded, "\(error)")
  }

  @Test func refusesDeepGraphs() {
    var graph = SmallModels.graph([Node("Relu", inputs: ["x"], outputs: ["y"])])
    for _ in 0..<200 {
      graph = SmallModels.graph([
        Node("If", inputs: ["x"], outputs: ["y"], attributes: ["then_branch": .graph(graph)])
      ])
    }
    #expect(decodeError(graph).status == .limitExceeded)
    #expect(
      failure { () throws(StackLensError) in try graph.verify() }.status == .limitExceeded)
  }

  @Test func refusesUndefinedNames() {
    let input = decodeError(
      SmallModels.graph([Node("Relu", inputs: ["nobody"], outputs: ["y"], name: "n1")]))
    #expect(input.message.contains("'n1'") && input.message.contains("'nobody'"), "\(input)")
    let output = decodeError(
      SmallModels.graph([Node("Relu", inputs: ["x"], outputs: ["z"])], outputs: ["y"]))
    #expect(output.message.contains("'y'"), "\(output)")
  }

  @Test func refusesDuplicateNames() throws {
    let relu = Node("Relu", inputs: ["x"], outputs: ["y"], name: "a")
    let twice = decodeError(SmallModels.graph([relu, relu]))
    #expect(twice.status == .formatError && twice.message.contains("'y'"), "\(twice)")
    let input = decodeError(
      SmallModels.graph([Node("Relu", inputs: ["x"], outputs: ["x"])], outputs: ["x"]))
    #expect(input.status == .formatError, "\(input)")
    let inputs = decodeError(SmallModels.graph([relu], inputs: ["x", "x"]))
    #expect(inputs.status == .formatError, "\(inputs)")
    let constant = Initializer("w", try Tensor([Float(1)]))
    let constants = decodeError(SmallModels.graph([relu], initializers: [constant, constant]))
    #expect(constants.status == .formatError && constants.message.contains("'w'"), "\(constants)")
  }

  @Test func namesTheNodesOfACycle() {
    let error = decodeError(
      SmallModels.graph([
        Node("Relu", inputs: ["c"], outputs: ["a"], name: "first"),
        Node("Relu", inputs: ["a"], outputs: ["b"], name: "second"),
        Node("Relu", inputs: ["b"], outputs: ["c"], name: "third"),
        Node("Relu", inputs: ["a"], outputs: ["y"], name: "outside"),
      ]))
    #expect(error.status == .formatError)
    for name in ["first", "second", "third"] { #expect(error.message.contains("'\(name)'")) }
    #expect(!error.message.contains("'outside'"), "\(error)")
  }

  @Test func sortsALongChainWrittenBackwards() throws {
    let count = 20_000
    let nodes = (0..<count).reversed().map { index in
      Node(
        "Relu", inputs: [index == 0 ? "x" : "v\(index - 1)"],
        outputs: [index == count - 1 ? "y" : "v\(index)"])
    }
    let model = try decode(SmallModels.bytes(SmallModels.graph(nodes)))
    #expect(model.graph.nodes.first?.inputs == ["x"])
    #expect(model.graph.nodes.last?.outputs == ["y"])
  }

  @Test func listsAllUnknownOperators() {
    let graph = SmallModels.graph([
      Node("Nonsense", inputs: ["x"], outputs: ["a"], name: "n1"),
      Node("Relu", inputs: ["a"], outputs: ["b"]),
      Node("Nonsense", inputs: ["b"], outputs: ["c"], name: "n2"),
      Node("Gibberish", inputs: ["c"], outputs: ["y"], name: "n3"),
    ])
    let error = failure { () throws(StackLensError) in
      _ = try ONNX.load(bytes: SmallModels.bytes(graph))
    }
    #expect(error.status == .unsupported)
    for word in ["Nonsense", "Gibberish", "'n1'", "'n2'", "'n3'"] {
      #expect(error.message.contains(word), "\(error)")
    }
    #expect(!error.message.contains("Relu"))
  }

  @Test func checksVersions() {
    let graph = SmallModels.graph([Node("Relu", inputs: ["x"], outputs: ["y"])])
    for imports in [["": 29], ["ai.onnx.ml": 1]] {
      let error = failure { () throws(StackLensError) in
        _ = try ONNX.load(bytes: SmallModels.bytes(Model(graph: graph, opsetImports: imports)))
      }
      #expect(error.status == .unsupported || error.status == .formatError, "\(imports): \(error)")
      #expect(error.message.contains("ai.onnx"), "\(error)")
    }
  }

  @Test func checksArityAndAttributes() {
    for node in [
      Node("Relu", inputs: [], outputs: ["y"], name: "bad"),
      Node("Relu", inputs: ["x", "x", "x"], outputs: ["y"], name: "bad"),
      Node("Relu", inputs: ["x"], outputs: ["y", "z"], name: "bad"),
      Node(
        "Reshape", inputs: ["x", "x"], outputs: ["y"], attributes: ["allowzero": .string("1")],
        name: "bad"),
      Node("Constant", inputs: [], outputs: ["y"], name: "bad"),
      Node(
        "Relu", inputs: ["x"], outputs: ["y"], attributes: ["a": .reference("b", kind: 1)],
        name: "bad"),
    ] {
      let error = failure { () throws(StackLensError) in
        _ = try ONNX.load(bytes: SmallModels.bytes(SmallModels.graph([node])))
      }
      #expect(
        error.status == .invalidArgument || error.status == .formatError, "\(node): \(error)")
      #expect(error.message.contains("'bad'"), "\(error)")
    }
  }

  @Test func boundsSparseTensors() {
    var values = WireWriter()
    values.integers(1, [1])
    values.integer(2, 1)
    values.floats(4, [1])
    var indices = WireWriter()
    indices.integers(1, [1])
    indices.integer(2, 7)
    indices.integers(7, [0])
    for dims in [[1 << 40], [1 << 31, 1 << 31, 1 << 31], [0], [-1]] as [[Int64]] {
      var sparse = WireWriter()
      sparse.message(1, values)
      sparse.message(2, indices)
      sparse.integers(3, dims)
      var graph = WireWriter()
      graph.message(15, sparse)
      var model = WireWriter()
      model.integer(1, 8)
      model.message(7, graph)
      let error = failure { () throws(StackLensError) in _ = try decode(model.joined()) }
      #expect(error.status != .internalError, "\(dims): \(error)")
    }
  }
}
