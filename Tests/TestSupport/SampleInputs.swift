import Base
import Graphs
import Operators
import Tensors

/// SplitMix64: the same numbers on every machine.
package struct SeededNumbers: RandomNumberGenerator {
  private var state: UInt64

  package init(_ seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// Values in [low, high) of a type; integers are rounded down, strings are their decimal digits.
  package mutating func tensor(
    _ type: ElementType, _ dims: [Int], low: Double = -1, high: Double = 1
  ) throws(StackLensError) -> Tensor {
    let shape = try Shape(dims)
    var values: [Double] = []
    for _ in 0..<shape.count { values.append(.random(in: low..<high, using: &self)) }
    func integers<T: FixedWidthInteger & TensorElement>(
      _: T.Type
    ) throws(StackLensError) -> Tensor {
      try Tensor(values.map { T(clamping: Int64($0.rounded(.down))) }, shape: shape)
    }
    switch type {
    case .float32: return try Tensor(values.map { Float($0) }, shape: shape)
    case .float64: return try Tensor(values, shape: shape)
    case .float16: return try Tensor(values.map { Float16($0) }, shape: shape)
    case .bfloat16: return try Tensor(values.map { BFloat16(Float($0)) }, shape: shape)
    case .int8: return try integers(Int8.self)
    case .int16: return try integers(Int16.self)
    case .int32: return try integers(Int32.self)
    case .int64: return try integers(Int64.self)
    case .uint8: return try integers(UInt8.self)
    case .uint16: return try integers(UInt16.self)
    case .uint32: return try integers(UInt32.self)
    case .uint64: return try integers(UInt64.self)
    case .bool: return try Tensor(values.map { $0 >= (low + high) / 2 }, shape: shape)
    case .string: return try Tensor(values.map { "\(Int($0.rounded(.down)))" }, shape: shape)
    case .complex64:
      return try Tensor(values.map { Complex64(Float($0), -2 * Float($0)) }, shape: shape)
    case .complex128: return try Tensor(values.map { Complex128($0, -2 * $0) }, shape: shape)
    default:
      let tensor = try Tensor(uninitialized: type, shape)
      if type.isSmallFloat {
        type.storeSmallFloats(values, to: tensor.base, values.count, SmallFloatRounding())
      } else {
        let whole = values.map { Int8(clamping: Int($0.rounded(.down))) }
        type.storeSmallIntegers(whole, to: tensor.base, values.count)
      }
      return tensor
    }
  }

  /// float32 values in [-1, 1).
  package mutating func floats(_ dims: Int...) throws(StackLensError) -> Tensor {
    try tensor(.float32, dims)
  }
}

extension Sample {
  /// The inputs of the sample, the same at every call; nil where one is left out.
  package func tensors(seed: UInt64 = 1) throws(StackLensError) -> [Tensor?] {
    var numbers = SeededNumbers(seed)
    var tensors: [Tensor?] = []
    for input in inputs {
      switch input {
      case .random(let type, let dims, let low, let high):
        tensors.append(try numbers.tensor(type, dims, low: low, high: high))
      case .tensor(let make): tensors.append(try make())
      case .ints(let values): tensors.append(try Tensor(values))
      case .absent: tensors.append(nil)
      }
    }
    return tensors
  }

  /// A node that applies an operator to x0, x1 … and makes y0, y1 ….
  package func node(_ definition: OperatorDefinition) -> Node {
    let names = inputs.enumerated().map { index, input in
      if case .absent = input { return "" }
      return "x\(index)"
    }
    return Node(
      definition.name, inputs: names, outputs: (0..<outputCount).map { "y\($0)" },
      attributes: attributes, name: "node", domain: definition.domain)
  }
}

extension OperatorDefinition {
  /// The operator's name with its domain.
  package var title: String { domain.isEmpty ? name : "\(domain).\(name)" }
}
