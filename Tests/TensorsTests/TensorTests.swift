import Base
import TestSupport
import Testing

@testable import Tensors

struct TensorTests {
  @Test(arguments: ElementType.allCases) func zerosOfEveryType(type: ElementType) throws {
    let tensor = try Tensor(zeros: type, Shape([3, 2]))
    #expect(tensor.count == 6 && tensor.byteCount == 6 * type.byteSize)
    #expect(UInt(bitPattern: tensor.base) % 64 == 0)
    if type == .string {
      #expect(try tensor.elements(as: String.self) == [String](repeating: "", count: 6))
      #expect(tensor.bytes.count == 0)
    } else {
      #expect(tensor.bytes.allSatisfy { $0 == 0 })
    }
    let empty = try Tensor(zeros: type, Shape([0, 2]))
    #expect(empty.count == 0 && empty.byteCount == 0)
    #expect(ElementType(rawValue: type.rawValue) == type)
  }

  @Test func keepsElements() throws {
    let shape = try Shape([2, 2])
    #expect(
      try Tensor([Int8(1), -2, 3, -4], shape: shape).elements(as: Int8.self) == [1, -2, 3, -4])
    #expect(try Tensor(["a", "", "ü", "🙂"], shape: shape).elements(as: String.self)[3] == "🙂")
    #expect(try Tensor(scalar: 2.5).shape == .scalar)
    #expect(failure { _ = try Tensor([Float(1)], shape: shape) }?.status == .shapeMismatch)
    #expect(
      failure { _ = try Tensor([Float(1)]).elements(as: Double.self) }?.status == .typeMismatch)
    #expect(try Tensor([Int32(7), -7]).integers() == [7, -7])
    #expect(failure { _ = try Tensor([UInt8(7)]).integers() }?.status == .typeMismatch)
  }

  @Test func viewsShareAndCopiesDoNot() throws {
    let tensor = try Tensor([Float(0), 1, 2, 3, 4, 5], shape: Shape([3, 2]))
    let flat = try tensor.reshaped(to: Shape([6]))
    #expect(flat.base == tensor.base)
    #expect(failure { _ = try tensor.reshaped(to: Shape([5])) }?.status == .shapeMismatch)
    let rows = try tensor.rows(1..<3)
    #expect(try rows.elements(as: Float.self) == [2, 3, 4, 5])
    #expect(rows.base == tensor.base + 8)
    #expect(try tensor.rows(3..<3).count == 0)
    for range in [0..<4, -1..<2] {
      #expect(failure { _ = try tensor.rows(range) }?.status == .invalidArgument)
    }
    #expect(failure { _ = try Tensor(scalar: Float(1)).rows(0..<1) } != nil)
    let copy = try tensor.copied()
    #expect(copy.base != tensor.base && copy.isIdentical(to: tensor))
    let texts = try Tensor(["a", "b"]).copied()
    #expect(try texts.elements(as: String.self) == ["a", "b"])
  }

  @Test func lentMemoryIsGivenBackOnce() throws {
    let released = Mutex(0)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 16, alignment: 64)
    defer { memory.deallocate() }
    memory.initializeMemory(as: Float.self, repeating: 2, count: 4)
    do {
      let tensor = Tensor(
        lending: memory, elementType: .float32, shape: try Shape([4]), isReadOnly: true
      ) { released.withLock { $0 += 1 } }
      let view = try tensor.reshaped(to: Shape([2, 2]))
      #expect(tensor.storage.isReadOnly && view.base == memory)
      #expect(released.withLock { $0 } == 0)
    }
    #expect(released.withLock { $0 } == 1)
  }

  @Test func refusesWhatCannotBeAllocated() throws {
    let huge = try Shape([Int.max / 64])
    #expect(failure { _ = try Tensor(uninitialized: .float64, huge) }?.status == .outOfMemory)
    #expect(failure { _ = try Tensor(uninitialized: .string, huge) }?.status == .outOfMemory)
  }

  @Test func roundsBFloat16ToEven() {
    #expect(BFloat16(1).bitPattern == 0x3f80)
    #expect(BFloat16(Float(bitPattern: 0x3f80_8000)).bitPattern == 0x3f80)
    #expect(BFloat16(Float(bitPattern: 0x3f81_8000)).bitPattern == 0x3f82)
    #expect(BFloat16(Float(bitPattern: 0x3f80_8001)).bitPattern == 0x3f81)
    #expect(BFloat16(.infinity).float == .infinity)
    #expect(BFloat16(.greatestFiniteMagnitude).float == .infinity)
    #expect(BFloat16(Float(bitPattern: 0x7f80_0001)).float.isNaN)
    #expect(BFloat16(-.nan).float.isNaN)
  }

  @Test func valuesSayWhatTheyAre() throws {
    #expect(failure { _ = try Value.sequence([]).tensor() }?.status == .typeMismatch)
    let value = Value.tensor(try Tensor([Float(1)]))
    #expect(try value.tensor().count == 1)
    #expect(Value.none.kindName == "an empty optional")
  }
}
