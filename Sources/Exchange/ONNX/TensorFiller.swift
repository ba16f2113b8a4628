import Base
import Tensors

/// Writes the elements of typed data fields into a tensor whose count was checked before.
struct TensorFiller {
  private let tensor: Tensor
  private let elementType: ElementType
  private var index = 0

  /// - Parameter elementType: what the file calls the elements; `tensor` may hold pieces of them.
  init(_ tensor: Tensor, of elementType: ElementType) {
    self.tensor = tensor
    self.elementType = elementType
  }

  /// Adds the elements of one field: one element, or a packed run.
  mutating func add(_ field: WireField, _ reader: WireReader) throws(StackLensError) {
    switch (field.value, tensor.elementType) {
    case (.bytes(let range), .string):
      try store(reader.string(range, "string_data"))
    case (.fixed32(let bits), .float32): try store(Float(bitPattern: bits))
    case (.fixed64(let bits), .float64): try store(Double(bitPattern: bits))
    case (.bytes(let range), .float32):
      for offset in stride(from: range.lowerBound, to: range.upperBound, by: 4) {
        try store(reader.block.loadUnaligned(fromByteOffset: offset, as: Float.self))
      }
    case (.bytes(let range), .float64):
      for offset in stride(from: range.lowerBound, to: range.upperBound, by: 8) {
        try store(reader.block.loadUnaligned(fromByteOffset: offset, as: Double.self))
      }
    case (.varint(let bits), _): try store(bits: bits)
    case (.bytes(let range), _):
      var run = reader.run(range)
      while !run.isAtEnd { try store(bits: run.varint()) }
    default: throw .formatError("the data at offset \(field.offset) have the wrong wire type")
    }
  }

  private mutating func store(bits: UInt64) throws(StackLensError) {
    switch tensor.elementType {
    case .uint8 where elementType != .uint8: try store(byte: Int32(truncatingIfNeeded: bits))
    case .int64: try store(Int64(bitPattern: bits))
    case .uint64: try store(bits)
    case .uint32: try store(exactly(bits, as: UInt32.self))
    case .float16, .bfloat16: try store(UInt16(truncatingIfNeeded: bits))
    case .bool: try store(Int32(truncatingIfNeeded: bits) == 0 ? UInt8(0) : 1)
    case .int32: try store(Int32(truncatingIfNeeded: bits))
    case .int16: try store(exactly(Int32(truncatingIfNeeded: bits), as: Int16.self))
    case .int8: try store(exactly(Int32(truncatingIfNeeded: bits), as: Int8.self))
    case .uint16: try store(exactly(Int32(truncatingIfNeeded: bits), as: UInt16.self))
    case .uint8: try store(exactly(Int32(truncatingIfNeeded: bits), as: UInt8.self))
    case .float32, .float64, .complex64, .complex128, .string:
      throw .formatError("integers where \(tensor.elementType.name) is expected")
    default: try store(byte: Int32(truncatingIfNeeded: bits))
    }
  }

  /// Bits of at most a byte, which may have been written as a signed number.
  private mutating func store(byte value: Int32) throws(StackLensError) {
    guard value >= -128, value <= 255 else {
      throw .formatError("element \(index) is \(value), which is more than a byte")
    }
    let mask = UInt8(truncatingIfNeeded: 1 << tensor.elementType.bitWidth - 1)
    try store(UInt8(truncatingIfNeeded: value) & mask)
  }

  private func exactly<Wide: FixedWidthInteger, Narrow: FixedWidthInteger>(
    _ value: Wide, as type: Narrow.Type
  ) throws(StackLensError) -> Narrow {
    guard let narrow = Narrow(exactly: value) else {
      throw .formatError("element \(index) is \(value), no \(tensor.elementType.name)")
    }
    return narrow
  }

  private mutating func store<Element>(_ value: Element) throws(StackLensError) {
    guard index < tensor.count else { throw .formatError("there are more elements than declared") }
    tensor.base.assumingMemoryBound(to: Element.self)[index] = value
    index += 1
  }
}
