import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The 32-bit MurmurHash3 of the bytes of every element (UTF-8 for strings), unsigned or signed.
  static let murmurHash3 = OperatorDefinition(
    "MurmurHash3", domain: "com.microsoft", versions: [1], inputs: 1...1,
    attributes: [.int("positive", default: 1), .int("seed", default: 0)],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(
        0, oneOf: [.int32, .uint32, .int64, .uint64, .float32, .float64, .string])
      return [TensorType(try context.flag("positive") ? .uint32 : .int32, input.shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let seed = UInt32(truncatingIfNeeded: try preparation.int("seed"))
        return PreparedKernel { (run) throws(StackLensError) in
          let input = try run.input(0)
          let output = run.outputs[0].base.assumingMemoryBound(to: UInt32.self)
          if input.elementType == .string {
            let texts = input.base.assumingMemoryBound(to: String.self)
            for i in 0..<input.count {
              var text = texts[i]
              output[i] = text.withUTF8 { murmurHash(UnsafeRawBufferPointer($0), seed) }
            }
            return
          }
          let width = input.elementType.byteSize
          for i in 0..<input.count {
            output[i] = murmurHash(
              UnsafeRawBufferPointer(start: input.base + i * width, count: width), seed)
          }
        }
      }
    ]),
    samples: [
      Sample([.random(.int32, [2, 3], low: -9, high: 9)]),
      Sample(
        [.random(.string, [5], low: 0, high: 99999)], ["seed": .int(7), "positive": .int(0)]),
      Sample([.random(.float64, [0], low: 0, high: 1)]),
    ])
}

/// MurmurHash3_x86_32 (Appleby, 2011, public domain).
func murmurHash(_ bytes: UnsafeRawBufferPointer, _ seed: UInt32) -> UInt32 {
  func rotated(_ value: UInt32, _ bits: UInt32) -> UInt32 {
    value << bits | value >> (32 - bits)
  }
  func scrambled(_ word: UInt32) -> UInt32 { rotated(word &* 0xcc9e_2d51, 15) &* 0x1b87_3593 }
  var hash = seed
  let whole = bytes.count / 4 * 4
  for start in stride(from: 0, to: whole, by: 4) {
    let word = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
    hash = rotated(hash ^ scrambled(word), 13) &* 5 &+ 0xe654_6b64
  }
  var tail: UInt32 = 0
  for index in (whole..<bytes.count).reversed() { tail = tail << 8 | UInt32(bytes[index]) }
  hash ^= scrambled(tail)
  hash ^= UInt32(truncatingIfNeeded: bytes.count)
  hash = (hash ^ hash >> 16) &* 0x85eb_ca6b
  hash = (hash ^ hash >> 13) &* 0xc2b2_ae35
  return hash ^ hash >> 16
}
