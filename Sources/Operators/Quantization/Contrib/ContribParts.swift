import Base
import Graphs
import Tensors

extension Decomposition {
  /// The numbers that a quantised tensor stands for. An empty zero point is 0.
  mutating func dequantized(
    _ x: String, scale: String, zero: String, _ rewriter: inout Rewriter
  ) -> String {
    apply("DequantizeLinear", zero.isEmpty ? [x, scale] : [x, scale, zero], &rewriter)
  }

  /// A quantised tensor of the element type of `like`. An empty zero point is 0.
  mutating func quantized(
    _ x: String, scale: String, zero: String, like: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    var zero = zero
    if zero.isEmpty { zero = try self.zero(like: like, &rewriter) }
    return apply("QuantizeLinear", [x, scale, zero], &rewriter)
  }

  /// A scalar 0 of the element type of `like`.
  mutating func zero(
    like: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    switch rewriter.elementType(of: like) {
    case .int8?: return rewriter.constant(try Tensor(scalar: Int8(0)), "zero")
    case .uint8?: return rewriter.constant(try Tensor(scalar: UInt8(0)), "zero")
    default:
      let zero = rewriter.constant(try Tensor(scalar: Int32(0)), "zero")
      return apply("CastLike", [zero, like], &rewriter)
    }
  }

  mutating func cast(
    _ x: String, to type: ElementType, _ rewriter: inout Rewriter
  ) -> String {
    apply("Cast", [x], ["to": .int(Int64(type.rawValue))], &rewriter)
  }

  /// (sums of (a - a0)(b - b0)) · a scale · b scale + bias, in float32.
  mutating func scaledProduct(
    a: String, b: String, aScale: String, bScale: String, aZero: String, bZero: String,
    bias: String, _ rewriter: inout Rewriter
  ) -> String {
    let sums = cast(
      apply("MatMulInteger", [a, b, aZero, bZero].withoutTrailingBlanks, &rewriter), to: .float32,
      &rewriter)
    let scale = apply("Mul", [aScale, bScale], &rewriter)
    let product = apply("Mul", [sums, scale], &rewriter)
    return bias.isEmpty ? product : apply("Add", [product, bias], &rewriter)
  }
}

extension [String] {
  /// Without the inputs at the end that are left out.
  var withoutTrailingBlanks: [String] {
    var result = self
    while result.last?.isEmpty == true { result.removeLast() }
    return result
  }
}

extension Sample.Input {
  static func bytes(_ dims: Int...) -> Self { .random(.uint8, dims, low: 0, high: 255) }
  static func signedBytes(_ dims: Int...) -> Self { .random(.int8, dims, low: -127, high: 127) }
  /// A scale, or a vector of them.
  static func scale(_ dims: Int...) -> Self { .random(.float32, dims, low: 0.01, high: 0.02) }
  static func zero(_ dims: Int...) -> Self { .random(.uint8, dims, low: 99, high: 130) }
  static func signedZero(_ dims: Int...) -> Self { .random(.int8, dims, low: -9, high: 9) }
}

extension Decomposition {
  /// Adds a node with several outputs and returns their names.
  mutating func apply(
    _ opType: String, _ inputs: [String], outputs count: Int, _ rewriter: inout Rewriter
  ) -> [String] {
    let outputs = (0..<count).map { _ in rewriter.fresh(opType.lowercased()) }
    nodes.append(Node(opType, inputs: inputs, outputs: outputs))
    return outputs
  }

  /// Input `index`, "" where it is left out.
  func input(_ index: Int) -> String { index < node.inputs.count ? node.inputs[index] : "" }

  /// Makes `name`, so far the output of the node added last, the original's output `index`.
  mutating func rename(lastAs index: Int = 0) {
    nodes[nodes.count - 1].outputs[0] = node.outputs[index]
    nodes[nodes.count - 1].name = node.name
  }
}
