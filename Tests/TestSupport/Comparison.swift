import Base
import Tensors

extension ElementType {
  /// How far two orders of the same arithmetic may drift apart, relative to the largest value of
  /// the tensor (1 at least): some tens of units in the last place for sums of up to a few hundred
  /// terms; half-precision results round once at the end. Everything that is not floating point is
  /// exact.
  package var tolerance: Double {
    switch self {
    case .float32, .complex64: 4e-6
    case .float64, .complex128: 1e-14
    case .float16: 1.0 / 1024
    case .bfloat16: 1.0 / 128
    default: 0
    }
  }
}

extension Tensor {
  /// The elements as doubles; nil for strings.
  package var numbers: [Double]? {
    func read<T: TensorElement, R>(_: T.Type, _ convert: (T) -> R) -> [R] {
      ((try? elements(as: T.self)) ?? []).map(convert)
    }
    switch elementType {
    case .float32: return read(Float.self) { Double($0) }
    case .float64: return read(Double.self) { $0 }
    case .float16: return read(Float16.self) { Double($0) }
    case .bfloat16: return read(BFloat16.self) { Double($0.float) }
    case .int8: return read(Int8.self) { Double($0) }
    case .int16: return read(Int16.self) { Double($0) }
    case .int32: return read(Int32.self) { Double($0) }
    case .int64: return read(Int64.self) { Double($0) }
    case .uint8: return read(UInt8.self) { Double($0) }
    case .uint16: return read(UInt16.self) { Double($0) }
    case .uint32: return read(UInt32.self) { Double($0) }
    case .uint64: return read(UInt64.self) { Double($0) }
    case .bool: return read(Bool.self) { $0 ? 1 : 0 }
    case .complex64:
      return read(Complex64.self) { [Double($0.real), Double($0.imaginary)] }.flatMap { $0 }
    case .complex128: return read(Complex128.self) { [$0.real, $0.imaginary] }.flatMap { $0 }
    case .string: return nil
    default:
      let codes = bytes.map { Int($0) }
      if elementType.isSmallFloat {
        return codes.map { Double(elementType.smallFloatValues[$0]) }
      }
      let bound = 1 << elementType.bitWidth
      let isSigned = elementType.smallIntegerCarrier == .int8
      return codes.map { Double(isSigned && $0 >= bound / 2 ? $0 - bound : $0) }
    }
  }

  /// Whether type, shape and every bit are equal.
  package func isIdentical(to other: Tensor) -> Bool {
    guard elementType == other.elementType, shape == other.shape else { return false }
    if elementType == .string {
      return (try? elements(as: String.self)) == (try? other.elements(as: String.self))
    }
    return bytes.elementsEqual(other.bytes)
  }

  /// What sets this tensor apart from `expected`; nil when it is within the tolerance of its type.
  package func difference(from expected: Tensor, tolerance: Double? = nil) -> String? {
    guard elementType == expected.elementType, shape == expected.shape else {
      return "\(elementType.name)\(shape) instead of \(expected.elementType.name)\(expected.shape)"
    }
    if isIdentical(to: expected) { return nil }
    guard let found = numbers, let wanted = expected.numbers else { return "other strings" }
    let largest = wanted.filter(\.isFinite).map(abs).max() ?? 1
    let bound = (tolerance ?? elementType.tolerance) * max(1, largest)
    for (index, (a, b)) in zip(found, wanted).enumerated() {
      if a == b || a.isNaN && b.isNaN { continue }
      guard abs(a - b) <= bound else {
        return "element \(index) of \(elementType.name)\(shape) is \(a) instead of \(b)"
      }
    }
    return nil
  }
}

extension Value {
  package func isIdentical(to other: Value) -> Bool {
    switch (self, other) {
    case (.tensor(let a), .tensor(let b)): a.isIdentical(to: b)
    case (.sequence(let a), .sequence(let b)):
      a.count == b.count && zip(a, b).allSatisfy { $0.isIdentical(to: $1) }
    case (.map(let a, let b), .map(let c, let d)): a.isIdentical(to: c) && b.isIdentical(to: d)
    case (.none, .none): true
    default: false
    }
  }

  /// As `Tensor.difference`, element by element for sequences.
  package func difference(from expected: Value, tolerance: Double? = nil) -> String? {
    switch (self, expected) {
    case (.tensor(let a), .tensor(let b)): return a.difference(from: b, tolerance: tolerance)
    case (.sequence(let a), .sequence(let b)):
      guard a.count == b.count else { return "\(a.count) elements instead of \(b.count)" }
      return zip(a, b).lazy.compactMap { $0.difference(from: $1, tolerance: tolerance) }.first
    case (.none, .none): return nil
    default: return isIdentical(to: expected) ? nil : "\(kindName) instead of \(expected.kindName)"
    }
  }
}

/// The first difference between two lists of values.
package func difference(
  _ found: [Value], _ expected: [Value], tolerance: Double? = nil
) -> String? {
  guard found.count == expected.count else {
    return "\(found.count) outputs instead of \(expected.count)"
  }
  for (index, (a, b)) in zip(found, expected).enumerated() {
    if let text = a.difference(from: b, tolerance: tolerance) { return "output \(index): \(text)" }
  }
  return nil
}

/// The status of the error that `body` throws, nil when it throws none.
package func failure(_ body: () throws -> Void) -> StackLensError? {
  do { try body() } catch { return error as? StackLensError }
  return nil
}
