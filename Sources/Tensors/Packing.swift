import Base

extension ElementType {
  /// Bytes that `count` elements take in a file. Elements of 2, 4 and 6 bits follow each other
  /// without gaps from the lowest bit of each byte; the last byte is filled with zeros.
  public func fileByteCount(_ count: Int) -> Int {
    isPacked ? (count / 8) * bitWidth + ((count % 8) * bitWidth + 7) / 8 : count * byteSize
  }
}

extension Tensor {
  /// Bytes that the elements take in a file.
  package var fileByteCount: Int { elementType.fileByteCount(count) }

  /// The bytes of the elements as files hold them; nil where they are those in memory.
  package var packedBytes: [UInt8]? {
    guard elementType.isPacked else { return nil }
    let width = elementType.bitWidth
    let codes = base.assumingMemoryBound(to: UInt8.self)
    var bytes = [UInt8](repeating: 0, count: fileByteCount)
    let mask = UInt16(1 << width - 1)
    for i in 0..<count {
      let (place, shift) = (i * width).quotientAndRemainder(dividingBy: 8)
      let bits = (UInt16(codes[i]) & mask) << UInt16(shift)
      bytes[place] |= UInt8(truncatingIfNeeded: bits)
      if bits > 255 { bytes[place + 1] |= UInt8(bits >> 8) }
    }
    return bytes
  }

  /// A tensor of elements of less than 8 bits from the `fileByteCount` bytes that files hold.
  package init(
    unpacking bytes: UnsafeRawPointer, _ elementType: ElementType, _ shape: Shape
  ) throws(StackLensError) {
    try self.init(uninitialized: elementType, shape)
    let (width, byteCount) = (elementType.bitWidth, elementType.fileByteCount(shape.count))
    let codes = base.assumingMemoryBound(to: UInt8.self)
    let mask = UInt16(1 << width - 1)
    for i in 0..<shape.count {
      let (place, shift) = (i * width).quotientAndRemainder(dividingBy: 8)
      let low = UInt16(bytes.load(fromByteOffset: place, as: UInt8.self))
      let high =
        place + 1 < byteCount ? UInt16(bytes.load(fromByteOffset: place + 1, as: UInt8.self)) : 0
      codes[i] = UInt8(truncatingIfNeeded: (low | high << 8) >> UInt16(shift) & mask)
    }
  }

  /// A tensor of a type of at most 8 bits from the bit patterns of its elements, one a byte.
  /// - Throws: `.typeMismatch` for wider types, `.shapeMismatch` when the counts differ.
  public init(codes: [UInt8], as elementType: ElementType, shape: Shape) throws(StackLensError) {
    guard elementType.byteSize == 1 else {
      throw .typeMismatch("elements of \(elementType.name) do not fit into a byte")
    }
    let bytes = try Tensor(codes, shape: shape)
    self.init(elementType: elementType, shape: shape, storage: bytes.storage, base: bytes.base)
  }
}
