import Base
import Graphs
import Tensors

extension GraphEditor {
  /// Operands of products and convolutions with constant weights are rounded to bfloat16: the weights
  /// are stored so, the other operand passes through two casts.
  mutating func roundToBFloat16() throws(StackLensError) {
    for node in source.nodes {
      guard node.domain.isEmpty, ["MatMul", "Gemm", "Conv"].contains(node.opType),
        !isExcluded(node), node.inputs.count >= 2, let weight = constants[node.inputs[1]],
        weight.elementType == .float32, weight.rank >= 2
      else {
        nodes.append(node)
        continue
      }
      var rounded = node
      rounded.inputs[0] = try roundedData(node.inputs[0])
      rounded.inputs[1] = try roundedWeight(node.inputs[1], weight)
      nodes.append(rounded)
    }
  }

  private mutating func roundedData(_ x: String) throws(StackLensError) -> String {
    if let known = shared["\(x) bf16"] { return known }
    let narrow = add(
      "Cast", [x], ["to": .int(Int64(ElementType.bfloat16.rawValue))], hint: "\(x)_bf16")
    let wide = add(
      "Cast", [narrow], ["to": .int(Int64(ElementType.float32.rawValue))], hint: "\(x)_rounded")
    shared["\(x) bf16"] = wide
    return wide
  }

  private mutating func roundedWeight(
    _ name: String, _ weight: Tensor
  ) throws(StackLensError) -> String {
    if let known = shared["\(name) bf16 weight"] { return known }
    let values = try weight.elements(as: Float.self).map { BFloat16($0) }
    let narrow = constant(try Tensor(values, shape: weight.shape), "\(name)_bf16")
    let wide = add(
      "Cast", [narrow], ["to": .int(Int64(ElementType.float32.rawValue))], hint: "\(name)_float")
    shared["\(name) bf16 weight"] = wide
    return wide
  }
}
