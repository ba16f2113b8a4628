import Base
import Tensors

/// Bytes that stay where they are while anything made from them lives.
struct ByteSource: @unchecked Sendable {  // the bytes are never written
  let bytes: UnsafeRawBufferPointer
  let owner: any AnyObject & Sendable

  /// A mapped file.
  init(_ file: MappedFile) {
    bytes = file.bytes
    owner = file
  }

  /// A copy of bytes in memory.
  init(copying source: UnsafeRawBufferPointer) throws(StackLensError) {
    let storage = try Storage(elementType: .uint8, count: source.count)
    if let start = source.baseAddress, source.count > 0 {
      storage.base.copyMemory(from: start, byteCount: source.count)
    }
    bytes = UnsafeRawBufferPointer(start: storage.base, count: source.count)
    owner = storage
  }

  /// A copy of an array.
  init(copying source: [UInt8]) throws(StackLensError) {
    let copy = source.withUnsafeBytes { buffer -> Result<Self, StackLensError> in
      do throws(StackLensError) { return .success(try Self(copying: buffer)) } catch {
        return .failure(error)
      }
    }
    self = try copy.get()
  }

  /// Gives the memory behind a mapped file back; its bytes are read again when touched.
  func dropPages() { (owner as? MappedFile)?.dropPages() }

  /// A tensor over `range`, in place when it is aligned to its elements, else copied. Bytes of
  /// bool other than 0 and 1 become 1; packed elements are unpacked.
  /// - Throws: `.formatError` when the length of the range is not that of the shape.
  func tensor(
    _ elementType: ElementType, _ shape: Shape, at range: Range<Int>
  ) throws(StackLensError) -> Tensor {
    let byteCount = elementType.fileByteCount(shape.count)
    guard elementType != .string, range.count == byteCount else {
      throw .formatError(
        "\(elementType.name) of shape \(shape) takes \(byteCount) bytes, found \(range.count)")
    }
    guard byteCount > 0, let start = bytes.baseAddress else {
      return try Tensor(uninitialized: elementType, shape)
    }
    let base = start + range.lowerBound
    if elementType.isPacked { return try Tensor(unpacking: base, elementType, shape) }
    let isInPlace =
      elementType == .bool
      ? bytes[range].allSatisfy { $0 <= 1 }
      : UInt(bitPattern: base) % UInt(elementType.alignment) == 0
    if isInPlace {
      let owner = owner
      return Tensor(
        lending: UnsafeMutableRawPointer(mutating: base), elementType: elementType, shape: shape,
        isReadOnly: true, release: { withExtendedLifetime(owner) {} })
    }
    let tensor = try Tensor(uninitialized: elementType, shape)
    tensor.base.copyMemory(from: base, byteCount: byteCount)
    if elementType == .bool {
      let flags = tensor.base.assumingMemoryBound(to: UInt8.self)
      for index in 0..<byteCount where flags[index] > 1 { flags[index] = 1 }
    }
    return tensor
  }
}
