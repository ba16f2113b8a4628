import Base

/// A Windows bitmap: 1 to 32 bits a pixel, with a palette, run lengths or masks.
struct Bitmap {
  private let data: UnsafeRawBufferPointer
  private let width: Int
  private let height: Int
  private let isTopDown: Bool
  private let depth: Int
  private let compression: Int
  private let start: Int
  private let palette: [SIMD3<UInt8>]
  /// Where red, green and blue lie in a pixel of 16 or 32 bits.
  private var masks = SIMD3<UInt32>(0x7C00, 0x3E0, 0x1F)

  private enum Compression { static let (none, runs8, runs4, fields) = (0, 1, 2, 3) }

  /// Nil when the header is broken.
  init?(_ data: UnsafeRawBufferPointer) {
    self.data = data
    func u16(_ offset: Int) -> Int {
      data.count >= offset + 2
        ? Int(data.loadUnaligned(fromByteOffset: offset, as: UInt16.self)) : 0
    }
    func u32(_ offset: Int) -> UInt32 {
      data.count >= offset + 4 ? data.loadUnaligned(fromByteOffset: offset, as: UInt32.self) : 0
    }
    func i32(_ offset: Int) -> Int { Int(Int32(bitPattern: u32(offset))) }
    start = Int(u32(10))
    let headerSize = Int(u32(14))
    let isOld = headerSize == 12
    guard isOld || headerSize >= 40, headerSize <= 1 << 16 else { return nil }
    width = isOld ? u16(18) : i32(18)
    let rows = isOld ? u16(20) : i32(22)
    isTopDown = rows < 0
    height = abs(rows)
    depth = isOld ? u16(24) : u16(28)
    compression = isOld ? 0 : Int(u32(30))
    guard [1, 4, 8, 16, 24, 32].contains(depth), compression <= Compression.fields else {
      return nil
    }
    if depth == 32 { masks = SIMD3(0xFF0000, 0xFF00, 0xFF) }
    if compression == Compression.fields { masks = SIMD3(u32(54), u32(58), u32(62)) }
    guard depth <= 8 else {
      palette = []
      return
    }
    let entry = isOld ? 3 : 4
    let given = isOld ? 0 : Int(u32(46))
    let count = given > 0 && given <= 1 << depth ? given : 1 << depth
    let first = 14 + headerSize
    guard data.count >= first + count * entry else { return nil }
    palette = (0..<count).map { index in
      let place = first + index * entry
      return SIMD3(data[place + 2], data[place + 1], data[place])
    }
  }

  /// The pixels, nil when some are missing.
  func image() throws(StackLensError) -> Image? {
    guard let count = try Image.pixelCount(width, height), start <= data.count else { return nil }
    if compression == Compression.runs8 || compression == Compression.runs4 {
      guard depth == (compression == Compression.runs8 ? 8 : 4),
        let indices = runs(count)
      else { return nil }
      return filled { row, column in color(Int(indices[row * width + column])) }
    }
    let stride = (width * depth + 31) / 32 * 4
    guard (data.count - start) / stride >= height else { return nil }
    return filled { row, column in pixel(start + row * stride, column) }
  }

  /// - Parameter color: the pixel in a row of the file; those are counted from the bottom.
  private func filled(_ color: (Int, Int) -> SIMD3<UInt8>) -> Image {
    var pixels = [UInt8](repeating: 0, count: 3 * width * height)
    for row in 0..<height {
      let target = isTopDown ? row : height - 1 - row
      for column in 0..<width {
        let value = color(row, column)
        for channel in 0..<3 { pixels[3 * (target * width + column) + channel] = value[channel] }
      }
    }
    return Image(width: width, height: height, pixels: pixels)
  }

  private func color(_ index: Int) -> SIMD3<UInt8> {
    index < palette.count ? palette[index] : SIMD3(repeating: 0)
  }

  private func pixel(_ row: Int, _ column: Int) -> SIMD3<UInt8> {
    switch depth {
    case 16:
      return unpacked(
        UInt32(data.loadUnaligned(fromByteOffset: row + 2 * column, as: UInt16.self)))
    case 24:
      let place = row + 3 * column
      return SIMD3(data[place + 2], data[place + 1], data[place])
    case 32:
      return unpacked(data.loadUnaligned(fromByteOffset: row + 4 * column, as: UInt32.self))
    default:
      let bit = column * depth
      let byte = Int(data[row + bit / 8])
      return color(byte >> (8 - depth - bit % 8) & (1 << depth - 1))
    }
  }

  private func unpacked(_ value: UInt32) -> SIMD3<UInt8> {
    var result = SIMD3<UInt8>()
    for channel in 0..<3 where masks[channel] != 0 {
      let shift = UInt32(masks[channel].trailingZeroBitCount)
      let largest = masks[channel] >> shift
      let part = UInt64((value & masks[channel]) >> shift)
      result[channel] = UInt8(part * 255 / UInt64(largest))
    }
    return result
  }

  /// Palette indices of run-length coded rows; what the runs leave out is 0.
  private func runs(_ count: Int) -> [UInt8]? {
    var indices = [UInt8](repeating: 0, count: count)
    var (place, row, column) = (start, 0, 0)
    func put(_ value: UInt8) {
      if row < height, column < width { indices[row * width + column] = value }
      column += 1
    }
    func half(_ byte: UInt8, _ index: Int) -> UInt8 {
      depth == 8 ? byte : index % 2 == 0 ? byte >> 4 : byte & 15
    }
    while row < height, place + 1 < data.count {
      let (length, code) = (Int(data[place]), data[place + 1])
      place += 2
      if length > 0 {
        for index in 0..<length { put(half(code, index)) }
      } else if code == 0 {
        (row, column) = (row + 1, 0)
      } else if code == 1 {
        return indices
      } else if code == 2 {
        guard place + 1 < data.count else { return nil }
        column += Int(data[place])
        row += Int(data[place + 1])
        place += 2
      } else {
        let bytes = depth == 8 ? Int(code) : (Int(code) + 1) / 2
        guard place + bytes <= data.count else { return nil }
        for index in 0..<Int(code) {
          put(half(data[place + (depth == 8 ? index : index / 2)], index))
        }
        place += bytes + bytes % 2
      }
    }
    return row >= height ? indices : nil
  }
}
