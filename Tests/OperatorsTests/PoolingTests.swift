import Base
import Graphs
import Tensors
import Testing

@testable import Operators

struct PoolingTests {
  private func pooled(
    _ name: String, _ x: Tensor, _ attributes: [String: Attribute]
  ) throws -> [Float] {
    try evaluate(name, [x], attributes)[0].tensor().elements(as: Float.self)
  }

  @Test func findsMaximaAndTheirPlaces() throws {
    let x = try iota(1, 1, 4, 4)
    let attributes: [String: Attribute] = [
      "kernel_shape": .ints([2, 2]), "strides": .ints([2, 2]), "storage_order": .int(1),
    ]
    let result = try evaluate("MaxPool", [x], attributes, outputs: 2)
    #expect(try result[0].tensor().elements(as: Float.self) == [5, 7, 13, 15])
    #expect(try result[1].tensor().integers() == [5, 13, 7, 15])
  }

  @Test func maximumShowsNaN() throws {
    let x = try Tensor([Float.nan, 1, 2, 3], shape: Shape([1, 1, 4]))
    for outputs in 1...2 {
      let y = try evaluate("MaxPool", [x], ["kernel_shape": .ints([2])], outputs: outputs)[0]
        .tensor().elements(as: Float.self)
      #expect(y[0].isNaN && y[1...] == [2, 3])
    }
  }

  @Test func countsPaddingOnlyWhenAsked() throws {
    let x = try Tensor([Float(2), 4, 6], shape: Shape([1, 1, 3]))
    var attributes: [String: Attribute] = [
      "kernel_shape": .ints([2]), "pads": .ints([1, 1]), "strides": .ints([2]),
    ]
    #expect(try pooled("AveragePool", x, attributes) == [2, 5])
    attributes["count_include_pad"] = .int(1)
    #expect(try pooled("AveragePool", x, attributes) == [1, 5])
    attributes["ceil_mode"] = .int(1)
    #expect(try pooled("AveragePool", x, attributes) == [1, 5])
  }

  @Test func survivesHugeAttributes() throws {
    let x = try iota(1, 1, 3)
    let large = Int64(1) << 31 - 1
    #expect(
      status {
        _ = try pooled(
          "MaxPool", x, ["kernel_shape": .ints([1]), "pads": .ints([large, large])])
      } == .limitExceeded)
    #expect(
      try pooled(
        "AveragePool", x,
        [
          "kernel_shape": .ints([large]), "pads": .ints([large, large]),
          "strides": .ints([large]), "count_include_pad": .int(1),
        ]
      ).count == 2)
    #expect(
      status { _ = try pooled("MaxPool", x, ["kernel_shape": .ints([4])]) } == .shapeMismatch)
  }

  @Test func unpoolingChecksPlaces() throws {
    let x = try iota(1, 1, 2)
    for bad in [Int64(4), -1, .max] {
      let places = try Tensor([0, bad], shape: Shape([1, 1, 2]))
      #expect(
        status {
          _ = try evaluate(
            "MaxUnpool", [x, places], ["kernel_shape": .ints([2]), "strides": .ints([2])])
        } == .invalidArgument)
    }
  }
}
