import Base
import Graphs
import Tensors
import Testing

@testable import Operators

struct ImageTests {
  private func decode(_ bytes: [UInt8], _ format: String = "RGB") throws -> Tensor {
    let definition = try #require(OperatorTable.find("ImageDecoder", domain: ""))
    let node = Node(
      "ImageDecoder", inputs: ["x"], outputs: ["y"], attributes: ["pixel_format": .string(format)])
    return try definition.evaluate(node, inputs: [.tensor(try Tensor(bytes))])[0].tensor()
  }

  private func pixels(_ bytes: [UInt8], _ format: String = "RGB") throws -> [UInt8] {
    try decode(bytes, format).elements(as: UInt8.self)
  }

  private func little(_ value: Int, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  /// A bitmap with a header of 40 bytes.
  private func bitmap(
    _ width: Int, _ height: Int, depth: Int, compression: Int = 0, palette: [UInt8] = [],
    _ data: [UInt8]
  ) -> [UInt8] {
    Array("BM".utf8) + little(0, 8) + little(54 + palette.count, 4) + little(40, 4)
      + little(width, 4) + little(height, 4) + little(1, 2) + little(depth, 2)
      + little(compression, 4) + little(0, 12) + little(palette.count / 4, 4) + little(0, 4)
      + palette + data
  }

  @Test func readsPortableMaps() throws {
    #expect(try pixels(Array("P1 # two\n2 2 10\n01".utf8), "Grayscale") == [0, 255, 255, 0])
    #expect(try pixels(Array("P2 2 1 4 0 1".utf8)) == [0, 0, 0, 64, 64, 64])
    #expect(try pixels(Array("P3 1 1 255 1 2 3".utf8), "BGR") == [3, 2, 1])
    #expect(
      try pixels(Array("P4 9 1 ".utf8) + [0x80, 0x80], "Grayscale")
        == [0, 255, 255, 255, 255, 255, 255, 255, 0])
    #expect(try pixels(Array("P5 1 1 65535 ".utf8) + [0x80, 0]) == [128, 128, 128])
    #expect(try pixels(Array("P6 1 1 255 ".utf8) + [9, 8, 7]) == [9, 8, 7])
    let header = "P7\nWIDTH 1\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    #expect(try pixels(Array(header.utf8) + [9, 8, 7, 6]) == [9, 8, 7])
    #expect(try pixels(Array("P6 1 1 255 ".utf8) + [200, 100, 50], "Grayscale") == [124])
  }

  @Test func readsBitmaps() throws {
    let two: [UInt8] = [1, 2, 3, 4, 5, 6, 0, 0]
    #expect(try pixels(bitmap(2, 1, depth: 24, two)) == [3, 2, 1, 6, 5, 4])
    let rows: [UInt8] = [1, 1, 1, 0, 2, 2, 2, 0]
    #expect(try pixels(bitmap(1, 2, depth: 24, rows)) == [2, 2, 2, 1, 1, 1])
    #expect(try pixels(bitmap(1, -2, depth: 24, rows)) == [1, 1, 1, 2, 2, 2])
    #expect(try pixels(bitmap(1, 1, depth: 32, [1, 2, 3, 4])) == [3, 2, 1])
    #expect(try pixels(bitmap(1, 1, depth: 16, [0x00, 0x7C, 0, 0])) == [255, 0, 0])
    let palette: [UInt8] = [0, 0, 0, 0, 1, 2, 3, 0]
    #expect(
      try pixels(bitmap(3, 1, depth: 1, palette: palette, [0x40, 0, 0, 0]))
        == [0, 0, 0, 3, 2, 1, 0, 0, 0])
    // Two of index 1, the end of the row, an absolute run of three in the next.
    let runs: [UInt8] = [2, 1, 0, 0, 0, 3, 1, 0, 1, 0, 0, 1]
    #expect(
      try pixels(bitmap(3, 2, depth: 8, compression: 1, palette: palette, runs))
        == [3, 2, 1, 0, 0, 0, 3, 2, 1, 3, 2, 1, 3, 2, 1, 0, 0, 0])
  }

  @Test(
    arguments: [
      [], [0x42], Array("BM".utf8), Array("P6 9 9 255 ".utf8), Array("P3 1 1 255 1 2".utf8),
      Array("P6 1 1 0 ".utf8), Array("P6 -1 1 255 ".utf8), Array("P9".utf8), [0xFF, 0xD8, 0xFF],
      [0x89, 0x50, 0x4E, 0x47, 13, 10, 26, 10], Array("RIFF    WEBP".utf8), [0x49, 0x49, 0x2A, 0],
      [0xFF, 0x4F, 0xFF, 0x51], [UInt8](repeating: 7, count: 99),
    ] as [[UInt8]])
  func isEmptyForWhatIsNoImage(_ bytes: [UInt8]) throws {
    do {
      #expect(try decode(bytes).shape.dims == [0, 0, 3])
    } catch let error as StackLensError {
      // Where the library of the format is not installed, its package is named.
      #expect(error.status == .unsupported && error.message.contains("the package lib"))
    }
  }

  @Test func boundsImages() throws {
    for bytes in [
      Array("P6 99999 99999 255 ".utf8), bitmap(1 << 30, 1 << 30, depth: 24, []),
      bitmap(99_999, -99_999, depth: 8, compression: 1, palette: [0, 0, 0, 0], []),
    ] {
      #expect(status { _ = try decode(bytes) } == .limitExceeded)
    }
    #expect(status { _ = try decode([1], "CMYK") } == .invalidArgument)
  }
}
