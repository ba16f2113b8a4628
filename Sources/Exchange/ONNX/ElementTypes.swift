import Graphs
import Tensors

extension Node {
  /// The element types of the outputs, as far as the operator's name and the types of its inputs
  /// tell; nil where they do not.
  func outputElementType(_ inputType: (String) -> ElementType?) -> ElementType? {
    func type(_ index: Int) -> ElementType? {
      index < inputs.count && !inputs[index].isEmpty ? inputType(inputs[index]) : nil
    }
    guard domain.isEmpty else { return nil }
    switch opType {
    case "Cast":
      guard case .int(let code)? = attributes["to"] else { return nil }
      return Int32(exactly: code).flatMap(ElementType.init)
    case "CastLike": return type(1)
    case "Where": return type(1) ?? type(2)
    case "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor", "Not",
      "IsNaN", "IsInf":
      return .bool
    case "Shape", "Size", "NonZero", "ArgMax", "ArgMin": return .int64
    case "ConstantOfShape":
      guard case .tensor(let tensor)? = attributes["value"] else { return .float32 }
      return tensor.elementType
    case "Add", "Sub", "Mul", "Div", "MatMul", "Min", "Max", "Pow":
      return type(0) ?? (opType == "Pow" ? nil : type(1))
    case "Abs", "Clip", "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND",
      "Gelu", "Gemm", "Identity", "LayerNormalization", "Neg", "Pad", "Range", "ReduceMax",
      "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Reshape", "ScatterElements", "ScatterND",
      "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Tanh", "Tile", "Transpose",
      "Trilu", "Unsqueeze":
      return type(0)
    default: return nil
    }
  }
}
