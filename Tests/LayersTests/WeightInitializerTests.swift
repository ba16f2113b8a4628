import Base
import Tensors
import TestSupport
import Testing

@testable import Layers

struct WeightInitializerTests {
  private func numbers(
    _ initializer: WeightInitializer, _ dims: [Int], seed: UInt64 = 1, name: String = "w"
  ) throws -> [Double] {
    let tensor = try initializer.tensor(Shape(dims), seed: seed, name: name)
    return try tensor.elements(as: Float.self).map(Double.init)
  }

  private func moments(_ values: [Double]) -> (mean: Double, std: Double, largest: Double) {
    let mean = values.reduce(0, +) / Double(values.count)
    let square = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
    return (mean, square.squareRoot(), values.map(abs).max() ?? 0)
  }

  struct Scaled: CustomTestStringConvertible, Sendable {
    let name: String
    let std: Double
    let isUniform: Bool
    var testDescription: String { name }
  }

  /// For [64, 32, 3]: fan_in 96, fan_out 192.
  private static let scaled = [
    Scaled(name: "xavier_uniform", std: (2.0 / 288).squareRoot(), isUniform: true),
    Scaled(name: "glorot_normal", std: (2.0 / 288).squareRoot(), isUniform: false),
    Scaled(name: "kaiming_uniform", std: (2.0 / 96).squareRoot(), isUniform: true),
    Scaled(name: "he_normal", std: (2.0 / 96).squareRoot(), isUniform: false),
    Scaled(name: "lecun_uniform", std: (1.0 / 96).squareRoot(), isUniform: true),
    Scaled(name: "lecun_normal", std: (1.0 / 96).squareRoot(), isUniform: false),
  ]

  @Test(arguments: scaled) func fansSetTheDeviation(_ test: Scaled) throws {
    let values = try numbers(WeightInitializer(.string(test.name)), [64, 32, 3])
    let found = moments(values)
    #expect(abs(found.mean) < test.std * 0.05)
    #expect(abs(found.std / test.std - 1) < 0.03)
    if test.isUniform {
      let bound = test.std * 3.0.squareRoot()
      #expect(found.largest <= bound * (1 + 1e-6) && found.largest > bound * 0.99)
    } else {
      #expect(found.largest > test.std * 3)
    }
  }

  @Test func modesAndGains() throws {
    func kaiming(_ text: String) throws -> WeightInitializer {
      try WeightInitializer(JSON.parse(Array(text.utf8)))
    }
    let base = #"{"name": "kaiming_normal", "mode": "fan_out", "nonlinearity""#
    #expect(
      try kaiming(base + #": "relu"}"#) == .kaimingNormal(gain: 2.0.squareRoot(), fan: .output))
    #expect(try kaiming(base + #": "tanh"}"#) == .kaimingNormal(gain: 5.0 / 3, fan: .output))
    #expect(try kaiming(base + #": "linear"}"#) == .kaimingNormal(gain: 1, fan: .output))
    let leaky = try kaiming(#"{"name": "kaiming_uniform", "a": 2.23606797749979}"#)
    guard case .kaimingUniform(let gain, .input) = leaky else { throw Failure.other }
    #expect(abs(gain - (1.0 / 3).squareRoot()) < 1e-12)
    // PyTorch's linear layers: within 1 / √fan_in.
    #expect(abs(moments(try numbers(.standard, [100, 25])).largest - 0.2) < 1e-3)
  }

  private enum Failure: Error { case other }

  @Test func simpleOnes() throws {
    #expect(try numbers(.zeros, [3]) == [0, 0, 0])
    #expect(try numbers(.ones, [2]) == [1, 1])
    #expect(try numbers(.constant(0.5), [2]) == [0.5, 0.5])
    let uniform = try numbers(.uniform(low: 2, high: 4), [50, 100])
    #expect(uniform.allSatisfy { $0 >= 2 && $0 <= 4 } && abs(moments(uniform).mean - 3) < 0.05)
    let normal = moments(try numbers(.normal(mean: 1, std: 3), [50, 200]))
    #expect(abs(normal.mean - 1) < 0.1 && abs(normal.std - 3) < 0.1)
    let cut = try numbers(.truncatedNormal(mean: 0, std: 1, low: -1, high: 2), [50, 200])
    #expect(cut.allSatisfy { $0 >= -1 && $0 <= 2 })
    // (φ(-1) - φ(2)) / (Φ(2) - Φ(-1)).
    #expect(abs(moments(cut).mean - 0.2296) < 0.03)
    let rows = try numbers(.withZeroRows(1..<2, .ones), [3, 2])
    #expect(rows == [1, 1, 0, 0, 1, 1])
  }

  @Test(arguments: [[7, 19], [19, 7], [12, 12], [6, 2, 3]]) func orthogonality(_ dims: [Int]) throws
  {
    let values = try numbers(.orthogonal(gain: 2), dims)
    let (rows, columns) = (dims[0], dims.dropFirst().reduce(1, *))
    func element(_ line: Int, _ i: Int) -> Double {
      rows <= columns ? values[line * columns + i] : values[i * columns + line]
    }
    for a in 0..<min(rows, columns) {
      for b in 0...a {
        let dot = (0..<max(rows, columns)).reduce(0) { $0 + element(a, $1) * element(b, $1) }
        #expect(abs(dot - (a == b ? 4 : 0)) < 1e-5)
      }
    }
  }

  @Test func identities() throws {
    #expect(try numbers(.identity(gain: 1), [2, 3]) == [1, 0, 0, 0, 1, 0])
    #expect(
      try numbers(.identity(gain: 3), [2, 2, 3]) == [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0])
  }

  @Test func sparseColumns() throws {
    let values = try numbers(.sparse(sparsity: 0.3, std: 1), [10, 40])
    for column in 0..<40 {
      #expect((0..<10).filter { values[$0 * 40 + column] == 0 }.count == 3)
    }
  }

  @Test func numbersFollowFromSeedAndName() throws {
    let start = WeightInitializer.normal(mean: 0, std: 1)
    let first = try numbers(start, [5], seed: 42, name: "fc.weight")
    #expect(try numbers(start, [5], seed: 42, name: "fc.weight") == first)
    #expect(try numbers(start, [5], seed: 43, name: "fc.weight") != first)
    #expect(try numbers(start, [5], seed: 42, name: "fc.bias") != first)
  }

  @Test(arguments: [
    #""glorot""#, #"{"gain": 1}"#, #"{"name": "normal", "sdt": 1}"#,
    #"{"name": "normal", "std": -1}"#, #"{"name": "kaiming_normal", "mode": "fan"}"#,
    #"{"name": "sparse", "sparsity": 2}"#, "3",
  ]) func refuses(_ text: String) throws {
    let error = failure { _ = try WeightInitializer(JSON.parse(Array(text.utf8))) }
    #expect(error?.status == .invalidArgument)
  }

  @Test func refusesShapes() {
    for initializer in [
      WeightInitializer.xavierUniform(gain: 1), .orthogonal(gain: 1), .identity(gain: 1),
      .sparse(sparsity: 0.1, std: 1), .truncatedNormal(mean: 0, std: 1, low: 8, high: 9),
    ] {
      #expect(failure { _ = try numbers(initializer, [5]) }?.status == .invalidArgument)
    }
  }
}
