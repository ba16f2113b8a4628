import Base
import Tensors

/// The numbers of a Range, counted before any is written.
struct RangeSteps {
  private enum Bounds {
    case integers(start: Int, delta: Int)
    case floats(start: Float, delta: Float)
    case doubles(start: Double, delta: Double)
  }
  private let bounds: Bounds
  let count: Int

  init(start: Tensor, limit: Tensor, delta: Tensor) throws(StackLensError) {
    for (index, tensor) in [start, limit, delta].enumerated() where tensor.count != 1 {
      throw .shapeMismatch("input \(index) has shape \(tensor.shape), expected one number")
    }
    switch start.elementType {
    case .int16, .int32, .int64:
      let (first, last) = (Self.integer(start), Self.integer(limit))
      let step = Self.integer(delta)
      guard step != 0 else { throw .invalidArgument("the step of a Range is 0") }
      let distance = step > 0 ? Int128(last) - Int128(first) : Int128(first) - Int128(last)
      let size = Int128(step.magnitude)
      count = Int(clamping: distance > 0 ? (distance - 1) / size + 1 : 0)
      bounds = .integers(start: first, delta: step)
    case .float32, .float16, .bfloat16:
      let (first, step) = (Self.float(start), Self.float(delta))
      // The difference is taken in the type of the numbers, as the standard writes it.
      count = try Self.steps(
        from: Double(first), to: Double(Self.float(limit)), by: Double(step))
      bounds = .floats(start: first, delta: step)
    case .float64:
      let first = start.base.load(as: Double.self)
      let step = delta.base.load(as: Double.self)
      count = try Self.steps(from: first, to: limit.base.load(as: Double.self), by: step)
      bounds = .doubles(start: first, delta: step)
    default: throw .typeMismatch("Range cannot count in \(start.elementType.name)")
    }
  }

  private static func steps(
    from start: Double, to limit: Double, by delta: Double
  ) throws(StackLensError) -> Int {
    let steps = ((limit - start) / delta).rounded(.up)
    guard delta != 0, steps.isFinite, steps < 0x1p62 else {
      throw .invalidArgument("a Range from \(start) to \(limit) by \(delta) has no end")
    }
    return steps > 0 ? Int(steps) : 0
  }

  private static func integer(_ tensor: Tensor) -> Int {
    switch tensor.elementType {
    case .int16: Int(tensor.base.load(as: Int16.self))
    case .int32: Int(tensor.base.load(as: Int32.self))
    default: Int(tensor.base.load(as: Int64.self))
    }
  }

  private static func float(_ tensor: Tensor) -> Float {
    switch tensor.elementType {
    case .float16: Float(tensor.base.load(as: Float16.self))
    case .bfloat16: tensor.base.load(as: BFloat16.self).float
    default: tensor.base.load(as: Float.self)
    }
  }

  /// Fills `target`, of the type of the bounds and of `count` elements. Half-precision numbers are
  /// made in float32 when `isStashed`, else every step is rounded.
  func write(to target: Tensor, isStashed: Bool) {
    switch (target.elementType, bounds) {
    case (.float32, .floats(let start, let delta)):
      each(target) { start + Float($0) * delta }
    case (.float16, .floats(let start, let delta)) where isStashed:
      each(target) { Float16(start + Float($0) * delta) }
    case (.float16, .floats(let start, let delta)):
      each(target) { Float16(start) + Float16($0) * Float16(delta) }
    case (.bfloat16, .floats(let start, let delta)) where isStashed:
      each(target) { BFloat16(start + Float($0) * delta) }
    case (.bfloat16, .floats(let start, let delta)):
      each(target) { BFloat16(start + BFloat16(BFloat16(Float($0)).float * delta).float) }
    case (.float64, .doubles(let start, let delta)):
      each(target) { start + Double($0) * delta }
    case (.int16, .integers(let start, let delta)):
      each(target) { Int16(truncatingIfNeeded: start &+ $0 &* delta) }
    case (.int32, .integers(let start, let delta)):
      each(target) { Int32(truncatingIfNeeded: start &+ $0 &* delta) }
    case (.int64, .integers(let start, let delta)):
      each(target) { Int64(start &+ $0 &* delta) }
    default: preconditionFailure("the bounds of a Range have its type")
    }
  }

  private func each<Element>(_ target: Tensor, _ make: (Int) -> Element) {
    let write = target.base.assumingMemoryBound(to: Element.self)
    for index in 0..<count { write[index] = make(index) }
  }
}
