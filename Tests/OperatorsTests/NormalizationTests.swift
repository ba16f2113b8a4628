import Base
import Graphs
import Tensors
import Testing

@testable import Operators

struct NormalizationTests {
  private func close(_ a: [Float], _ b: [Float], _ tolerance: Float = 1e-6) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= tolerance }
  }

  @Test(arguments: [0, 1, 2])
  func softmaxSumsToOneAlongAnyAxis(axis: Int) throws {
    let shape = try Shape([3, 7, 70])
    let x = try Tensor(
      (0..<shape.count).map { (i: Int) -> Float in Float(i * 31 % 47) - 20 }, shape: shape)
    let pool = Parallel(ThreadPool.withThreads(3))
    let y = try evaluate("Softmax", [x], ["axis": .int(Int64(axis))], parallel: pool)[0].tensor()
    let sums = try evaluate("ReduceSum", [y, ints(Int64(axis))])[0].tensor()
    #expect(
      close(try sums.elements(as: Float.self), [Float](repeating: 1, count: sums.count), 2e-6))
    let logs = try evaluate("LogSoftmax", [x], ["axis": .int(Int64(axis))])[0].tensor()
    let back = try evaluate("Exp", [logs])[0].tensor()
    #expect(close(try back.elements(as: Float.self), try y.elements(as: Float.self)))
  }

  @Test func softmaxOfOlderOpsetsFlattens() throws {
    var rewriter = Rewriter(prefix: "y", constants: { _ in nil }, isTaken: { _ in false })
    let lift = try #require(OperatorTable.find("Softmax", domain: "")?.lift)
    let nodes = try lift(Node("Softmax", inputs: ["x"], outputs: ["y"]), 11, &rewriter)
    #expect(nodes.map(\.opType) == ["Shape", "Flatten", "Softmax", "Reshape"])
    #expect(nodes.last?.outputs == ["y"])
    let last = Node("Softmax", inputs: ["x"], outputs: ["y"], attributes: ["axis": .int(-1)])
    #expect(try lift(last, 11, &rewriter).count == 1)
  }

  @Test func layerNormalizationGivesMomentsToo() throws {
    let x = try Tensor([Float(1), 2, 3, 4, 10, 10, 10, 10], shape: Shape([2, 4]))
    let scale = try Tensor([Float(1), 1, 1, 2])
    let bias = try Tensor([Float(0), 0, 0, 1])
    let outputs = try evaluate("LayerNormalization", [x, scale, bias], outputs: 3)
    let y = try outputs[0].tensor().elements(as: Float.self)
    #expect(close(y, [-1.3416355, -0.4472118, 0.4472118, 3.683271, 0, 0, 0, 1]))
    #expect(try outputs[1].tensor().shape.dims == [2, 1])
    #expect(try outputs[1].tensor().elements(as: Float.self) == [2.5, 10])
    #expect(close(try outputs[2].tensor().elements(as: Float.self), [0.8944236, 316.22775], 1e-3))
    #expect(
      status { _ = try evaluate("LayerNormalization", [x, try Tensor([Float(1), 2])]) }
        == .shapeMismatch)
  }

  @Test func batchNormalizationIsAnAffineMapOfEachChannel() throws {
    let x = try iota(1, 2, 2)
    let parameter = { (a: Float, b: Float) throws in try Tensor([a, b]) }
    let y = try evaluate(
      "BatchNormalization",
      [x, parameter(2, 1), parameter(0, 5), parameter(1, 0), parameter(4, 1)],
      ["epsilon": .float(0)])[0].tensor()
    #expect(close(try y.elements(as: Float.self), [-1, 0, 7, 8]))
    #expect(
      status {
        _ = try evaluate("BatchNormalization", [x, ints(1), ints(1), ints(1), ints(1)])
      } == .typeMismatch)
    #expect(
      status {
        let wrong = try Tensor([Float(1)])
        _ = try evaluate("BatchNormalization", [x, wrong, wrong, wrong, wrong])
      } == .shapeMismatch)
  }

  @Test func groupsMustDivideTheChannels() throws {
    let (x, p) = (try iota(1, 4, 2), try iota(4))
    #expect(
      status { _ = try evaluate("GroupNormalization", [x, p, p], ["num_groups": .int(3)]) }
        == .invalidArgument)
    #expect(
      status { _ = try evaluate("GroupNormalization", [x, p, p], ["num_groups": .int(0)]) }
        == .invalidArgument)
    let y = try evaluate("GroupNormalization", [x, p, p], ["num_groups": .int(2)])[0].tensor()
    // Each group holds four consecutive numbers: mean 1.5 above its first, variance 1.25.
    let unit: [Float] = [-1.3416355, -0.4472118, 0.4472118, 1.3416355]
    let expected = (0..<8).map { (place: Int) -> Float in
      let channel = Float(place / 2)
      return (unit[place % 4] + 1) * channel
    }
    #expect(close(try y.elements(as: Float.self), expected, 1e-5))
  }

  @Test func linesOfZerosStayZero() throws {
    let x = try Tensor([Float(3), 4, 0, 0], shape: Shape([2, 2]))
    let y = try evaluate("LpNormalization", [x])[0].tensor()
    #expect(close(try y.elements(as: Float.self), [0.6, 0.8, 0, 0]))
  }

  @Test func hugeWindowsOfLocalResponseAreClamped() throws {
    let x = try iota(1, 3, 1)
    let y = try evaluate("LRN", [x], ["size": .int(.max), "bias": .float(1)])[0].tensor()
    #expect(close(try y.elements(as: Float.self), [0, 1, 2]))
  }
}
