import Base
import Graphs
import Tensors
import Testing

@testable import Operators

/// Runs one operator on given tensors (nil leaves an input out).
func evaluate(
  _ name: String, _ inputs: [Tensor?], _ attributes: [String: Attribute] = [:],
  outputs: Int = 1, parallel: Parallel = .serial, subgraphs: [String: Evaluation.Subgraph] = [:]
) throws -> [Value] {
  let definition = try #require(OperatorTable.find(name, domain: ""))
  let node = Node(
    name, inputs: inputs.indices.map { "x\($0)" }, outputs: (0..<outputs).map { "y\($0)" },
    attributes: attributes)
  try definition.verify(node)
  return try definition.evaluate(
    node, inputs: inputs.map { $0.map { .tensor($0) } }, parallel: parallel, subgraphs: subgraphs)
}

func ints(_ values: Int64...) throws -> Tensor { try Tensor(values) }

/// 0, 1, 2 … in the given shape.
func iota(_ dims: Int...) throws -> Tensor {
  let shape = try Shape(dims)
  return try Tensor((0..<shape.count).map(Float.init), shape: shape)
}

func status(_ body: () throws -> Void) -> Status? {
  do { try body() } catch { return (error as? StackLensError)?.status }
  return .ok
}

struct DataMovementTests {
  @Test func slicesBackwardsWithClampedEnds() throws {
    let result = try evaluate("Slice", [iota(5), ints(.max), ints(.min), ints(0), ints(-2)])
    #expect(try result[0].tensor().elements(as: Float.self) == [4, 2, 0])
    let none = try evaluate("Slice", [iota(5), ints(4), ints(2), ints(-1), ints(.max)])
    #expect(try none[0].tensor().shape.dims == [0])
    let one = try evaluate("Slice", [iota(5), ints(1), ints(.max), ints(0), ints(.max)])
    #expect(try one[0].tensor().elements(as: Float.self) == [1])
    let last = try evaluate("Slice", [iota(5), ints(-1), ints(.min), ints(0), ints(.min)])
    #expect(try last[0].tensor().elements(as: Float.self) == [4])
    #expect(
      status { _ = try evaluate("Slice", [iota(5), ints(0), ints(1), ints(0), ints(0)]) }
        == .invalidArgument)
  }

  @Test(arguments: [[0, 1, 2, 3], [3, 2, 1, 0], [0, 2, 1, 3], [1, 3, 0, 2], [2, 3, 0, 1]])
  func transposesLikeIndexing(order: [Int]) throws {
    let input = try iota(3, 37, 5, 66)
    let result = try evaluate(
      "Transpose", [input], ["perm": .ints(order.map(Int64.init))],
      parallel: Parallel(ThreadPool.withThreads(2)))[0].tensor()
    let values = try result.elements(as: Float.self)
    let (strides, dims) = (input.shape.strides, result.shape.dims)
    for (position, value) in values.enumerated() {
      var (rest, source) = (position, 0)
      for axis in dims.indices.reversed() {
        source += rest % dims[axis] * strides[order[axis]]
        rest /= dims[axis]
      }
      if value != Float(source) { Issue.record("\(position): \(value), expected \(source)"); break }
    }
  }

  @Test func movesStrings() throws {
    let input = try Tensor(
      ["a", "b", "a rather long string that lives on the heap", "d"],
      shape: Shape([2, 2]))
    let turned = try evaluate("Transpose", [input])[0].tensor()
    #expect(try turned.elements(as: String.self)[1].hasPrefix("a rather long"))
    let tiled = try evaluate("Tile", [turned, ints(2, 3)])[0].tensor()
    #expect(tiled.shape.dims == [4, 6])
    #expect(try tiled.elements(as: String.self)[6...9] == ["b", "d", "b", "d"])
    let padded = try evaluate("Pad", [input, ints(0, 1, 0, -1), Tensor(scalar: "x")])[0].tensor()
    #expect(try padded.elements(as: String.self)[0] == "x")
    #expect(try padded.elements(as: String.self)[3].hasPrefix("a rather long"))
    let unique = try evaluate("Unique", [Tensor(["b", "é", "a", "b"])], outputs: 4)
    #expect(try unique[0].tensor().elements(as: String.self) == ["a", "b", "é"])
    #expect(try unique[2].tensor().integers() == [1, 2, 0, 1])
  }

  @Test func padsByEveryMode() throws {
    let row = try iota(4)
    func padded(_ mode: String, _ before: Int64, _ after: Int64) throws -> [Float] {
      try evaluate("Pad", [row, ints(before, after)], ["mode": .string(mode)])[0].tensor()
        .elements(as: Float.self)
    }
    #expect(try padded("constant", 1, -1) == [0, 0, 1, 2])
    #expect(try padded("reflect", 5, 0) == [1, 2, 3, 2, 1, 0, 1, 2, 3])
    #expect(try padded("edge", 2, 1) == [0, 0, 0, 1, 2, 3, 3])
    #expect(try padded("wrap", 5, 1) == [3, 0, 1, 2, 3, 0, 1, 2, 3, 0])
    #expect(try padded("constant", -6, 3) == [0])
    #expect(status { _ = try padded("constant", -3, -2) } == .shapeMismatch)
    #expect(status { _ = try padded("constant", .min, 2) } == .shapeMismatch)
    #expect(status { _ = try padded("edge", -4, 2) } == .shapeMismatch)
    #expect(status { _ = try padded("constant", .max, .max) } == .shapeMismatch)
  }

  @Test func refusesHugeResults() throws {
    let huge = try ints(1 << 40, 1 << 40)
    for name in ["ConstantOfShape", "Expand", "Tile"] {
      let inputs = name == "ConstantOfShape" ? [huge] : [try iota(1, 1), huge]
      #expect(status { _ = try evaluate(name, inputs) } == .shapeMismatch, "\(name)")
    }
    let large = try ints(1 << 50)
    #expect(status { _ = try evaluate("ConstantOfShape", [large]) } == .limitExceeded)
    #expect(status { _ = try evaluate("ConstantOfShape", [ints(-1)]) } == .shapeMismatch)
    let (zero, most, one) = (
      try Tensor(scalar: Int64.min), try Tensor(scalar: Int64.max), try Tensor(scalar: Int64(1))
    )
    #expect(status { _ = try evaluate("Range", [zero, most, one]) } == .shapeMismatch)
    let still = try Tensor(scalar: Float(0))
    #expect(status { _ = try evaluate("Range", [still, still, still]) } == .invalidArgument)
    let nan = try Tensor(scalar: Float.nan)
    #expect(status { _ = try evaluate("Range", [still, nan, nan]) } == .invalidArgument)
  }

  @Test func emptyTensorsOfHugeExtentEnd() throws {
    let empty = try Tensor(zeros: .float32, Shape([1 << 50, 0]))
    #expect(status { _ = try evaluate("SplitToSequence", [empty]) } == .limitExceeded)
    #expect(
      status { _ = try evaluate("Unique", [empty], ["axis": .int(0)]) } == .limitExceeded)
    let scores = try Tensor(zeros: .float32, Shape([1, 1 << 50, 0]))
    let boxes = try Tensor(zeros: .float32, Shape([1, 0, 4]))
    #expect(
      try evaluate("NonMaxSuppression", [boxes, scores, ints(3)])[0].tensor().shape.dims == [0, 3])
    #expect(try evaluate("Transpose", [empty])[0].tensor().shape.dims == [0, 1 << 50])
    let tuples = try Tensor(zeros: .int64, Shape([1 << 56, 0]))
    let none = try Tensor(zeros: .float32, Shape([0]))
    let slices = try evaluate("GatherND", [none, tuples])[0].tensor()
    #expect(slices.shape.dims == [1 << 56, 0])
  }

  @Test func countsRangesExactly() throws {
    func range(_ start: Int64, _ limit: Int64, _ step: Int64) throws -> [Int] {
      try evaluate(
        "Range", [Tensor(scalar: start), Tensor(scalar: limit), Tensor(scalar: step)])[0].tensor()
        .integers()
    }
    #expect(try range(.min, .max, .max) == [.min, -1, .max - 1])
    #expect(try range(.max, .min, .min) == [.max, -1])
    #expect(try range(3, 3, -1) == [])
  }

  @Test func splitsIntoUnevenParts() throws {
    let parts = try evaluate("Split", [iota(7)], ["num_outputs": .int(3)], outputs: 3)
    #expect(try parts.map { try $0.tensor().count } == [3, 3, 1])
    #expect(
      status { _ = try evaluate("Split", [iota(7), ints(8, -1)], outputs: 2) } == .shapeMismatch)
    #expect(
      status { _ = try evaluate("Split", [iota(7), ints(.max, .max)], outputs: 2) }
        == .shapeMismatch)
  }

  @Test func convertsBetweenVersions() throws {
    let slice = try #require(OperatorTable.find("Slice", domain: ""))
    var rewriter = Rewriter(prefix: "y", constants: { _ in nil }, isTaken: { _ in false })
    let old = Node(
      "Slice", inputs: ["x"], outputs: ["y"],
      attributes: ["starts": .ints([1]), "ends": .ints([3])])
    let lift = try #require(slice.lift)
    let new = try lift(old, 7, &rewriter)[0]
    #expect(new.inputs.count == 3 && new.attributes.isEmpty)
    #expect(try rewriter.value(of: new.inputs[2])?.integers() == [3])
    let lower = try #require(slice.lower)
    let back = try lower(new, 9, &rewriter)[0]
    #expect(back.inputs == ["x"] && back.attributes.keys.sorted() == ["ends", "starts"])
    #expect(try lower(new, 13, &rewriter)[0].inputs == new.inputs)
    var computed = new
    computed.inputs[1] = "unknown"
    #expect(throws: StackLensError.self) { _ = try lower(computed, 9, &rewriter) }

    let scatter = try #require(OperatorTable.find("ScatterElements", domain: "")?.lower)
    let maximum = Node(
      "ScatterElements", inputs: ["x", "i", "u"], outputs: ["y"],
      attributes: ["reduction": .string("max")])
    #expect(throws: StackLensError.self) { _ = try scatter(maximum, 17, &rewriter) }
    #expect(try scatter(maximum, 18, &rewriter).count == 1)
  }
}
