import Base
import Graphs
import Tensors
import Testing

@testable import Operators

struct ResamplingTests {
  private func resized(
    _ x: Tensor, sizes: Tensor, _ attributes: [String: Attribute] = [:]
  ) throws -> Tensor {
    try evaluate("Resize", [x, nil, nil, sizes], attributes)[0].tensor()
  }

  @Test func interpolatesBetweenPixelCentres() throws {
    let x = try Tensor([Float(0), 10])
    let y = try resized(x, sizes: ints(4), ["mode": .string("linear")])
    #expect(try y.elements(as: Float.self) == [0, 2.5, 7.5, 10])
    let aligned = try resized(
      x, sizes: ints(3),
      ["mode": .string("linear"), "coordinate_transformation_mode": .string("align_corners")])
    #expect(try aligned.elements(as: Float.self) == [0, 5, 10])
  }

  @Test func keepsConstantIntegers() throws {
    let x = try Tensor([UInt8](repeating: 255, count: 30), shape: Shape([5, 6]))
    for mode in ["linear", "nearest"] {
      let y = try resized(x, sizes: ints(13, 17), ["mode": .string(mode)])
      #expect(try y.elements(as: UInt8.self).allSatisfy { $0 == 255 })
    }
  }

  @Test func movesStrings() throws {
    let y = try resized(try Tensor(["a", "b"]), sizes: ints(4))
    #expect(try y.elements(as: String.self) == ["a", "a", "b", "b"])
    #expect(
      status { _ = try resized(Tensor(["a"]), sizes: ints(2), ["mode": .string("linear")]) }
        == .typeMismatch)
  }

  @Test func refusesImpossibleExtents() throws {
    let x = try iota(2, 3)
    #expect(status { _ = try resized(x, sizes: ints(2)) } == .invalidArgument)
    #expect(status { _ = try resized(x, sizes: ints(2, -1)) } == .invalidArgument)
    #expect(status { _ = try resized(x, sizes: ints(2, .max)) } == .invalidArgument)
    #expect(status { _ = try resized(iota(0, 3), sizes: ints(2, 3)) } == .shapeMismatch)
    for scale in [Float.nan, .infinity, -1, 0, 1e30] {
      let scales = try Tensor([1, scale])
      #expect(status { _ = try evaluate("Resize", [x, nil, scales]) } == .invalidArgument)
    }
  }

  @Test func samplesOutsideAsThePaddingSays() throws {
    let x = try Tensor([Float(1), 2, 3, 4], shape: Shape([1, 1, 2, 2]))
    let grid = try Tensor([Float(-9), -9, .nan, 0, 1e30, 1e30], shape: Shape([1, 1, 3, 2]))
    let zeros = try evaluate("GridSample", [x, grid])[0].tensor().elements(as: Float.self)
    #expect(zeros == [0, 0, 0])
    let border = try evaluate("GridSample", [x, grid], ["padding_mode": .string("border")])[0]
      .tensor().elements(as: Float.self)
    #expect(border[0] == 1 && border[2] == 4)
    _ = try evaluate("GridSample", [x, grid], ["padding_mode": .string("reflection")])
  }

  @Test func checksRegions() throws {
    let x = try iota(1, 1, 4, 4)
    let region = try Tensor([Float(0), 0, 3, 3], shape: Shape([1, 4]))
    #expect(status { _ = try evaluate("RoiAlign", [x, region, ints(1)]) } == .invalidArgument)
    let large = try Tensor([Float(0), 0, 1e30, .nan], shape: Shape([1, 4]))
    #expect(status { _ = try evaluate("RoiAlign", [x, large, ints(0)]) } == .invalidArgument)
  }
}
