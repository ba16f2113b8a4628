import Base
import CPlatform
import CStackLens
import Tensors

/// Runs the body of a C function: an error becomes the thread's message and a status.
func boundary(_ body: () throws(StackLensError) -> Void) -> sl_status {
  do throws(StackLensError) {
    try body()
    return SL_OK
  } catch {
    slp_set_last_error(error.message)
    return sl_status(rawValue: UInt32(bitPattern: error.status.rawValue))
  }
}

/// A pointer that must not be NULL.
func required<Pointee>(
  _ pointer: UnsafeMutablePointer<Pointee>?, _ name: String
) throws(StackLensError) -> UnsafeMutablePointer<Pointee> {
  guard let pointer else { throw .invalidArgument("\(name) is NULL") }
  return pointer
}

/// `count` elements behind a pointer that may be NULL only when there are none.
func array<Element>(
  _ pointer: UnsafePointer<Element>?, _ count: Int, _ name: String
) throws(StackLensError) -> UnsafeBufferPointer<Element> {
  guard count >= 0 else { throw .invalidArgument("the count of \(name) is too large") }
  if count == 0 { return UnsafeBufferPointer(start: nil, count: 0) }
  guard let pointer else { throw .invalidArgument("\(name) is NULL but its count is \(count)") }
  return UnsafeBufferPointer(start: pointer, count: count)
}

/// A writable array of at least `needed` elements.
func output<Element>(
  _ pointer: UnsafeMutablePointer<Element>?, needed: Int, capacity: Int, _ name: String
) throws(StackLensError) -> UnsafeMutableBufferPointer<Element> {
  guard capacity >= needed else {
    throw .shapeMismatch("\(name) holds \(capacity) elements, needed are \(needed)")
  }
  if needed == 0 { return UnsafeMutableBufferPointer(start: nil, count: 0) }
  return UnsafeMutableBufferPointer(start: try required(pointer, name), count: needed)
}

/// A zero-terminated text. Invalid UTF-8 is repaired.
func text(_ pointer: UnsafePointer<CChar>?, _ name: String) throws(StackLensError) -> String {
  guard let pointer else { throw .invalidArgument("\(name) is NULL") }
  return String(cString: pointer)
}

/// Extents that came from C.
func shape(_ dims: UnsafePointer<Int64>?, _ rank: Int) throws(StackLensError) -> Shape {
  guard rank >= 0, rank <= 1024 else { throw .invalidArgument("rank \(rank) is too large") }
  var extents: [Int] = []
  for extent in try array(dims, rank, "dims") { extents.append(Int(extent)) }
  return try Shape(extents)
}

/// Copies a text and a zero into a caller's buffer.
func copy(
  _ text: String, to buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ outLength: UnsafeMutablePointer<Int>?
) throws(StackLensError) {
  let bytes = Array(text.utf8)
  outLength?.pointee = bytes.count
  guard capacity > bytes.count, let buffer else {
    throw .shapeMismatch("the buffer holds \(capacity) bytes, needed are \(bytes.count + 1)")
  }
  for (index, byte) in bytes.enumerated() { buffer[index] = CChar(bitPattern: byte) }
  buffer[bytes.count] = 0
}

/// A text that lives as long as the process, for functions that return one.
func immortal(_ text: StaticString) -> UnsafePointer<CChar> {
  UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}

/// Bytes behind an `sl_buffer`, always followed by a zero.
final class ByteBuffer: Sendable {
  nonisolated(unsafe) let base: UnsafeMutableRawPointer
  let byteCount: Int

  init(_ bytes: some Collection<UInt8>) throws(StackLensError) {
    guard let memory = slp_aligned_alloc(bytes.count + 1) else {
      throw .outOfMemory("cannot allocate \(bytes.count) bytes")
    }
    base = memory
    byteCount = bytes.count
    let target = UnsafeMutableRawBufferPointer(start: memory, count: bytes.count)
    target.copyBytes(from: bytes)
    memory.storeBytes(of: 0, toByteOffset: bytes.count, as: UInt8.self)
  }

  deinit { slp_aligned_free(base) }
}

extension sl_type {
  init(_ type: ElementType) { self = sl_type(rawValue: UInt32(type.rawValue)) }

  func elementType() throws(StackLensError) -> ElementType {
    guard let raw = Int32(exactly: rawValue), let type = ElementType(rawValue: raw) else {
      throw .unsupported("element type \(rawValue) is unknown")
    }
    return type
  }
}
