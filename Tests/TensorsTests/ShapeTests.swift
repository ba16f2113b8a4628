import Base
import TestSupport
import Testing

@testable import Tensors

struct ShapeTests {
  @Test func countsElementsAndStrides() throws {
    let shape = try Shape([2, 3, 4])
    #expect(shape.count == 24 && shape.rank == 3 && shape.strides == [12, 4, 1])
    #expect(shape.count(1..<3) == 12 && shape.count(1..<1) == 1)
    #expect(Shape.scalar.count == 1 && Shape.scalar.strides == [])
    #expect(try Shape([2, 0, 4]).count == 0)
    #expect(try Shape([2, 0, 4]).strides == [4, 4, 1])
    #expect(shape.description == "[2, 3, 4]")
  }

  @Test(arguments: [
    [-1], [2, -3], [.max, 2], [1 << 32, 1 << 32], [.max], [0, .max, .max], [.min], [0, -1],
  ]) func refusesImpossibleExtents(dims: [Int]) {
    #expect(failure { _ = try Shape(dims) }?.status == .shapeMismatch)
  }

  @Test func axesCountFromBothEnds() throws {
    let shape = try Shape([2, 3])
    #expect(try [shape.axis(0), shape.axis(1), shape.axis(-1), shape.axis(-2)] == [0, 1, 1, 0])
    for axis in [2, -3, .max, .min] {
      #expect(failure { _ = try shape.axis(axis) }?.status == .invalidArgument)
    }
    #expect(failure { _ = try Shape.scalar.axis(0) }?.status == .invalidArgument)
  }

  @Test(arguments: [
    ([2, 3], [2, 3], [2, 3]), ([2, 1], [3], [2, 3]), ([], [4], [4]), ([1], [0], [0]),
    ([5, 1, 3], [2, 1], [5, 2, 3]), ([0, 3], [1, 1], [0, 3]),
  ]) func broadcasts(left: [Int], right: [Int], result: [Int]) throws {
    let (a, b) = (try Shape(left), try Shape(right))
    #expect(try a.broadcast(with: b).dims == result)
    #expect(try b.broadcast(with: a).dims == result)
  }

  @Test func refusesToBroadcast() throws {
    for (left, right) in [([2], [3]), ([2, 3], [2]), ([0], [2])] {
      let error = failure { _ = try Shape(left).broadcast(with: Shape(right)) }
      #expect(error?.status == .shapeMismatch)
    }
    let large = try Shape([1 << 40, 1])
    #expect(failure { _ = try large.broadcast(with: Shape([1, 1 << 40])) } != nil)
  }

  @Test func broadcastStridesRepeatElements() throws {
    let target = try Shape([5, 2, 3])
    #expect(try Shape([2, 1]).broadcastStrides(to: target) == [0, 1, 0])
    #expect(try Shape([5, 1, 3]).broadcastStrides(to: target) == [3, 0, 1])
    #expect(Shape.scalar.broadcastStrides(to: target) == [0, 0, 0])
  }
}
