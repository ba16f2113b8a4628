import Base
import TestSupport
import Testing

@testable import Tensors

/// The encodings of element types of at most 8 bits, against numbers worked out by hand.
struct SmallTypeTests {
  private func codes(
    _ type: ElementType, _ values: [Double], saturates: Bool = true,
    mode: SmallFloatRounding.Mode = .up
  ) -> [UInt8] {
    var codes = [UInt8](repeating: 0, count: values.count)
    type.storeSmallFloats(
      values, to: &codes, values.count, SmallFloatRounding(saturates: saturates, mode: mode))
    return codes
  }

  @Test(arguments: [
    (ElementType.float8e4m3fn, Float(448), Float(0x1p-9), UInt8(0x38)),
    (.float8e4m3fnuz, 240, 0x1p-10, 0x40), (.float8e5m2, 57_344, 0x1p-16, 0x3c),
    (.float8e5m2fnuz, 57_344, 0x1p-17, 0x40), (.float6e2m3, 7.5, 0.125, 0x08),
    (.float6e3m2, 28, 0.0625, 0x0c), (.float4e2m1, 6, 0.5, 0x02),
    (.float8e8m0, 0x1p127, 0x1p-127, 0x7f),
  ])
  func hasTheRangeOfItsFormat(type: ElementType, largest: Float, least: Float, one: UInt8) {
    let values = type.smallFloatValues.prefix(1 << type.bitWidth)
    #expect(values.filter(\.isFinite).max() == largest)
    #expect(values.filter { $0 > 0 }.min() == least)
    #expect(codes(type, [1]) == [one])
    // Every finite code is the code of its value.
    for (code, value) in values.enumerated() where value.isFinite {
      #expect(codes(type, [Double(value)]) == [UInt8(code)], "\(type) \(code)")
    }
  }

  @Test func roundsHalvesToEven() {
    #expect(codes(.float4e2m1, [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5]) == [0, 2, 2, 4, 4, 6, 6])
    #expect(codes(.float8e4m3fn, [1.0625, 1.1875, 0x1p-10, 0x1.8p-9]) == [0x38, 0x3a, 0, 2])
  }

  @Test func saturatesOrOverflowsByTheTablesOfTheStandard() {
    let values: [Double] = [.infinity, -.infinity, 1e6, -1e6, .nan, -0.0]
    #expect(codes(.float8e4m3fn, values) == [0x7e, 0xfe, 0x7e, 0xfe, 0x7f, 0x80])
    #expect(codes(.float8e4m3fnuz, values) == [0x7f, 0xff, 0x7f, 0xff, 0x80, 0])
    #expect(codes(.float8e5m2, values) == [0x7b, 0xfb, 0x7b, 0xfb, 0x7e, 0x80])
    #expect(codes(.float8e5m2fnuz, values) == [0x7f, 0xff, 0x7f, 0xff, 0x80, 0])
    let open: [ElementType: [UInt8]] = [
      .float8e4m3fn: [0x7f, 0xff, 0x7f, 0xff, 0x7f, 0x80],
      .float8e4m3fnuz: [0x80, 0x80, 0x80, 0x80, 0x80, 0],
      .float8e5m2: [0x7c, 0xfc, 0x7c, 0xfc, 0x7e, 0x80],
      .float8e5m2fnuz: [0x80, 0x80, 0x80, 0x80, 0x80, 0],
    ]
    for (type, expected) in open { #expect(codes(type, values, saturates: false) == expected) }
  }

  @Test func powersOfTwoRoundAsAsked() {
    let values: [Double] = [1, 1.25, 1.5, 1.75, 0x1p-127, 0, .nan]
    #expect(codes(.float8e8m0, values) == [127, 128, 128, 128, 0, 0, 255])
    #expect(codes(.float8e8m0, values, mode: .down) == [127, 127, 127, 127, 0, 0, 255])
    #expect(codes(.float8e8m0, values, mode: .nearest) == [127, 127, 128, 128, 0, 0, 255])
    let beyond: [Double] = [.infinity, 0x1p128, 0x1.8p127, 0, 0x1p-130]
    #expect(codes(.float8e8m0, beyond) == [254, 254, 254, 0, 0])
    #expect(codes(.float8e8m0, beyond, saturates: false) == [255, 255, 255, 255, 255])
    #expect(codes(.float8e8m0, beyond, saturates: false, mode: .down)[2] == 254)
  }

  @Test func smallIntegersKeepTheirLowBits() {
    var values: [Int8] = [-9, -8, -1, 0, 7, 8]
    ElementType.int4.storeSmallIntegers(values, to: &values, values.count)
    var back = [Int8](repeating: 0, count: values.count)
    ElementType.int4.smallIntegers(values, to: &back, values.count)
    #expect(back == [7, -8, -1, 0, 7, -8])
    ElementType.uint2.smallIntegers(values, to: &back, values.count)
    #expect(back == [3, 0, 3, 0, 3, 0])
    #expect(ElementType.int2.smallIntegerRange == -2...1)
    #expect(ElementType.uint16.smallIntegerRange == 0...65_535)
  }

  @Test func packsFromTheLowestBit() throws {
    func packed(_ type: ElementType, _ codes: [UInt8]) throws -> [UInt8]? {
      try Tensor(codes: codes, as: type, shape: Shape([codes.count])).packedBytes
    }
    #expect(try packed(.int4, [1, 15, 3]) == [0xf1, 0x03])
    #expect(try packed(.uint2, [1, 2, 3, 0, 3]) == [0b00_11_10_01, 0b11])
    #expect(try packed(.float6e2m3, [0x3f, 0, 0x21, 0x12]) == [0x3f, 0x10, 0x4a])
    #expect(try packed(.float6e2m3, [1, 0x20]) == [0x01, 0x08])
    #expect(try packed(.uint4, []) == [])
    #expect(try packed(.uint8, [1]) == nil)
    // Bits beyond the type do not spill over.
    #expect(try packed(.int4, [0xf1, 0xff]) == [0xf1])
  }

  @Test(arguments: ElementType.allCases.filter(\.isPacked), 0..<10)
  func unpacksWhatItPacked(type: ElementType, count: Int) throws {
    let codes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37) & (1 << type.bitWidth - 1) }
    let tensor = try Tensor(codes: codes, as: type, shape: Shape([count]))
    let bytes = try #require(tensor.packedBytes)
    #expect(bytes.count == (count * type.bitWidth + 7) / 8)
    #expect(bytes.count == type.fileByteCount(count))
    let back = try bytes.withUnsafeBytes { buffer in
      guard let base = buffer.baseAddress else { return tensor }
      return try Tensor(unpacking: base, type, tensor.shape)
    }
    #expect(back.isIdentical(to: tensor))
  }

  @Test func codesAreForTypesOfOneByte() throws {
    let shape = try Shape([2])
    #expect(
      failure { _ = try Tensor(codes: [1, 2], as: .int16, shape: shape) }?.status == .typeMismatch)
    #expect(
      failure { _ = try Tensor(codes: [1], as: .int4, shape: shape) }?.status == .shapeMismatch)
  }

  @Test func complexNumbersMultiply() throws {
    #expect(Complex64(1, 2) * Complex64(3, -1) == Complex64(5, 5))
    let tensor = try Tensor([Complex128(1, 2), Complex128(-1, 0)])
    #expect(tensor.elementType == .complex128 && tensor.byteCount == 32)
    #expect(try tensor.elements(as: Complex128.self)[0].imaginary == 2)
  }
}
