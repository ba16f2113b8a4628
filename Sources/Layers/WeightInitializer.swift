import Base
import Tensors

/// The numbers that a parameter starts with.
public indirect enum WeightInitializer: Sendable, Equatable {
  case zeros
  case ones
  case constant(Double)
  case uniform(low: Double, high: Double)
  case normal(mean: Double, std: Double)
  /// A normal distribution without what lies outside of `low...high`, which is not scaled by `std`.
  case truncatedNormal(mean: Double, std: Double, low: Double, high: Double)
  /// Uniform within ± gain √(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010).
  case xavierUniform(gain: Double)
  /// Normal with the deviation gain √(2 / (fan_in + fan_out)).
  case xavierNormal(gain: Double)
  /// Uniform within ± gain √(3 / fan) (He et al., 2015).
  case kaimingUniform(gain: Double, fan: Fan)
  /// Normal with the deviation gain / √fan.
  case kaimingNormal(gain: Double, fan: Fan)
  /// Uniform within ± √(3 / fan_in) (LeCun et al., 1998).
  case lecunUniform
  /// Normal with the deviation √(1 / fan_in).
  case lecunNormal
  /// Orthonormal rows or columns, whichever are fewer, times `gain`; axes from the second on count as
  /// one (Saxe et al., 2013).
  case orthogonal(gain: Double)
  /// A matrix that hands its input on, or a convolution that does (`gain` in its middle).
  case identity(gain: Double)
  /// Normal with the deviation `std`, but in each column a share of zeros (Martens, 2010).
  case sparse(sparsity: Double, std: Double)
  /// As another one, but zeros in some rows.
  case withZeroRows(Range<Int>, WeightInitializer)
  /// Parts of the given shape, one behind the other, each with the initialiser whose turn it is.
  case blocks([WeightInitializer], shape: [Int])

  /// Which side of a layer sets the scale.
  public enum Fan: String, Sendable, CaseIterable {
    case input = "fan_in"
    case output = "fan_out"
  }

  /// Uniform within ± 1 / √fan_in: what PyTorch's linear layers and convolutions start with.
  public static var standard: Self { .kaimingUniform(gain: (1.0 / 3).squareRoot(), fan: .input) }

  /// Uniform within ± bound.
  public static func uniform(within bound: Double) -> Self { .uniform(low: -bound, high: bound) }

  /// Uniform within ± 1 / √count: what PyTorch's biases start with, `count` their layer's fan_in.
  static func bias(fan count: Int) -> Self {
    count > 0 ? .uniform(within: 1 / Double(count).squareRoot()) : .zeros
  }

  /// A tensor of such numbers, the same for the same seed and name.
  /// - Throws: `.invalidArgument` for a shape or settings that the initialiser does not have.
  public func tensor(
    _ shape: Shape, seed: UInt64, name: String
  ) throws(StackLensError) -> Tensor {
    var hash = FNV1a(seed: seed)
    hash.mix(name.utf8)
    var random = RandomGenerator(seed: hash.value)
    guard shape.count <= usableMemoryByteCount / 4 else {
      throw .limitExceeded("\(shape) needs more memory than there is")
    }
    let tensor = try Tensor(zeros: .float32, shape)
    let target = UnsafeMutableBufferPointer(
      start: tensor.base.assumingMemoryBound(to: Float.self), count: shape.count)
    try fill(target, shape.dims, &random)
    return tensor
  }
}

extension WeightInitializer {
  /// fan_in and fan_out as PyTorch counts them: the second and the first extent, times those behind.
  static func fans(_ dims: [Int]) throws(StackLensError) -> (input: Int, output: Int) {
    guard dims.count >= 2 else {
      throw .invalidArgument("an initialiser by fan_in and fan_out needs two axes, not \(dims)")
    }
    let field = dims.dropFirst(2).reduce(1, *)
    return (dims[1] * field, dims[0] * field)
  }

  /// Writes into `target`, which is zero.
  private func fill(
    _ target: UnsafeMutableBufferPointer<Float>, _ dims: [Int], _ random: inout RandomGenerator
  ) throws(StackLensError) {
    func uniform(_ low: Double, _ high: Double) {
      for i in target.indices { target[i] = Float(low + (high - low) * random.uniform()) }
    }
    func normal(_ mean: Double, _ std: Double) {
      for i in target.indices { target[i] = Float(mean + std * random.normal()) }
    }
    switch self {
    case .zeros: return
    case .ones: target.update(repeating: 1)
    case .constant(let value): target.update(repeating: Float(value))
    case .uniform(let low, let high): uniform(low, high)
    case .normal(let mean, let std): normal(mean, std)
    case .truncatedNormal(let mean, let std, let low, let high):
      try Self.truncated(target, mean, std, low, high, &random)
    case .xavierUniform, .xavierNormal, .kaimingUniform, .kaimingNormal, .lecunUniform,
      .lecunNormal:
      let (deviation, isUniform) = try scale(dims)
      let bound = 3.0.squareRoot() * deviation
      if isUniform { uniform(-bound, bound) } else { normal(0, deviation) }
    case .orthogonal(let gain): try Self.orthogonal(target, dims, gain, &random)
    case .identity(let gain): try Self.identity(target, dims, gain)
    case .sparse(let sparsity, let std): try Self.sparse(target, dims, sparsity, std, &random)
    case .withZeroRows(let rows, let other):
      try other.fill(target, dims, &random)
      let width = dims.dropFirst().reduce(1, *)
      guard !dims.isEmpty, rows.lowerBound >= 0, rows.upperBound <= dims[0] else {
        throw .invalidArgument("there are no rows \(rows) in \(dims)")
      }
      for i in rows.lowerBound * width..<rows.upperBound * width { target[i] = 0 }
    case .blocks(let parts, let shape):
      let count = shape.reduce(1, *)
      guard !parts.isEmpty, count > 0, target.count % count == 0 else {
        throw .invalidArgument("\(dims) does not consist of parts of \(shape)")
      }
      for place in 0..<target.count / count {
        let part = target[place * count..<(place + 1) * count]
        try parts[place % parts.count].fill(.init(rebasing: part), shape, &random)
      }
    }
  }

  /// The deviation of an initialiser by fans, and whether it is uniform.
  private func scale(_ dims: [Int]) throws(StackLensError) -> (Double, isUniform: Bool) {
    let fans = try Self.fans(dims)
    func root(_ fan: Double) -> Double { fan > 0 ? (1 / fan).squareRoot() : 0 }
    func fan(_ fan: Fan) -> Double { Double(fan == .input ? fans.input : fans.output) }
    let mean = Double(fans.input + fans.output) / 2
    switch self {
    case .xavierUniform(let gain): return (gain * root(mean), true)
    case .xavierNormal(let gain): return (gain * root(mean), false)
    case .kaimingUniform(let gain, let side): return (gain * root(fan(side)), true)
    case .kaimingNormal(let gain, let side): return (gain * root(fan(side)), false)
    case .lecunUniform: return (root(fan(.input)), true)
    default: return (root(fan(.input)), false)
    }
  }
}
