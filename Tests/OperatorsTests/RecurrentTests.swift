import Base
import Graphs
import Tensors
import Testing

@testable import Operators

struct RecurrentTests {
  /// h = relu(x + h) on one unit: running sums.
  private func sums(
    _ direction: String, lengths: [Int32]? = nil, parallel: Parallel = .serial
  ) throws -> [[Float]] {
    let directions = direction == "bidirectional" ? 2 : 1
    let x = try Tensor([Float(1), 10, 2, 20, 3, 30], shape: Shape([3, 2, 1]))
    let one = try Tensor(
      [Float](repeating: 1, count: directions), shape: Shape([directions, 1, 1]))
    return try evaluate(
      "RNN", [x, one, one, nil, lengths.map { try Tensor($0) }],
      [
        "activations": .strings(Array(repeating: "Relu", count: directions)),
        "direction": .string(direction),
      ], outputs: 2, parallel: parallel
    ).map { try $0.tensor().elements(as: Float.self) }
  }

  @Test func walksForwardsAndBackwards() throws {
    #expect(try sums("forward") == [[1, 10, 3, 30, 6, 60], [6, 60]])
    #expect(try sums("reverse") == [[6, 60, 5, 50, 3, 30], [6, 60]])
    #expect(
      try sums("bidirectional")
        == [[1, 10, 6, 60, 3, 30, 5, 50, 6, 60, 3, 30], [6, 60, 6, 60]])
  }

  @Test func stopsAtEachSequencesEnd() throws {
    #expect(try sums("forward", lengths: [2, 0]) == [[1, 0, 3, 0, 0, 0], [3, 0]])
    #expect(try sums("reverse", lengths: [2, 1]) == [[3, 10, 2, 0, 0, 0], [3, 10]])
    for bad in [Int32(4), -1, .max, .min] {
      #expect(status { _ = try sums("forward", lengths: [1, bad]) } == .invalidArgument)
    }
  }

  /// All weights 0: i = o = f = 1/2 and the candidate is tanh of its bias.
  @Test func lstmGatesAreInTheOrderOfTheStandard() throws {
    let x = try Tensor([Float(0)], shape: Shape([1, 1, 1]))
    let zero = try Tensor([Float](repeating: 0, count: 4), shape: Shape([1, 4, 1]))
    var bias = [Float](repeating: 0, count: 8)
    bias[3] = 0.25
    bias[7] = 0.25
    let c = try Tensor([Float(2)], shape: Shape([1, 1, 1]))
    let result = try evaluate(
      "LSTM", [x, zero, zero, Tensor(bias, shape: Shape([1, 8])), nil, nil, c], outputs: 3)
    let cell = try result[2].tensor().elements(as: Float.self)[0]
    #expect(abs(cell - 1.2310586) < 1e-6)  // 2 / 2 + tanh(0.5) / 2
    let hidden = try result[1].tensor().elements(as: Float.self)[0]
    #expect(abs(hidden - 0.4214431) < 1e-6)  // tanh(1.2310586) / 2
  }

  @Test func refusesShapesThatDoNotFit() throws {
    let x = try iota(3, 2, 4)
    #expect(
      status { _ = try evaluate("GRU", [x, iota(1, 15, 3), iota(1, 15, 5)]) } == .shapeMismatch)
    #expect(
      status { _ = try evaluate("GRU", [x, iota(1, 14, 4), iota(1, 15, 5)]) } == .shapeMismatch)
    #expect(
      status {
        _ = try evaluate(
          "RNN", [x, iota(1, 5, 4), iota(1, 5, 5)], ["activations": .strings(["Sine"])])
      } == .unsupported)
    #expect(
      status {
        _ = try evaluate("RNN", [x, iota(1, 5, 4), iota(1, 5, 5)], ["hidden_size": .int(6)])
      } == .shapeMismatch)
  }
}
