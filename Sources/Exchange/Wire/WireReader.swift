import Base

/// One field of a protobuf message, with the place of its tag for messages.
struct WireField {
  enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    case fixed32(UInt32)
    /// A string, bytes, a message or packed numbers: offsets into the reader's block.
    case bytes(Range<Int>)
  }
  let number: Int
  let offset: Int
  let value: Value
}

/// A cursor over one protobuf message inside a block of bytes. Nothing is copied, every length is
/// checked against the message around it, and errors name the byte offset.
struct WireReader {
  /// Messages inside messages, as protobuf's own readers limit them.
  static let maximumDepth = 100

  /// The whole block; offsets count from its start.
  let block: UnsafeRawBufferPointer
  private(set) var position: Int
  let end: Int
  private let depth: Int

  /// Reads the whole block as one message.
  init(_ block: UnsafeRawBufferPointer) {
    self.init(block: block, range: 0..<block.count, depth: 0)
  }

  private init(block: UnsafeRawBufferPointer, range: Range<Int>, depth: Int) {
    self.block = block
    position = range.lowerBound
    end = range.upperBound
    self.depth = depth
  }

  /// The next field, nil at the end of the message.
  /// - Throws: `.formatError` for a broken tag, a length past the end, or a group.
  mutating func next() throws(StackLensError) -> WireField? {
    guard position < end else { return nil }
    let start = position
    let tag = try varint()
    guard tag >> 3 > 0, tag >> 3 < 1 << 29 else {
      throw .formatError("field number \(tag >> 3) at offset \(start) is outside [1, 2^29)")
    }
    let value: WireField.Value
    switch tag & 7 {
    case 0: value = .varint(try varint())
    case 1: value = .fixed64(UInt64(littleEndian: try fixed(UInt64.self)))
    case 2:
      let length = try varint()
      guard length <= UInt64(end - position) else {
        throw .formatError(
          "field \(tag >> 3) at offset \(start) claims \(length) bytes, but \(end - position) "
            + "are left in its message")
      }
      value = .bytes(position..<position + Int(length))
      position += Int(length)
    case 5: value = .fixed32(UInt32(littleEndian: try fixed(UInt32.self)))
    default:
      throw .formatError("field \(tag >> 3) at offset \(start) has wire type \(tag & 7)")
    }
    return WireField(number: Int(tag >> 3), offset: start, value: value)
  }

  /// A base-128 number of at most ten bytes.
  mutating func varint() throws(StackLensError) -> UInt64 {
    let start = position
    var result: UInt64 = 0
    var shift: UInt64 = 0
    while position < end, shift < 70 {
      let byte = block[position]
      position += 1
      result |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return result }
      shift += 7
    }
    throw .formatError(
      shift < 70
        ? "the bytes end inside the number at offset \(start)"
        : "the number at offset \(start) is longer than ten bytes")
  }

  private mutating func fixed<Number: FixedWidthInteger>(
    _ type: Number.Type
  ) throws(StackLensError) -> Number {
    let size = MemoryLayout<Number>.size
    guard end - position >= size else {
      throw .formatError("the bytes end inside the \(size)-byte number at offset \(position)")
    }
    defer { position += size }
    return block.loadUnaligned(fromByteOffset: position, as: type)
  }

  var isAtEnd: Bool { position >= end }

  // Fields -----------------------------------------------------------------------------------

  private func mismatch(_ field: WireField, _ name: String, _ expected: String) -> StackLensError {
    let found =
      switch field.value {
      case .varint: "a number"
      case .fixed64, .fixed32: "a fixed-size number"
      case .bytes: "bytes"
      }
    return .formatError("field '\(name)' at offset \(field.offset) is \(found), not \(expected)")
  }

  /// The place of a field's bytes.
  func bytes(_ field: WireField, _ name: String) throws(StackLensError) -> Range<Int> {
    guard case .bytes(let range) = field.value else { throw mismatch(field, name, "bytes") }
    return range
  }

  /// A reader of the message in a field.
  /// - Throws: `.limitExceeded` past `maximumDepth`.
  func message(_ field: WireField, _ name: String) throws(StackLensError) -> WireReader {
    let range = try bytes(field, name)
    guard depth < Self.maximumDepth else {
      throw .limitExceeded(
        "messages are nested deeper than \(Self.maximumDepth) at offset \(field.offset)")
    }
    return WireReader(block: block, range: range, depth: depth + 1)
  }

  /// A text field.
  /// - Throws: `.formatError` when it is not UTF-8.
  func string(_ field: WireField, _ name: String) throws(StackLensError) -> String {
    try string(bytes(field, name), name)
  }

  /// The text in a range of bytes.
  func string(_ range: Range<Int>, _ name: String) throws(StackLensError) -> String {
    let bytes = UnsafeRawBufferPointer(rebasing: block[range])
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .formatError("field '\(name)' at offset \(range.lowerBound) is not UTF-8")
    }
    return text
  }

  /// A text for people only; broken UTF-8 is repaired.
  func comment(_ field: WireField, _ name: String) throws(StackLensError) -> String {
    String(decoding: block[try bytes(field, name)], as: UTF8.self)
  }

  func int64(_ field: WireField, _ name: String) throws(StackLensError) -> Int64 {
    guard case .varint(let bits) = field.value else { throw mismatch(field, name, "a number") }
    return Int64(bitPattern: bits)
  }

  func int32(_ field: WireField, _ name: String) throws(StackLensError) -> Int32 {
    Int32(truncatingIfNeeded: try int64(field, name))
  }

  func float(_ field: WireField, _ name: String) throws(StackLensError) -> Float {
    guard case .fixed32(let bits) = field.value else { throw mismatch(field, name, "a float") }
    return Float(bitPattern: bits)
  }

  /// Adds one number, or a packed run of them.
  func append(
    _ field: WireField, _ name: String, to numbers: inout [Int64]
  ) throws(StackLensError) {
    switch field.value {
    case .varint(let bits): numbers.append(Int64(bitPattern: bits))
    case .bytes(let range):
      var run = WireReader(block: block, range: range, depth: depth)
      while !run.isAtEnd { numbers.append(Int64(bitPattern: try run.varint())) }
    default: throw mismatch(field, name, "integers")
    }
  }

  /// Adds one float, or a packed run of them.
  func append(
    _ field: WireField, _ name: String, to numbers: inout [Float]
  ) throws(StackLensError) {
    switch field.value {
    case .fixed32(let bits): numbers.append(Float(bitPattern: bits))
    case .bytes(let range):
      guard range.count % 4 == 0 else {
        throw .formatError(
          "field '\(name)' at offset \(field.offset) has \(range.count) bytes, no multiple of 4")
      }
      for offset in stride(from: range.lowerBound, to: range.upperBound, by: 4) {
        let bits = UInt32(
          littleEndian: block.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        numbers.append(Float(bitPattern: bits))
      }
    default: throw mismatch(field, name, "floats")
    }
  }

  /// A reader over a packed run.
  func run(_ range: Range<Int>) -> WireReader {
    WireReader(block: block, range: range, depth: depth)
  }
}
