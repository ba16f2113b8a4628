import Base
import Graphs
import Tensors
import TestSupport
import Testing

@testable import Operators

/// Operators on small floating-point types, small integers and complex numbers, by hand.
struct ElementTypeTests {
  private func small(_ type: ElementType, _ codes: [UInt8]) throws -> Tensor {
    try Tensor(codes: codes, as: type, shape: Shape([codes.count]))
  }

  private func codes(_ tensor: Tensor) -> [UInt8] {
    withExtendedLifetime(tensor) { Array(tensor.bytes) }
  }

  private func run(
    _ name: String, _ inputs: [Tensor], _ attributes: [String: Attribute] = [:]
  ) throws -> Tensor {
    try evaluate(name, inputs, attributes)[0].tensor()
  }

  private func to(_ type: ElementType) -> [String: Attribute] {
    ["to": .int(Int64(type.rawValue))]
  }

  @Test func castsSaturateUnlessTold() throws {
    let x = try Tensor([Float(500), -1, .infinity])
    #expect(codes(try run("Cast", [x], to(.float8e4m3fn))) == [0x7e, 0xb8, 0x7e])
    let open = to(.float8e4m3fn).merging(["saturate": .int(0)]) { $1 }
    #expect(codes(try run("Cast", [x], open)) == [0x7f, 0xb8, 0x7f])
    let down = to(.float8e8m0).merging(["round_mode": .string("down")]) { $1 }
    #expect(codes(try run("Cast", [Tensor([Float(3)])], down)) == [128])
  }

  /// What the standard leaves open is as x86 processors, PyTorch and ONNX Runtime have it.
  @Test func castsWhatDoesNotFit() throws {
    let x = try Tensor([Float.nan, .infinity, -.infinity, 3e9, -3e9, 5e9, 300, -1.5])
    #expect(
      try run("Cast", [x], to(.int64)).elements(as: Int64.self)
        == [.min, .min, .min, 3_000_000_000, -3_000_000_000, 5_000_000_000, 300, -1])
    #expect(
      try run("Cast", [x], to(.int32)).elements(as: Int32.self)
        == [.min, .min, .min, .min, .min, .min, 300, -1])
    #expect(
      try run("Cast", [x], to(.uint8)).elements(as: UInt8.self) == [0, 0, 0, 0, 0, 0, 44, 255])
    #expect(
      try run("Cast", [x], to(.uint32)).elements(as: UInt32.self)
        == [1 << 31, 0, 1 << 31, 3_000_000_000, 1 << 31, 0, 300, .max])
    #expect(
      try run("Cast", [try Tensor([Float(1e19), 1e30, -300])], to(.uint64)).elements(
        as: UInt64.self) == [9_999_999_980_506_447_872, 0, UInt64.max - 299])
  }

  @Test func castsBetweenSmallTypes() throws {
    let x = try small(.int4, [0, 7, 8, 15])
    #expect(try run("Cast", [x], to(.int64)).elements(as: Int64.self) == [0, 7, -8, -1])
    #expect(codes(try run("Cast", [x], to(.int2))) == [0, 3, 0, 3])
    #expect(codes(try run("Cast", [x], to(.float4e2m1))) == [0, 7, 15, 10])
    #expect(try run("Cast", [x], to(.bool)).elements(as: Bool.self) == [false, true, true, true])
    #expect(
      try run("Cast", [x], to(.string)).elements(as: String.self) == ["0", "7", "-8", "-1"])
    #expect(failure { _ = try run("Cast", [x], to(.complex64)) } != nil)
    #expect(
      failure { _ = try run("Cast", [Tensor([Complex64(1, 2)])], to(.float32)) }?.status
        == .typeMismatch)
  }

  @Test func longConversionsCrossChunks() throws {
    let count = 3 * chunkLength + 7
    let x = try Tensor((0..<count).map { Float($0 % 13) - 6 })
    let narrow = try run("Cast", [x], to(.int4))
    #expect(
      try run("Cast", [narrow], to(.float32)).elements(as: Float.self) == x.elements(as: Float.self)
    )
    let floats = try run("Cast", [x], to(.float8e5m2))
    #expect(
      try run("Cast", [floats], to(.float32)).elements(as: Float.self)
        == x.elements(as: Float.self))
  }

  @Test func quantisesIntoSmallTypes() throws {
    let x = try Tensor([Float(-9), -1, 0.5, 1.5, 9])
    let scale = try Tensor(scalar: Float(0.5))
    let zero = try Tensor(codes: [1], as: .int4, shape: .scalar)
    let y = try run("QuantizeLinear", [x, scale, zero])
    #expect(y.elementType == .int4 && codes(y) == [8, 15, 2, 4, 7])
    #expect(
      try run("DequantizeLinear", [y, scale, zero]).elements(as: Float.self)
        == [-4.5, -1, 0.5, 1.5, 3])
    let float4 = try run("QuantizeLinear", [x, scale], ["output_dtype": .int(23)])
    #expect(codes(float4) == [15, 12, 2, 5, 7])
  }

  @Test func bitCastKeepsBits() throws {
    let bits = try run("BitCast", [Tensor([Float(1), -0.0])], to(.uint32))
    #expect(try bits.elements(as: UInt32.self) == [0x3f80_0000, 0x8000_0000])
    #expect(try run("BitCast", [small(.int4, [9])], to(.float4e2m1)).elementType == .float4e2m1)
    #expect(
      try run("BitCast", [Tensor([UInt8(0), 7])], to(.bool)).elements(as: Bool.self)
        == [false, true])
    #expect(
      failure { _ = try run("BitCast", [Tensor([Float(1)])], to(.int8)) }?.status == .typeMismatch)
  }

  @Test func productsOfFloatsAreQuantised() throws {
    // (1, 2) (3, -1) times the scales 2 and 0.5, over the scale 0.25.
    func scalar(_ value: Float) throws -> Tensor { try Tensor(scalar: value) }
    let zero = try Tensor(codes: [0], as: .float8e4m3fn, shape: .scalar)
    let a = try small(.float8e4m3fn, [0x38, 0x40]).reshaped(to: Shape([1, 2]))
    let b = try small(.float8e4m3fn, [0x44, 0xb8]).reshaped(to: Shape([2, 1]))
    let inputs = try [a, scalar(2), zero, b, scalar(0.5), zero, scalar(0.25)]
    #expect(codes(try run("QLinearMatMul", inputs + [zero])) == [0x48])
    #expect(
      try run("QLinearMatMul", inputs + [Tensor(scalar: Int8(3))]).elements(as: Int8.self) == [7])
  }

  @Test func samplesComplexNumbersAndTexts() throws {
    let shape = try Shape([1, 1, 1, 2])
    let middle = try Tensor([Float(0), 0], shape: Shape([1, 1, 1, 2]))
    let numbers = try Tensor([Complex64(1, 2), Complex64(3, -4)], shape: shape)
    #expect(
      try run("GridSample", [numbers, middle]).elements(as: Complex64.self) == [Complex64(2, -1)])
    let texts = try Tensor(["a", "b"], shape: shape)
    let right = try Tensor([Float(0.5), 0, 9, 9], shape: Shape([1, 1, 2, 2]))
    #expect(
      try run("GridSample", [texts, right], ["mode": .string("nearest")])
        .elements(as: String.self) == ["b", ""])
    #expect(
      failure { _ = try run("GridSample", [texts, right]) }?.status == .typeMismatch)
  }

  @Test func findsDifferentComplexNumbers() throws {
    let x = try Tensor([Complex128(1, 1), Complex128(1, 0), Complex128(1, 1)])
    #expect(
      try run("Unique", [x]).elements(as: Complex128.self) == [Complex128(1, 0), Complex128(1, 1)])
    #expect(try run("NonZero", [Tensor([Complex64(0, 0), Complex64(0, 1)])]).integers() == [1])
  }
}
