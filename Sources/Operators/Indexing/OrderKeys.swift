import Base
import Tensors

/// Integers that order like the elements they stand for and are equal where those are: -0 equals
/// 0, all NaN are one and above everything, strings order by their UTF-8 bytes, complex numbers by
/// their real parts first. Selection and sorting work on these whatever the element type.
struct OrderKeys {
  let tensor: Tensor

  /// Writes the keys of elements start, start + step … of a numeric or bool tensor.
  func write(to target: UnsafeMutableBufferPointer<Int64>, start: Int, step: Int) {
    switch tensor.elementType {
    case .float32: copy(Float.self, target, start, step) { Self.key($0) }
    case .float64: copy(Double.self, target, start, step, Self.key)
    case .float16: copy(Float16.self, target, start, step) { Self.key(Float($0)) }
    case .bfloat16: copy(BFloat16.self, target, start, step) { Self.key($0.float) }
    case .int8: copy(Int8.self, target, start, step) { Int64($0) }
    case .int16: copy(Int16.self, target, start, step) { Int64($0) }
    case .int32: copy(Int32.self, target, start, step) { Int64($0) }
    case .int64: copy(Int64.self, target, start, step) { $0 }
    case .uint8, .bool: copy(UInt8.self, target, start, step) { Int64($0) }
    case .uint16: copy(UInt16.self, target, start, step) { Int64($0) }
    case .uint32: copy(UInt32.self, target, start, step) { Int64($0) }
    case .uint64: copy(UInt64.self, target, start, step) { Int64(bitPattern: $0 ^ (1 << 63)) }
    default: preconditionFailure("\(tensor.elementType.name) has no keys of single elements")
    }
  }

  /// The keys of all elements.
  func all() -> [Int64] {
    switch tensor.elementType {
    case .string: return stringKeys()
    case .complex64: return pairKeys(Complex64.self) { (Self.key($0.real), Self.key($0.imaginary)) }
    case .complex128:
      return pairKeys(Complex128.self) { (Self.key($0.real), Self.key($0.imaginary)) }
    default: break
    }
    return [Int64](unsafeUninitializedCapacity: tensor.count) { buffer, count in
      count = tensor.count
      write(to: UnsafeMutableBufferPointer(rebasing: buffer[..<count]), start: 0, step: 1)
    }
  }

  @inline(__always)
  private func copy<Element>(
    _ type: Element.Type, _ target: UnsafeMutableBufferPointer<Int64>, _ start: Int, _ step: Int,
    _ key: (Element) -> Int64
  ) {
    let source = tensor.base.assumingMemoryBound(to: Element.self) + start
    for index in target.indices { target[index] = key(source[index * step]) }
  }

  private static func key(_ value: Float) -> Int64 {
    if value.isNaN { return .max }
    let bits = Int32(bitPattern: (value + 0).bitPattern)
    return Int64(bits < 0 ? bits ^ 0x7fff_ffff : bits)
  }

  private static func key(_ value: Double) -> Int64 {
    if value.isNaN { return .max }
    let bits = Int64(bitPattern: (value + 0).bitPattern)
    return bits < 0 ? bits ^ .max : bits
  }

  private func stringKeys() -> [Int64] {
    let strings = UnsafeBufferPointer(
      start: tensor.base.assumingMemoryBound(to: String.self), count: tensor.count)
    return ranks { strings[$0].utf8.lexicographicallyPrecedes(strings[$1].utf8) }
  }

  private func pairKeys<Element>(
    _: Element.Type, _ key: (Element) -> (Int64, Int64)
  ) -> [Int64] {
    let values = UnsafeBufferPointer(
      start: tensor.base.assumingMemoryBound(to: Element.self), count: tensor.count)
    let keys = values.map(key)
    return ranks { keys[$0] < keys[$1] }
  }

  /// The place of each element among the different ones, in the given order.
  private func ranks(_ precedes: (Int, Int) -> Bool) -> [Int64] {
    let order = (0..<tensor.count).sorted(by: precedes)
    var keys = [Int64](repeating: 0, count: order.count)
    for (previous, next) in zip(order, order.dropFirst()) {
      keys[next] = keys[previous] + (precedes(previous, next) ? 1 : 0)
    }
    return keys
  }
}
