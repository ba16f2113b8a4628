import Base
import Graphs
import Tensors
import Testing

@testable import Operators

struct ElementwiseTests {
  private func run<T: TensorElement, R: TensorElement>(
    _ name: String, _ inputs: [[T]], _ attributes: [String: Attribute] = [:], as _: R.Type
  ) throws -> [R] {
    let tensors = try inputs.map { try Tensor($0) }
    return try evaluate(name, tensors, attributes)[0].tensor().elements(as: R.self)
  }

  @Test func integerArithmeticNeverTraps() throws {
    let (low, high) = (Int32.min, Int32.max)
    #expect(try run("Add", [[high, low], [1, -1]], as: Int32.self) == [low, high])
    #expect(try run("Mul", [[high, low], [2, -1]], as: Int32.self) == [-2, low])
    #expect(try run("Div", [[low, 7, -7, 5], [-1, 2, 2, 0]], as: Int32.self) == [low, 3, -3, 0])
    #expect(
      try run("Mod", [[-7, 7, low, 5], [3, -3, -1, Int32(0)]], as: Int32.self) == [2, -2, 0, 0])
    #expect(
      try run("Mod", [[-7, 7], [3, Int32(-3)]], ["fmod": .int(1)], as: Int32.self) == [-1, 1])
    #expect(try run("Abs", [[low, -3]], as: Int32.self) == [low, 3])
    #expect(try run("Neg", [[low, -3]], as: Int32.self) == [low, 3])
    #expect(
      try run("Pow", [[2, -1, 0, 3], [Int64(62), -3, -1, 41]], as: Int64.self)
        == [1 << 62, -1, 0, (0..<41).reduce(1) { power, _ in power &* 3 }])
  }

  @Test func shiftsByTheWidthOrMoreLeaveNothing() throws {
    #expect(
      try run(
        "BitShift", [[1, 255, 255], [UInt8(7), 8, 200]], ["direction": .string("LEFT")],
        as: UInt8.self) == [128, 0, 0])
    #expect(
      try run(
        "BitShift", [[-8, -8, 8, 8], [Int8(1), 8, -1, 100]], ["direction": .string("RIGHT")],
        as: Int8.self) == [-4, -1, 0, 0])
  }

  @Test(arguments: [
    ([2, 3], [2, 3]), ([2, 3, 4], [4]), ([2, 3, 4], [3, 1]), ([], [5]), ([1, 4], [3, 1]),
    ([0, 3], [3]), ([7, 1, 33], [5, 1]), ([2, 1, 3, 1], [4, 1, 5]),
  ])
  func broadcastsLikeIndexing(left: [Int], right: [Int]) throws {
    let (a, b) = (try Shape(left), try Shape(right))
    let x = try Tensor((0..<a.count).map { Float($0) }, shape: a)
    let y = try Tensor((0..<b.count).map { Float($0) * 1000 }, shape: b)
    let target = try a.broadcast(with: b)
    let (aSteps, bSteps) = (a.broadcastStrides(to: target), b.broadcastStrides(to: target))
    let expected = (0..<target.count).map { position in
      var (rest, i, j) = (position, 0, 0)
      for axis in (0..<target.rank).reversed() {
        let place = rest % target[axis]
        rest /= target[axis]
        (i, j) = (i + place * aSteps[axis], j + place * bSteps[axis])
      }
      return Float(i) + Float(j) * 1000
    }
    for parallel in [Parallel.serial, Parallel(ThreadPool.withThreads(3))] {
      let sum = try evaluate("Add", [x, y], parallel: parallel)[0].tensor()
      #expect(sum.shape == target)
      #expect(try sum.elements(as: Float.self) == expected)
    }
  }

  @Test func incompatibleOperandsAreNamed() throws {
    let (a, b) = (try iota(2, 3), try iota(4))
    #expect(status { _ = try evaluate("Add", [a, b]) } == .shapeMismatch)
    #expect(status { _ = try evaluate("Add", [a, try ints(1, 2, 3)]) } == .typeMismatch)
    #expect(status { _ = try evaluate("Sin", [try ints(1)]) } == .typeMismatch)
    #expect(
      status {
        _ = try evaluate("BitShift", [try ints(1), try ints(1)], ["direction": .string("UP")])
      }
        == .invalidArgument)
  }

  @Test func extremesPropagateNaN() throws {
    let values = try run("Max", [[Float.nan, 1, 2], [1, .nan, 3], [5, 5, 1]], as: Float.self)
    #expect(values[0].isNaN && values[1].isNaN && values[2] == 3)
    #expect(try run("Equal", [[Float.nan, 1], [.nan, 1]], as: Bool.self) == [false, true])
    let relu = try run("Relu", [[Float.nan, -1]], as: Float.self)
    #expect(relu[0].isNaN && relu[1] == 0)
  }

  @Test func castsCutAndWrapAsDocumented() throws {
    func cast<T: TensorElement, R: TensorElement>(_ values: [T], _: R.Type) throws -> [R] {
      try run("Cast", [values], ["to": .int(Int64(R.elementType.rawValue))], as: R.self)
    }
    #expect(try cast([Float(2.9), -2.9, .nan, .infinity], Int64.self) == [2, -2, .min, .min])
    #expect(try cast([Int64(300), -1], UInt8.self) == [44, 255])
    #expect(try cast([Float(0), 0.1, -3, .nan], Bool.self) == [false, true, true, true])
    #expect(try cast([true, false], Float.self) == [1, 0])
    #expect(try cast([Double(1e300), 65520], Float16.self) == [.infinity, .infinity])
    #expect(
      try cast([Float(0.1), 2, .nan, -.infinity], String.self) == ["0.1", "2.0", "NaN", "-INF"])
    #expect(try cast([" 1e3", "-INF", "+INF"], Float.self) == [1000, -.infinity, .infinity])
    #expect(try cast(["9007199254740993", "3.7"], Int64.self) == [9_007_199_254_740_993, 3])
    #expect(status { _ = try cast(["12", "twelve"], Int32.self) } == .invalidArgument)
    #expect(
      status { _ = try run("Cast", [[Float(1)]], ["to": .int(99)], as: Float.self) } == .unsupported
    )
  }

  @Test func stringsCompareAndSelect() throws {
    let (a, b) = (try Tensor(["a", "b", ""]), try Tensor(["a", "c", ""]))
    let equal = try evaluate("Equal", [a, b])[0].tensor()
    #expect(try equal.elements(as: Bool.self) == [true, false, true])
    let chosen = try evaluate("Where", [equal, a, try Tensor(scalar: "x")])[0].tensor()
    #expect(try chosen.elements(as: String.self) == ["a", "x", ""])
  }

  @Test func clipTakesEitherBoundAlone() throws {
    let x = try Tensor([Int64(-5), 0, 5])
    let low = try evaluate("Clip", [x, try Tensor(scalar: Int64(-1))])[0].tensor()
    #expect(try low.elements(as: Int64.self) == [-1, 0, 5])
    let high = try evaluate("Clip", [x, nil, try Tensor(scalar: Int64(1))])[0].tensor()
    #expect(try high.elements(as: Int64.self) == [-5, 0, 1])
    #expect(status { _ = try evaluate("Clip", [x, try ints(1, 2)]) } == .shapeMismatch)
  }

  @Test func equalSeedsDropAlike() throws {
    let x = try Tensor([Float](repeating: 1, count: 1000))
    let inputs = [x, try Tensor(scalar: Float(0.25)), try Tensor(scalar: true)]
    let first = try evaluate("Dropout", inputs, ["seed": .int(7)], outputs: 2)
    let again = try evaluate("Dropout", inputs, ["seed": .int(7)], outputs: 2)
    let values = try first[0].tensor().elements(as: Float.self)
    #expect(try again[0].tensor().elements(as: Float.self) == values)
    let kept = try first[1].tensor().elements(as: Bool.self)
    #expect(zip(values, kept).allSatisfy { abs($0 - ($1 ? 4.0 / 3 : 0)) < 1e-6 })
    #expect((700..<800).contains(kept.filter { $0 }.count))
    #expect(
      status { _ = try evaluate("Dropout", [x, try Tensor(scalar: Float(1)), inputs[2]]) }
        == .invalidArgument)
  }

  @Test func olderFormsOfClipAndDropoutAreLifted() throws {
    var rewriter = Rewriter(prefix: "y", constants: { _ in nil }, isTaken: { _ in false })
    let clip = Node(
      "Clip", inputs: ["x"], outputs: ["y"], attributes: ["max": .float(6)])
    let lift = try #require(OperatorTable.find("Clip", domain: "")?.lift)
    let lifted = try lift(clip, 6, &rewriter)
    #expect(lifted.count == 1 && lifted[0].inputs.count == 3 && lifted[0].inputs[1].isEmpty)
    #expect(rewriter.value(of: lifted[0].inputs[2])?.real == 6)
    let lower = try #require(OperatorTable.find("Clip", domain: "")?.lower)
    let lowered = try lower(lifted[0], 10, &rewriter)
    guard case .float(6)? = lowered[0].attributes["max"] else {
      Issue.record("max is \(String(describing: lowered[0].attributes["max"]))")
      return
    }
  }
}
