import Base

/// The portable bit-, gray- and pixmaps P1 to P6, and P7.
struct PortableMap {
  private let data: UnsafeRawBufferPointer
  private var position: Int

  /// The first image of the file, nil when it is broken.
  static func image(_ data: UnsafeRawBufferPointer) throws(StackLensError) -> Image? {
    guard data.count > 2, data[1] >= 0x31, data[1] <= 0x37 else { return nil }
    var reader = PortableMap(data: data, position: 2)
    let kind = Int(data[1]) - 0x30
    if kind == 7 { return try reader.arbitrary() }
    guard let width = reader.number(), let height = reader.number(),
      let count = try Image.pixelCount(width, height)
    else { return nil }
    let largest = kind == 1 || kind == 4 ? 1 : reader.number() ?? 0
    guard largest > 0, largest < 1 << 16 else { return nil }
    if kind == 4 {
      reader.position += 1
      return reader.bits(width, height)
    }
    if kind > 4 { reader.position += 1 }
    let channels = kind % 3 == 0 ? 3 : 1
    // Digits of a bitmap need no space between them; a one is black.
    return reader.samples(
      width, height, count, channels, largest, isText: kind < 4, isBitmap: kind == 1)
  }

  private mutating func samples(
    _ width: Int, _ height: Int, _ count: Int, _ channels: Int, _ largest: Int, isText: Bool,
    isBitmap: Bool
  ) -> Image? {
    let size = isText ? 1 : largest > 255 ? 2 : 1
    guard position <= data.count, (data.count - position) / size / channels >= count else {
      return nil
    }
    var pixels = [UInt8](repeating: 0, count: 3 * count)
    for pixel in 0..<count {
      for channel in 0..<channels {
        let value: Int
        if isText {
          guard let text = number(digits: isBitmap ? 1 : 6) else { return nil }
          value = isBitmap ? 1 - min(text, 1) : text
        } else {
          value =
            size == 2 ? Int(data[position]) << 8 | Int(data[position + 1]) : Int(data[position])
          position += size
        }
        let byte = UInt8((min(value, largest) * 510 + largest) / (2 * largest))
        if channels < 3 {
          if channel == 0 { for place in 0..<3 { pixels[3 * pixel + place] = byte } }
        } else if channel < 3 {
          pixels[3 * pixel + channel] = byte
        }
      }
    }
    return Image(width: width, height: height, pixels: pixels)
  }

  /// Eight pixels a byte, rows begin at bytes, a one is black.
  private func bits(_ width: Int, _ height: Int) -> Image? {
    let stride = (width + 7) / 8
    guard position <= data.count, (data.count - position) / stride >= height else { return nil }
    var pixels = [UInt8](repeating: 255, count: 3 * width * height)
    for row in 0..<height {
      for column in 0..<width
      where data[position + row * stride + column / 8] >> UInt8(7 - column % 8) & 1 == 1 {
        for place in 0..<3 { pixels[3 * (row * width + column) + place] = 0 }
      }
    }
    return Image(width: width, height: height, pixels: pixels)
  }

  /// P7: named header fields, any number of channels.
  private mutating func arbitrary() throws(StackLensError) -> Image? {
    var fields: [String: Int] = [:]
    while let name = word() {
      if name == "ENDHDR" {
        position += 1
        guard let width = fields["WIDTH"], let height = fields["HEIGHT"],
          let depth = fields["DEPTH"], let largest = fields["MAXVAL"], (1...4).contains(depth),
          largest > 0, largest < 1 << 16, let count = try Image.pixelCount(width, height)
        else { return nil }
        return samples(width, height, count, depth, largest, isText: false, isBitmap: false)
      }
      if ["WIDTH", "HEIGHT", "DEPTH", "MAXVAL"].contains(name) {
        fields[name] = number()
      } else {
        while position < data.count, data[position] != 10 { position += 1 }
      }
    }
    return nil
  }

  private mutating func skipSpace() {
    while position < data.count {
      if data[position] == 0x23 {
        while position < data.count, data[position] != 10 { position += 1 }
      } else if data[position] == 32 || (9...13).contains(data[position]) {
        position += 1
      } else {
        return
      }
    }
  }

  private mutating func word() -> String? {
    skipSpace()
    let start = position
    while position < data.count, position - start < 16, data[position] > 32 { position += 1 }
    return position > start ? String(decoding: data[start..<position], as: UTF8.self) : nil
  }

  /// The next decimal number, of at most so many digits.
  private mutating func number(digits: Int = 9) -> Int? {
    skipSpace()
    let start = position
    var value = 0
    while position < data.count, position - start < digits, (0x30...0x39).contains(data[position]) {
      value = value * 10 + Int(data[position]) - 0x30
      position += 1
    }
    return position > start ? value : nil
  }
}
