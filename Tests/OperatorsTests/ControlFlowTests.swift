import Base
import Graphs
import Tensors
import Testing

@testable import Operators

struct ControlFlowTests {
  private func loopBody(inputs: Int, outputs: Int, scanType: ValueType = .unknown) -> Attribute {
    .graph(
      Graph(
        inputs: (0..<inputs).map { ValueInfo("i\($0)", .unknown) },
        outputs: (0..<outputs).map { ValueInfo("o\($0)", scanType) }))
  }

  @Test func loopEndsByConditionOrCount() throws {
    // Carries the number of rounds, stacks it, and stops after round 3.
    let body: Evaluation.Subgraph = { (inputs) throws(StackLensError) in
      let round = try inputs[0].tensor().integers()[0]
      let count = try inputs[2].tensor().integers()[0] + 1
      let value = Value.tensor(try Tensor(scalar: Int64(count)))
      return [.tensor(try Tensor(scalar: round < 3)), value, value]
    }
    func run(_ limit: Int64?, _ condition: Bool?) throws -> [[Int]] {
      try evaluate(
        "Loop",
        [
          limit.map { try Tensor(scalar: $0) }, condition.map { try Tensor(scalar: $0) },
          Tensor(scalar: Int64(0)),
        ],
        ["body": loopBody(inputs: 3, outputs: 3, scanType: .tensor(.int64, []))], outputs: 2,
        subgraphs: ["body": body]
      ).map { try $0.tensor().integers() }
    }
    #expect(try run(2, true) == [[2], [1, 2]])
    #expect(try run(.max, nil) == [[4], [1, 2, 3, 4]])
    #expect(try run(nil, true) == [[4], [1, 2, 3, 4]])
    #expect(try run(-5, true) == [[0], []])
    #expect(try run(5, false) == [[0], []])
  }

  @Test func loopRefusesChangingShapes() throws {
    let body: Evaluation.Subgraph = { (inputs) throws(StackLensError) in
      let round = try inputs[0].tensor().integers()[0]
      return [
        .tensor(try Tensor(scalar: true)),
        .tensor(try Tensor(zeros: .float32, try Shape([round + 1]))),
      ]
    }
    let result = status {
      _ = try evaluate(
        "Loop", [Tensor(scalar: Int64(2)), nil], ["body": loopBody(inputs: 2, outputs: 2)],
        subgraphs: ["body": body])
    }
    #expect(result == .shapeMismatch)
  }

  @Test func scanWalksAxesAndDirections() throws {
    // The state keeps the last slice; the slice is stacked.
    let body: Evaluation.Subgraph = { (inputs) throws(StackLensError) in [inputs[1], inputs[1]] }
    let result = try evaluate(
      "Scan", [iota(2), iota(2, 3)],
      [
        "body": loopBody(inputs: 2, outputs: 2), "num_scan_inputs": .int(1),
        "scan_input_axes": .ints([-1]), "scan_input_directions": .ints([1]),
        "scan_output_axes": .ints([1]), "scan_output_directions": .ints([0]),
      ], outputs: 2, subgraphs: ["body": body])
    #expect(try result[0].tensor().elements(as: Float.self) == [0, 3])
    #expect(try result[1].tensor().elements(as: Float.self) == [2, 1, 0, 5, 4, 3])
  }

  @Test func ifRunsOneBranch() throws {
    let branch: Evaluation.Subgraph = { (_) throws(StackLensError) in
      [.tensor(try Tensor(scalar: Int64(7)))]
    }
    let other: Evaluation.Subgraph = { (_) throws(StackLensError) in
      throw .internalError("the other branch runs")
    }
    let attributes = [
      "then_branch": loopBody(inputs: 0, outputs: 1),
      "else_branch": loopBody(inputs: 0, outputs: 1),
    ]
    let result = try evaluate(
      "If", [Tensor(scalar: true)], attributes,
      subgraphs: ["then_branch": branch, "else_branch": other])
    #expect(try result[0].tensor().integers() == [7])
    #expect(
      status {
        _ = try evaluate(
          "If", [Tensor([true, false])], attributes, subgraphs: ["then_branch": branch])
      } == .typeMismatch)
  }

  @Test func editsSequences() throws {
    let definition = { (name: String) in try #require(OperatorTable.find(name, domain: "")) }
    let node = Node("Sequence", inputs: ["s", "x", "p"], outputs: ["y"])
    let items = Value.sequence([.tensor(try iota(1)), .tensor(try iota(2))])
    func position(_ value: Int64) throws -> Value { .tensor(try Tensor(scalar: value)) }

    let longer = try definition("SequenceInsert").evaluate(
      node, inputs: [items, .tensor(try iota(3)), position(-2)])[0]
    guard case .sequence(let all) = longer else {
      Issue.record("no sequence")
      return
    }
    #expect(try all.map { try $0.tensor().count } == [3, 1, 2])
    let at = try definition("SequenceAt")
    #expect(try at.evaluate(node, inputs: [longer, position(-1)])[0].tensor().count == 2)
    #expect(
      status { _ = try at.evaluate(node, inputs: [longer, position(3)]) } == .invalidArgument)
    let erase = try definition("SequenceErase")
    #expect(
      status { _ = try erase.evaluate(node, inputs: [.sequence([])]) } == .invalidArgument)
    #expect(
      status {
        _ = try definition("SequenceInsert").evaluate(
          node, inputs: [items, .tensor(Tensor([Int64(1)]))])
      } == .typeMismatch)
    let join = try definition("ConcatFromSequence")
    let axis = Node(
      "ConcatFromSequence", inputs: ["s"], outputs: ["y"], attributes: ["axis": .int(0)])
    #expect(try join.evaluate(axis, inputs: [longer])[0].tensor().shape.dims == [6])
  }

  @Test func liftsTheBatchedScan() throws {
    let scan = try #require(OperatorTable.find("Scan", domain: "")?.lift)
    let body = Graph(
      inputs: [ValueInfo("s", .unknown), ValueInfo("x", .unknown)],
      outputs: [ValueInfo("t", .unknown), ValueInfo("y", .unknown)])
    var rewriter = Rewriter(prefix: "y", constants: { _ in nil }, isTaken: { _ in false })
    let old = Node(
      "Scan", inputs: ["", "init", "xs"], outputs: ["final", "ys"],
      attributes: ["body": .graph(body), "num_scan_inputs": .int(1), "directions": .ints([1])])
    let outer = try scan(old, 8, &rewriter)[0]
    #expect(outer.inputs == ["init", "xs"] && outer.outputs == ["final", "ys"])
    guard case .graph(let entry)? = outer.attributes["body"] else {
      Issue.record("no body")
      return
    }
    #expect(entry.nodes[0].opType == "Scan" && entry.inputs.count == 2)
    #expect(entry.nodes[0].attributes["scan_input_directions"] != nil)
  }
}
