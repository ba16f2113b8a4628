import Base
import Graphs
import Tensors

extension Node {
  /// The value of a Constant node.
  /// - Throws: `.formatError` unless exactly one of its attributes gives a value.
  func constantValue() throws(StackLensError) -> Tensor {
    guard inputs.allSatisfy(\.isEmpty) else { throw .formatError("a Constant has inputs") }
    guard attributes.count == 1, let (name, value) = attributes.first else {
      throw .formatError("a Constant has \(attributes.count) attributes, expected one")
    }
    switch (name, value) {
    case ("value", .tensor(let tensor)), ("sparse_value", .tensor(let tensor)): return tensor
    case ("value_float", .float(let number)): return try Tensor(scalar: number)
    case ("value_floats", .floats(let numbers)): return try Tensor(numbers)
    case ("value_int", .int(let number)): return try Tensor(scalar: number)
    case ("value_ints", .ints(let numbers)): return try Tensor(numbers)
    case ("value_string", .string(let text)): return try Tensor(scalar: text)
    case ("value_strings", .strings(let texts)): return try Tensor(texts)
    default:
      throw .formatError("a Constant cannot have the attribute '\(name)' (\(value.kindName))")
    }
  }
}
