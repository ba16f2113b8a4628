import Base
import Tensors

/// How an update joins the element it meets.
enum ScatterReduction: String {
  case none, add, mul, max, min

  /// The node's reduction, checked against the type of its data.
  @discardableResult
  static func check(_ view: some NodeView, _ type: ElementType) throws(StackLensError) -> Self {
    let name = try view.string("reduction")
    guard let reduction = Self(rawValue: name) else {
      throw .invalidArgument(
        "attribute 'reduction' is '\(name)', expected none, add, mul, max or min")
    }
    let isDefined =
      reduction == .none || type.isNumeric || type == .bool
      || type.isComplex && (reduction == .add || reduction == .mul)
    guard isDefined else {
      throw .typeMismatch("reduction '\(name)' is not defined for \(type.name)")
    }
    return reduction
  }

  /// Applies runs of `updates` at `offsets`, in their order, so that repeated places are defined.
  func scatter(
    _ updates: Tensor, to target: Tensor, _ offsets: UnsafeBufferPointer<Int>, runLength: Int
  ) {
    let work = Scatter(
      updates: updates.base, target: target.base, offsets: offsets, runLength: runLength)
    if self == .none { return target.elementType.byWidth(work) }
    switch target.elementType {
    case .float32: work.join(Float.self, self)
    case .float64: work.join(Double.self, self)
    case .float16: work.join(Float16.self, self)
    case .bfloat16: work.join(BFloat16.self, self)
    case .int8: work.join(Int8.self, self)
    case .int16: work.join(Int16.self, self)
    case .int32: work.join(Int32.self, self)
    case .int64: work.join(Int64.self, self)
    case .uint8: work.join(UInt8.self, self)
    case .uint16: work.join(UInt16.self, self)
    case .uint32: work.join(UInt32.self, self)
    case .uint64: work.join(UInt64.self, self)
    case .bool: work.join(Bool.self, self)
    case .complex64: work.join(Complex64.self, self)
    case .complex128: work.join(Complex128.self, self)
    default: break
    }
  }
}

private struct Scatter: WidthWork {
  let updates: UnsafeRawPointer
  let target: UnsafeMutableRawPointer
  let offsets: UnsafeBufferPointer<Int>
  let runLength: Int

  func callAsFunction<Element>(_ type: Element.Type) {
    let read = updates.assumingMemoryBound(to: Element.self)
    let write = target.assumingMemoryBound(to: Element.self)
    if runLength == 1 {
      for index in offsets.indices { write[offsets[index]] = read[index] }
    } else {
      for index in offsets.indices {
        (write + offsets[index]).update(from: read + index * runLength, count: runLength)
      }
    }
  }

  func join<Element: Joinable>(_ type: Element.Type, _ reduction: ScatterReduction) {
    let read = updates.assumingMemoryBound(to: Element.self)
    let write = target.assumingMemoryBound(to: Element.self)
    for index in offsets.indices {
      let (from, to) = (read + index * runLength, write + offsets[index])
      for place in 0..<runLength {
        let (old, new) = (to[place], from[place])
        to[place] =
          switch reduction {
          case .none: new
          case .add: Element.sum(old, new)
          case .mul: Element.product(old, new)
          case .max: Element.larger(old, new)
          case .min: Element.smaller(old, new)
          }
      }
    }
  }
}

/// Arithmetic of one scatter step: integers wrap, NaN stays.
private protocol Joinable {
  static func sum(_ left: Self, _ right: Self) -> Self
  static func product(_ left: Self, _ right: Self) -> Self
  static func larger(_ left: Self, _ right: Self) -> Self
  static func smaller(_ left: Self, _ right: Self) -> Self
}

extension Joinable where Self: FixedWidthInteger {
  static func sum(_ left: Self, _ right: Self) -> Self { left &+ right }
  static func product(_ left: Self, _ right: Self) -> Self { left &* right }
  static func larger(_ left: Self, _ right: Self) -> Self { Swift.max(left, right) }
  static func smaller(_ left: Self, _ right: Self) -> Self { Swift.min(left, right) }
}

extension Joinable where Self: BinaryFloatingPoint {
  static func sum(_ left: Self, _ right: Self) -> Self { left + right }
  static func product(_ left: Self, _ right: Self) -> Self { left * right }
  static func larger(_ left: Self, _ right: Self) -> Self {
    left.isNaN || left > right ? left : right
  }
  static func smaller(_ left: Self, _ right: Self) -> Self {
    left.isNaN || left < right ? left : right
  }
}

extension Float: Joinable {}
extension Double: Joinable {}
extension Float16: Joinable {}
extension Int8: Joinable {}
extension Int16: Joinable {}
extension Int32: Joinable {}
extension Int64: Joinable {}
extension UInt8: Joinable {}
extension UInt16: Joinable {}
extension UInt32: Joinable {}
extension UInt64: Joinable {}

extension BFloat16: Joinable {
  static func sum(_ left: Self, _ right: Self) -> Self { Self(left.float + right.float) }
  static func product(_ left: Self, _ right: Self) -> Self { Self(left.float * right.float) }
  static func larger(_ left: Self, _ right: Self) -> Self {
    Self(Float.larger(left.float, right.float))
  }
  static func smaller(_ left: Self, _ right: Self) -> Self {
    Self(Float.smaller(left.float, right.float))
  }
}

extension Complex: Joinable {
  static func sum(_ left: Self, _ right: Self) -> Self { left + right }
  static func product(_ left: Self, _ right: Self) -> Self { left * right }
  static func larger(_ left: Self, _ right: Self) -> Self { left }
  static func smaller(_ left: Self, _ right: Self) -> Self { left }
}

extension Bool: Joinable {
  static func sum(_ left: Self, _ right: Self) -> Self { left || right }
  static func product(_ left: Self, _ right: Self) -> Self { left && right }
  static func larger(_ left: Self, _ right: Self) -> Self { left || right }
  static func smaller(_ left: Self, _ right: Self) -> Self { left && right }
}
