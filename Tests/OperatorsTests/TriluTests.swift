import Tensors
import Testing

@testable import Operators

struct TriluTests {
  @Test func keepsOneTriangle() throws {
    let matrix = try iota(2, 3)
    let upper = try evaluate("Trilu", [matrix])[0].tensor()
    #expect(try upper.elements(as: Float.self) == [0, 1, 2, 0, 4, 5])
    let lower = try evaluate("Trilu", [matrix, ints(-1)], ["upper": .int(0)])[0].tensor()
    #expect(try lower.elements(as: Float.self) == [0, 0, 0, 3, 0, 0])
  }

  @Test func survivesDiagonalsFarOutside() throws {
    let matrix = try iota(2, 2)
    #expect(
      try evaluate("Trilu", [matrix, ints(.min)])[0].tensor().elements(as: Float.self)
        == [0, 1, 2, 3])
    #expect(
      try evaluate("Trilu", [matrix, ints(.max)])[0].tensor().elements(as: Float.self)
        == [0, 0, 0, 0])
  }

  @Test func refusesVectors() throws {
    #expect(status { _ = try evaluate("Trilu", [iota(3)]) } == .shapeMismatch)
    #expect(status { _ = try evaluate("Trilu", [iota(2, 2), ints(1, 2)]) } == .shapeMismatch)
  }
}
