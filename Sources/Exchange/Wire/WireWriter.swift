import Base
import Tensors

/// Writes one protobuf message. Large tensors are kept by reference, so that their bytes are copied
/// at most once, on the way out.
struct WireWriter {
  /// A stretch of the message.
  enum Piece {
    case bytes([UInt8])
    case elements(Tensor)
  }

  private var pieces: [Piece] = []
  private var tail: [UInt8] = []
  private(set) var byteCount = 0

  /// Bytes that a number takes.
  static func size(_ value: UInt64) -> Int { max(1, (70 - value.leadingZeroBitCount) / 7) }

  /// Hands out the message in order.
  func forEachPiece(
    _ body: (UnsafeRawBufferPointer) throws(StackLensError) -> Void
  ) throws(StackLensError) {
    for piece in pieces + [.bytes(tail)] {
      switch piece {
      case .elements(let tensor): try body(tensor.bytes)
      case .bytes(let bytes):
        let result = bytes.withUnsafeBytes { buffer -> Result<Void, StackLensError> in
          do throws(StackLensError) { return .success(try body(buffer)) } catch {
            return .failure(error)
          }
        }
        try result.get()
      }
    }
  }

  /// The whole message in one array.
  func joined() -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(byteCount)
    for piece in pieces {
      switch piece {
      case .bytes(let bytes): result += bytes
      case .elements(let tensor): result += tensor.bytes
      }
    }
    return result + tail
  }

  // Fields -----------------------------------------------------------------------------------

  /// A number field, with `padding` bytes more than it needs.
  mutating func integer(_ field: Int, _ value: Int64, padding: Int = 0) {
    tag(field, 0)
    varint(UInt64(bitPattern: value), padding: padding)
  }

  mutating func float(_ field: Int, _ value: Float) {
    tag(field, 5)
    append(value.bitPattern)
  }

  mutating func string(_ field: Int, _ text: String) { bytes(field, Array(text.utf8)) }

  mutating func bytes(_ field: Int, _ bytes: [UInt8]) {
    tag(field, 2)
    varint(UInt64(bytes.count))
    append(bytes)
  }

  /// A text field, left out when empty.
  mutating func optionalString(_ field: Int, _ text: String) {
    if !text.isEmpty { string(field, text) }
  }

  mutating func integers(_ field: Int, _ values: [Int64]) {
    for value in values { integer(field, value) }
  }

  mutating func floats(_ field: Int, _ values: [Float]) {
    for value in values { float(field, value) }
  }

  mutating func message(_ field: Int, _ message: WireWriter) {
    tag(field, 2)
    varint(UInt64(message.byteCount))
    for piece in message.pieces {
      switch piece {
      case .bytes(let bytes): append(bytes)
      case .elements(let tensor): append(tensor)
      }
    }
    append(message.tail)
  }

  /// The elements of a tensor, which holds no strings.
  mutating func elements(_ field: Int, _ tensor: Tensor) {
    tag(field, 2)
    varint(UInt64(tensor.fileByteCount))
    if let packed = tensor.packedBytes { append(packed) } else { append(tensor) }
  }

  // Bytes ------------------------------------------------------------------------------------

  private mutating func tag(_ field: Int, _ wireType: UInt64) {
    varint(UInt64(field) << 3 | wireType)
  }

  private mutating func varint(_ value: UInt64, padding: Int = 0) {
    var rest = value
    let size = Self.size(value) + padding
    for _ in 1..<size {
      tail.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    tail.append(UInt8(truncatingIfNeeded: rest))
    byteCount += size
  }

  private mutating func append(_ bits: UInt32) {
    withUnsafeBytes(of: bits.littleEndian) { tail += $0 }
    byteCount += 4
  }

  private mutating func append(_ bytes: [UInt8]) {
    tail += bytes
    byteCount += bytes.count
  }

  private mutating func append(_ tensor: Tensor) {
    byteCount += tensor.byteCount
    guard tensor.byteCount >= 4096 else {
      tail += tensor.bytes
      return
    }
    pieces.append(.bytes(tail))
    pieces.append(.elements(tensor))
    tail = []
  }
}
