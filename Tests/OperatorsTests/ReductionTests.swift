import Base
import Graphs
import Tensors
import Testing

@testable import Operators

struct ReductionTests {
  @Test(arguments: [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2], [-1], [-3, -1]])
  func sumsLikeIndexing(axes: [Int]) throws {
    let shape = try Shape([3, 5, 70])
    let values = (0..<shape.count).map { (i: Int) -> Float in Float(i * 37 % 101) }
    let normal = try axes.map { try shape.axis($0) }
    var expected: [Int: Float] = [:]
    for (position, value) in values.enumerated() {
      var (rest, output, weight) = (position, 0, 1)
      for axis in (0..<3).reversed() {
        let place = rest % shape[axis]
        rest /= shape[axis]
        if !normal.contains(axis) {
          output += place * weight
          weight *= shape[axis]
        }
      }
      expected[output, default: 0] += value
    }
    let input = try Tensor(values, shape: shape)
    let axesTensor = try Tensor(axes.map(Int64.init))
    for parallel in [Parallel.serial, Parallel(ThreadPool.withThreads(3))] {
      let sums = try evaluate(
        "ReduceSum", [input, axesTensor], ["keepdims": .int(0)], parallel: parallel)[0].tensor()
      #expect(sums.shape.dims == (0..<3).filter { !normal.contains($0) }.map { shape[$0] })
      #expect(try sums.elements(as: Float.self) == (0..<sums.count).map { expected[$0] })
    }
  }

  /// Rows of one line end before those that are summed in one go do, and the next line lies elsewhere.
  @Test(arguments: ["ReduceSum", "ReduceSumSquare", "ReduceMax", "ReduceMin"])
  func columnsReduceOverAxesThatLieApart(name: String) throws {
    let shape = try Shape([5, 3, 40, 70])
    // Sums of small numbers are exact, extremes of many different ones lie in one place.
    let (factor, most) = ["ReduceMax", "ReduceMin"].contains(name) ? (7919, 100_003) : (37, 101)
    let values = (0..<shape.count).map { (i: Int) -> Float in Float(i * factor % most - most / 2) }
    var expected = [Float](repeating: .nan, count: 3 * 70)
    for (position, value) in values.enumerated() {
      let output = position / (40 * 70) % 3 * 70 + position % 70
      let (past, isFirst) = (expected[output], expected[output].isNaN)
      switch name {
      case "ReduceMax": expected[output] = isFirst ? value : max(past, value)
      case "ReduceMin": expected[output] = isFirst ? value : min(past, value)
      case "ReduceSumSquare": expected[output] = (isFirst ? 0 : past) + value * value
      default: expected[output] = (isFirst ? 0 : past) + value
      }
    }
    let result = try evaluate(
      name, [Tensor(values, shape: shape), ints(0, 2)], ["keepdims": .int(0)])
    #expect(try result[0].tensor().elements(as: Float.self) == expected)
  }

  @Test func largeMeansStayAccurate() throws {
    let count = 1 << 20
    let input = try Tensor(
      (0..<count).map { (i: Int) -> Float in 1000 + Float(i & 1) }, shape: Shape([1, count]))
    let mean = try evaluate("ReduceMean", [input])[0].tensor()
    #expect(try mean.elements(as: Float.self) == [1000.5])
  }

  @Test(arguments: [
    ("ReduceSum", Float(0)), ("ReduceProd", 1), ("ReduceMax", -.infinity), ("ReduceMin", .infinity),
    ("ReduceL1", 0), ("ReduceL2", 0), ("ReduceLogSum", -.infinity),
    ("ReduceLogSumExp", -.infinity), ("ReduceSumSquare", 0),
  ])
  func anEmptySetHasItsIdentity(name: String, identity: Float) throws {
    let empty = try Tensor(zeros: .float32, Shape([2, 0, 3]))
    let result = try evaluate(name, [empty, ints(1)], ["keepdims": .int(0)])[0].tensor()
    #expect(result.shape.dims == [2, 3])
    #expect(try result.elements(as: Float.self) == [Float](repeating: identity, count: 6))
  }

  @Test func wrongAxesAreRefused() throws {
    let x = try iota(2, 3)
    #expect(status { _ = try evaluate("ReduceSum", [x, ints(2)]) } == .invalidArgument)
    #expect(status { _ = try evaluate("ReduceSum", [x, ints(0, -2)]) } == .invalidArgument)
    #expect(status { _ = try evaluate("CumSum", [x, ints(.max)]) } == .invalidArgument)
    #expect(status { _ = try evaluate("ArgMax", [x], ["axis": .int(.min)]) } == .invalidArgument)
    let empty = try Tensor(zeros: .float32, Shape([2, 0]))
    #expect(status { _ = try evaluate("ArgMax", [empty], ["axis": .int(1)]) } == .shapeMismatch)
  }

  @Test func hugeValuesDoNotOverflowLogSumExp() throws {
    let x = try Tensor([Float(1000), 1000])
    let result = try evaluate("ReduceLogSumExp", [x])[0].tensor().elements(as: Float.self)
    #expect(abs(result[0] - 1000.6931) < 1e-3)
    let none = try Tensor([-Float.infinity, -.infinity])
    #expect(
      try evaluate("ReduceLogSumExp", [none])[0].tensor().elements(as: Float.self) == [-.infinity])
  }

  @Test func extremesOfNarrowTypesAndTruthValues() throws {
    let bytes = try Tensor([Int8(-128), 127, 0])
    #expect(try evaluate("ReduceMin", [bytes])[0].tensor().elements(as: Int8.self) == [-128])
    let truth = try Tensor([true, false])
    #expect(try evaluate("ReduceMin", [truth])[0].tensor().elements(as: Bool.self) == [false])
    let none = try Tensor(zeros: .bool, Shape([0]))
    #expect(
      try evaluate("ReduceMin", [none, ints(0)])[0].tensor().elements(as: Bool.self) == [true])
  }

  @Test func tiesGoToTheFirstOrTheLast() throws {
    let x = try Tensor([Float(1), 3, 3, .nan, 2, .nan], shape: Shape([2, 3]))
    let first = try evaluate("ArgMax", [x], ["axis": .int(1)])[0].tensor()
    #expect(try first.elements(as: Int64.self) == [1, 0])
    let last = try evaluate("ArgMax", [x], ["axis": .int(1), "select_last_index": .int(1)])[0]
    #expect(try last.tensor().elements(as: Int64.self) == [2, 2])
  }

  @Test func runningSumsGoBothWays() throws {
    let x = try ints(1, 2, 3)
    func sums(_ attributes: [String: Attribute]) throws -> [Int64] {
      try evaluate("CumSum", [x, ints(0)], attributes)[0].tensor().elements(as: Int64.self)
    }
    #expect(try sums([:]) == [1, 3, 6])
    #expect(try sums(["exclusive": .int(1)]) == [0, 1, 3])
    #expect(try sums(["reverse": .int(1)]) == [6, 5, 3])
    #expect(try sums(["reverse": .int(1), "exclusive": .int(1)]) == [5, 3, 0])
  }
}
