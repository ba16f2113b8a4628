import Base
import Tensors
import Testing

@testable import Training

struct ParameterSpaceTests {
  @Test func laysParametersOutAligned() throws {
    let space = try ParameterSpace([
      ("w", Shape([3, 7])), ("none", Shape([0, 4])), ("b", .scalar), ("v", Shape([16])),
    ])
    #expect(space.spans.map(\.offset) == [0, 32, 32, 48])
    #expect(space.spans.map(\.count) == [21, 0, 1, 16])
    #expect(space.count == 64)
  }

  @Test func tensorsAreParts() throws {
    let space = try ParameterSpace([("a", Shape([2])), ("b", Shape([2, 2]))])
    let buffer = try FlatBuffer(space)
    for i in 0..<4 { buffer.values[16 + i] = Float(i) }
    #expect(try buffer.tensor(space.spans[1]).elements(as: Float.self) == [0, 1, 2, 3])
    #expect(try buffer.all.elements(as: Float.self).prefix(16).allSatisfy { $0 == 0 })
  }
}
