import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The same elements under another shape; 0 keeps an extent (unless allowzero), one -1 is
  /// inferred. ONNX Reshape-14.
  static let reshape = OperatorDefinition(
    "Reshape", versions: [1, 5, 13, 14, 19, 21, 23, 24, 25], inputs: 2...2,
    attributes: [.int("allowzero", default: 0)],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let wanted = try context.value(1).integers()
      let allowZero = try context.flag("allowzero")
      var dims: [Int] = []
      var unknown: Int?
      var known = 1
      for (axis, extent) in wanted.enumerated() {
        if extent == -1 {
          guard unknown == nil else { throw .invalidArgument("shape \(wanted) has two -1") }
          unknown = axis
          dims.append(1)
          continue
        }
        var extent = extent
        if extent == 0 && !allowZero {
          guard axis < input.rank else {
            throw .shapeMismatch("shape \(wanted) copies axis \(axis) of \(input.shape)")
          }
          extent = input.shape[axis]
        }
        guard extent >= 0 else { throw .invalidArgument("shape \(wanted) has a negative extent") }
        let (product, overflow) = known.multipliedReportingOverflow(by: extent)
        guard !overflow else { throw .shapeMismatch("element count of \(wanted) overflows") }
        known = product
        dims.append(extent)
      }
      if let unknown {
        guard known > 0, input.shape.count % known == 0 else {
          throw .shapeMismatch("cannot reshape \(input.shape) into \(wanted)")
        }
        dims[unknown] = input.shape.count / known
      }
      let shape = try Shape(dims)
      guard shape.count == input.shape.count else {
        throw .shapeMismatch("cannot reshape \(input.shape) into \(wanted)")
      }
      return [TensorType(input.elementType, shape)]
    },
    execution: .view, lift: liftAttributes(before: 5, ["shape"]),
    lower: { (node, opset, rewriter) throws(StackLensError) in
      var node = node
      // Without a zero in the shape it says nothing.
      if opset < 14, let shape = rewriter.value(of: node.inputs[1]),
        try !shape.integers().contains(0)
      {
        node.attributes["allowzero"] = nil
      }
      return try dropAttribute("allowzero", before: 14, unless: { $0.isInt(0) })(
        node, opset, &rewriter)
    },
    gradient: .sameElements,
    samples: [
      Sample([.floats(2, 3, 4), .ints([0, -1])]),
      Sample([.floats(0, 3), .ints([3, 0])], ["allowzero": .int(1)]),
    ])
}
