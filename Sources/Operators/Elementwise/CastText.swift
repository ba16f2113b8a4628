import Base
import Tensors

/// Writes every element as the shortest text that reads back as the same value.
func writeNumbers(
  _ input: Tensor, _ target: UnsafeMutablePointer<String>
) throws(StackLensError) {
  let carrier = input.elementType.carrier
  guard carrier == input.elementType else {
    let carried = try Tensor(uninitialized: carrier, input.shape)
    convertElements(input.base, input.elementType, carried.base, carrier, input.count)
    return try writeNumbers(carried, target)
  }
  func each<T>(_: T.Type, _ text: (T) -> String) {
    let values = input.base.assumingMemoryBound(to: T.self)
    for i in 0..<input.count { target[i] = text(values[i]) }
  }
  func whole<T: FixedWidthInteger>(_: T.Type) { each(T.self) { String($0) } }
  switch input.elementType {
  case .float32: each(Float.self) { realText($0, "\($0)") }
  case .float64: each(Double.self) { realText($0, "\($0)") }
  case .float16: each(Float16.self) { realText(Float($0), "\(Float($0))") }
  case .bfloat16: each(BFloat16.self) { realText($0.float, "\($0.float)") }
  case .int8: whole(Int8.self)
  case .int16: whole(Int16.self)
  case .int32: whole(Int32.self)
  case .int64: whole(Int64.self)
  case .uint8: whole(UInt8.self)
  case .uint16: whole(UInt16.self)
  case .uint32: whole(UInt32.self)
  case .uint64: whole(UInt64.self)
  case .bool: each(Bool.self) { $0 ? "True" : "False" }
  case .string: each(String.self) { $0 }
  default: throw .typeMismatch("cannot write \(input.elementType.name) as texts")
  }
}

private func realText<T: BinaryFloatingPoint>(_ value: T, _ text: String) -> String {
  if value.isNaN { return "NaN" }
  if value.isInfinite { return value < 0 ? "-INF" : "INF" }
  return text
}

/// Reads every string as a number of the output's type.
/// - Throws: `.invalidArgument` naming the first string that is no number.
func readNumbers(
  _ input: Tensor, _ output: Tensor, _ rounding: SmallFloatRounding
) throws(StackLensError) {
  let strings = input.base.assumingMemoryBound(to: String.self)
  let type = output.elementType
  for i in 0..<input.count {
    let text = trimmed(strings[i])
    let target = output.base + i * type.byteSize
    if type.isInteger, let value = Int64(text) {
      withUnsafeBytes(of: value) { store($0, .int64, target, type, rounding) }
    } else if type == .uint64, let value = UInt64(text) {
      withUnsafeBytes(of: value) { store($0, .uint64, target, type, rounding) }
    } else if type == .float32, let value = Float(text) {
      withUnsafeBytes(of: value) { store($0, .float32, target, type, rounding) }
    } else if let value = Double(text) ?? truth(text) {
      withUnsafeBytes(of: value) { store($0, .float64, target, type, rounding) }
    } else {
      throw .invalidArgument("'\(strings[i].prefix(64))' at index \(i) is not a number")
    }
  }
}

private func store(
  _ source: UnsafeRawBufferPointer, _ from: ElementType, _ target: UnsafeMutableRawPointer,
  _ type: ElementType, _ rounding: SmallFloatRounding
) {
  guard let source = source.baseAddress else { return }
  convertElements(source, from, target, type, 1, rounding)
}

private func truth(_ text: Substring) -> Double? {
  switch text.lowercased() {
  case "true": 1
  case "false": 0
  default: nil
  }
}

private func trimmed(_ text: String) -> Substring {
  let isSpace = { (c: Character) in c == " " || c == "\t" || c == "\n" || c == "\r" }
  guard let first = text.firstIndex(where: { !isSpace($0) }),
    let last = text.lastIndex(where: { !isSpace($0) })
  else { return "" }
  return text[first...last]
}
