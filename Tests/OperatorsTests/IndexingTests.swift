import Base
import Graphs
import Tensors
import Testing

@testable import Operators

struct IndexingTests {
  @Test func checksEveryIndex() throws {
    let data = try iota(3, 4)
    for bad in [Int64(3), -4, .max, .min] {
      #expect(status { _ = try evaluate("Gather", [data, ints(0, bad)]) } == .invalidArgument)
      let pair = try Tensor([0, bad], shape: Shape([1, 2]))
      #expect(
        status { _ = try evaluate("GatherElements", [data, pair], ["axis": .int(0)]) }
          == .invalidArgument)
      let updates = try iota(1, 2)
      #expect(
        status { _ = try evaluate("ScatterElements", [data, pair, updates]) } == .invalidArgument)
    }
    let tuple = try Tensor([Int64(2), 4], shape: Shape([1, 2]))
    #expect(status { _ = try evaluate("GatherND", [data, tuple]) } == .invalidArgument)
    #expect(status { _ = try evaluate("ScatterND", [data, tuple, iota(1)]) } == .invalidArgument)
    do {
      _ = try evaluate("Gather", [data, ints(0, 7)])
    } catch let error as StackLensError {
      #expect(error.message.contains("index 7") && error.message.contains("[-3, 3)"))
    }
    #expect(
      status { _ = try evaluate("ReverseSequence", [data, ints(1, 2, 3, 4)]) } == .invalidArgument)
    #expect(status { _ = try evaluate("Gather", [iota(0, 2), ints(0)]) } == .invalidArgument)
  }

  @Test func gathersAlongInnerAxes() throws {
    let result = try evaluate(
      "Gather", [iota(2, 3, 2), ints(2, -3)], ["axis": .int(1)])[0].tensor()
    #expect(try result.elements(as: Float.self) == [4, 5, 0, 1, 10, 11, 6, 7])
  }

  @Test func scattersRepeatedPlacesInOrder() throws {
    let data = try Tensor([Float](repeating: 1, count: 3))
    let places = try ints(1, 1, -1)
    let updates = try Tensor([Float(2), 5, .nan])
    func scattered(_ reduction: String) throws -> [Float] {
      try evaluate(
        "ScatterElements", [data, places, updates], ["reduction": .string(reduction)])[0].tensor()
        .elements(as: Float.self)
    }
    #expect(try scattered("none")[1] == 5)
    #expect(try scattered("add")[1] == 8)
    #expect(try scattered("mul")[1] == 10)
    #expect(try scattered("max")[1] == 5)
    #expect(try scattered("min")[1] == 1)
    #expect(try scattered("max")[2].isNaN && scattered("min")[2].isNaN)
    let small = try evaluate(
      "ScatterND",
      [Tensor([Int8(120)]), Tensor([Int64(0)], shape: Shape([1, 1])), Tensor([Int8(9)])],
      ["reduction": .string("add")])[0].tensor()
    #expect(try small.elements(as: Int8.self) == [-127])
  }

  @Test func ranksTiesByPlaceAndNaNOnTop() throws {
    let input = try Tensor([Float(1), 3, -0.0, 3, .nan, 0, -.infinity])
    func top(_ count: Int64, largest: Int64) throws -> [Int] {
      try evaluate("TopK", [input, ints(count)], ["largest": .int(largest)], outputs: 2)[1]
        .tensor().integers()
    }
    #expect(try top(5, largest: 1) == [4, 1, 3, 0, 2])
    #expect(try top(7, largest: 0) == [6, 2, 5, 0, 1, 3, 4])
    #expect(try top(0, largest: 1) == [])
    #expect(status { _ = try top(8, largest: 1) } == .invalidArgument)
    #expect(status { _ = try top(-1, largest: 1) } == .invalidArgument)
    let unsigned = try Tensor([UInt64.max, 0, 1 << 63])
    let order = try evaluate("TopK", [unsigned, ints(3)], outputs: 2)[1].tensor().integers()
    #expect(order == [0, 2, 1])
  }

  @Test func topKAgreesWithSorting() throws {
    var state: UInt64 = 7
    let values = (0..<1000).map { _ -> Int64 in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int64(state >> 57)
    }
    let sorted = values.indices.sorted {
      values[$0] > values[$1] || values[$0] == values[$1] && $0 < $1
    }
    for count in [1, 2, 10, 999, 1000] {
      let result = try evaluate("TopK", [Tensor(values), ints(Int64(count))], outputs: 2)
      #expect(try result[1].tensor().integers() == Array(sorted.prefix(count)))
    }
  }

  @Test func oneHotIgnoresWhatIsOutside() throws {
    let indices = try Tensor([Float(1.9), -1, 3, .nan, .infinity])
    let result = try evaluate(
      "OneHot", [indices, Tensor(scalar: Int64(3)), Tensor([Int8(0), 1])])[0].tensor()
    #expect(
      try result.elements(as: Int8.self) == [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    #expect(
      status {
        _ = try evaluate("OneHot", [indices, Tensor(scalar: Float.nan), Tensor([Int8(0), 1])])
      } == .invalidArgument)
  }

  @Test func uniqueKeepsFirstPlaces() throws {
    let input = try Tensor([Float(2), 1, 2, .nan, .nan, -0.0, 0])
    let sorted = try evaluate("Unique", [input], outputs: 4)
    #expect(try sorted[1].tensor().integers() == [5, 1, 0, 3])
    #expect(try sorted[3].tensor().integers() == [2, 1, 2, 2])
    let given = try evaluate("Unique", [input], ["sorted": .int(0)], outputs: 4)
    #expect(try given[1].tensor().integers() == [0, 1, 3, 5])
    #expect(try given[2].tensor().integers() == [0, 1, 0, 2, 2, 3, 3])
  }

  @Test func suppressesOverlappingBoxes() throws {
    let boxes = try Tensor(
      [Float(0), 0, 1, 1, 1, 1.05, 0, 0.05, 0, 2, 1, 3], shape: Shape([1, 3, 4]))
    let scores = try Tensor([Float(0.5), 0.9, .nan], shape: Shape([1, 1, 3]))
    let result = try evaluate(
      "NonMaxSuppression",
      [boxes, scores, ints(10), Tensor([Float(0.5)]), Tensor([Float(0)])])[0].tensor()
    #expect(try result.integers() == [0, 0, 1])
    #expect(try evaluate("NonMaxSuppression", [boxes, scores])[0].tensor().shape.dims == [0, 3])
  }
}
