import Base
import Graphs
import Tensors

extension OperatorTable {
  /// Short chains that ONNX Runtime's tools write as one operator for other processors.
  static let contributedElementwise: [OperatorDefinition] = [
    .biasSoftmax, .biasDropout, .complexProduct("ComplexMul", isConjugate: false),
    .complexProduct("ComplexMulConj", isConjugate: true), .mulInteger,
  ]
}

extension OperatorDefinition {
  /// softmax(x + bias) over all axes from `axis` on. The bias broadcasts as everywhere; what
  /// `is_inner_broadcast` says follows from its shape.
  fileprivate static let biasSoftmax = composed(
    "BiasSoftmax", domain: runtimeDomain, inputs: 2...2,
    attributes: [.int("axis", default: 1), .int("is_inner_broadcast", default: 0)],
    samples: [
      Sample(
        [.floats(2, 3, 4, 5), .floats(2, 1, 1, 5)],
        ["axis": .int(3), "is_inner_broadcast": .int(1)]),
      Sample([.floats(2, 3, 4), .floats(3, 4)]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var parts = Decomposition(call.node, newestOpset)
    let (x, bias) = (try call.required(0, "data"), try call.required(1, "bias"))
    let axis = Int64(try call.int("axis"))
    let sum = parts.apply("Add", [x, bias], &rewriter)
    if axis == -1 { return parts.finish("Softmax", [sum], ["axis": .int(-1)]) }
    let outer = parts.apply("Shape", [sum], ["start": .int(0), "end": .int(axis)], &rewriter)
    let rest = try rewriter.ints([-1], "rest")
    let rows = parts.apply("Concat", [outer, rest], ["axis": .int(0)], &rewriter)
    let flat = parts.apply("Reshape", [sum, rows], &rewriter)
    let shares = parts.apply("Softmax", [flat], ["axis": .int(-1)], &rewriter)
    let shape = parts.apply("Shape", [x], &rewriter)
    return parts.finish("Reshape", [shares, shape])
  }

  /// dropout(x + bias) + residual.
  fileprivate static let biasDropout = composed(
    "BiasDropout", domain: runtimeDomain, inputs: 2...5, outputs: 1...2,
    attributes: [.optional("seed", .int)],
    samples: [
      Sample([.floats(2, 3, 4), .floats(4), .floats(2, 3, 4)], outputs: 2),
      Sample([.floats(0, 4), .floats(4)]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var parts = Decomposition(call.node, newestOpset)
    let sum = parts.apply("Add", Array(call.node.inputs.prefix(2)), &rewriter)
    let residual = call.input(2)
    let kept = residual == nil ? call.node.outputs[0] : rewriter.fresh("kept")
    parts.apply(
      "Dropout", trimmed([sum, call.input(3) ?? "", call.input(4) ?? ""]), call.node.attributes,
      to: [kept] + (call.makes(1) ? [call.node.outputs[1]] : []))
    guard let residual else { return parts.nodes }
    return parts.finish("Add", [kept, residual])
  }

  /// a b, or a times the conjugate of b, of complex numbers whose parts lie along the last axis.
  fileprivate static func complexProduct(_ name: String, isConjugate: Bool) -> OperatorDefinition {
    composed(
      name, domain: runtimeDomain, inputs: 2...2,
      samples: [
        Sample([.floats(3, 4, 2), .floats(3, 4, 2)]), Sample([.floats(3, 4, 2), .floats(4, 2)]),
      ]
    ) { (call, rewriter) throws(StackLensError) in
      var parts = Decomposition(call.node, newestOpset)
      let a = parts.split(try call.required(0, "A"), into: 2, axis: -1, &rewriter)
      let b = parts.split(try call.required(1, "B"), into: 2, axis: -1, &rewriter)
      func product(_ i: Int, _ j: Int) -> String { parts.apply("Mul", [a[i], b[j]], &rewriter) }
      let real = [product(0, 0), product(1, 1)]
      let imaginary = [product(1, 0), product(0, 1)]
      let halves = [
        parts.apply(isConjugate ? "Add" : "Sub", real, &rewriter),
        parts.apply(isConjugate ? "Sub" : "Add", imaginary, &rewriter),
      ]
      return parts.finish("Concat", halves, ["axis": .int(-1)])
    }
  }

  /// (A - its zero point) (B - its zero point) in int32.
  fileprivate static let mulInteger = composed(
    "MulInteger", domain: runtimeDomain, inputs: 3...4,
    samples: [
      Sample([
        .random(.uint8, [2, 3], low: 0, high: 255), .absent,
        .random(.uint8, [3], low: 0, high: 255),
      ]),
      Sample([
        .random(.int8, [0, 3], low: -9, high: 9), .absent, .random(.int8, [3], low: -9, high: 9),
      ]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var parts = Decomposition(call.node, newestOpset)
    let target: [String: Attribute] = ["to": .int(Int64(ElementType.int32.rawValue))]
    var factors: [String] = []
    for (index, what) in [(0, "A"), (2, "B")] {
      var factor = parts.apply("Cast", [try call.required(index, what)], target, &rewriter)
      if let zeroPoint = call.input(index + 1) {
        let zero = parts.apply("Cast", [zeroPoint], target, &rewriter)
        factor = parts.apply("Sub", [factor, zero], &rewriter)
      }
      factors.append(factor)
    }
    return parts.finish("Mul", factors)
  }
}
