import Base
import Graphs
import Tensors

extension OperatorTable {
  static let former: [OperatorDefinition] = [
    .affine, .scale, .scaledTanh, .parametricSoftplus, .imageScaler, .crop, .dynamicSlice,
    .constantFill, .givenTensorFill,
  ]
}

extension OperatorDefinition {
  /// alpha x + beta.
  fileprivate static let affine = former(
    "Affine", attributes: [.float("alpha", default: 1), .float("beta", default: 0)]
  ) { (node, rewriter) throws(StackLensError) in
    try scaled(node, by: "alpha", plus: "beta", &rewriter)
  }

  /// scale x.
  fileprivate static let scale = former(
    "Scale", attributes: [.float("scale", default: 1)]
  ) { (node, rewriter) throws(StackLensError) in
    try scaled(node, by: "scale", plus: nil, &rewriter)
  }

  /// alpha tanh(beta x).
  fileprivate static let scaledTanh = former(
    "ScaledTanh", attributes: [.float("alpha", default: 1), .float("beta", default: 1)]
  ) { (node, rewriter) throws(StackLensError) in
    try scaled(node, around: "Tanh", &rewriter)
  }

  /// alpha ln(1 + exp(beta x)).
  fileprivate static let parametricSoftplus = former(
    "ParametricSoftplus", attributes: [.float("alpha", default: 1), .float("beta", default: 1)]
  ) { (node, rewriter) throws(StackLensError) in
    try scaled(node, around: "Softplus", &rewriter)
  }

  /// scale x + bias, of images with a bias for each channel.
  fileprivate static let imageScaler = former(
    "ImageScaler", attributes: [.optional("bias", .floats), .float("scale", default: 1)],
    samples: [Sample([.floats(2, 3, 4, 5)], ["bias": .floats([1, 2, 3]), "scale": .float(2)])]
  ) { (node, rewriter) throws(StackLensError) in
    guard case .floats(let bias)? = node.attributes["bias"] else {
      return try scaled(node, by: "scale", plus: nil, &rewriter)
    }
    var steps = Decomposition(node, Int.max)
    let factor = try steps.scalar(number(node, "scale", 1), &rewriter)
    let product = steps.apply("Mul", [node.inputs[0], factor], &rewriter)
    let shift = rewriter.constant(try Tensor(bias, shape: Shape([bias.count, 1, 1])), "bias")
    let typed = steps.apply("CastLike", [shift, node.inputs[0]], &rewriter)
    return steps.finish("Add", [product, typed])
  }

  /// Images without what `border` (left, top, right, bottom) cuts; `scale` (height, width) sets
  /// the size instead of right and bottom.
  fileprivate static let crop = former(
    "Crop", attributes: [.required("border", .ints), .optional("scale", .ints)],
    samples: [
      Sample([.floats(1, 2, 6, 7)], ["border": .ints([1, 2, 0, 3])]),
      Sample([.floats(1, 2, 6, 7)], ["border": .ints([1, 2, 0, 0]), "scale": .ints([3, 4])]),
    ]
  ) { (node, rewriter) throws(StackLensError) in
    guard case .ints(let border)? = node.attributes["border"], border.count == 4,
      border.allSatisfy({ $0 >= 0 })
    else { throw .invalidArgument("attribute 'border' must hold four numbers from 0 up") }
    let (left, top) = (border[0], border[1])
    var ends = [border[3], border[2]].map { $0 == 0 ? Int64.max : -$0 }
    if case .ints(let size)? = node.attributes["scale"] {
      guard size.count == 2, size.allSatisfy({ $0 >= 0 }) else {
        throw .invalidArgument("attribute 'scale' must hold a height and a width")
      }
      ends = zip(size, [top, left]).map { $0.addingReportingOverflow($1) }.map {
        $0.overflow ? .max : $0.partialValue
      }
    }
    return Decomposition(node, Int.max).finish(
      "Slice",
      [
        node.inputs[0], try rewriter.ints([top, left], "starts"), try rewriter.ints(ends, "ends"),
        try rewriter.ints([2, 3], "axes"),
      ])
  }

  /// Slice with bounds that are inputs, as it is since opset 10.
  fileprivate static let dynamicSlice = former(
    "DynamicSlice", inputs: 3...4,
    samples: [Sample([.floats(4, 5), .ints([1, 0]), .ints([3, -1]), .ints([0, 1])])]
  ) { (node, _) throws(StackLensError) in
    Decomposition(node, Int.max).finish("Slice", node.inputs)
  }

  /// One value everywhere, in the shape of an attribute, of the input, or that the input holds.
  fileprivate static let constantFill = former(
    "ConstantFill", inputs: 0...1,
    attributes: [
      .int("dtype", default: 1), .float("value", default: 0), .optional("shape", .ints),
      .optional("extra_shape", .ints), .int("input_as_shape", default: 0),
    ],
    samples: [
      Sample([.ints([2, 3])], ["input_as_shape": .int(1), "value": .float(4)]),
      Sample([.floats(2, 3)], ["dtype": .int(7), "extra_shape": .ints([2])]),
      Sample([], ["shape": .ints([2, 2])]),
    ]
  ) { (node, rewriter) throws(StackLensError) in
    var steps = Decomposition(node, Int.max)
    let shape = try filledShape(node, &steps, &rewriter)
    let value = try Tensor([Float(number(node, "value", 0))])
    var code: Int64 = 1
    if case .int(let number)? = node.attributes["dtype"] { code = number }
    let filled = steps.apply("ConstantOfShape", [shape], ["value": .tensor(value)], &rewriter)
    return steps.finish("Cast", [filled], ["to": .int(code)])
  }

  /// The numbers of an attribute, under a shape found as for ConstantFill.
  fileprivate static let givenTensorFill = former(
    "GivenTensorFill", inputs: 0...1,
    attributes: [
      .optional("values", .floats), .optional("shape", .ints), .optional("extra_shape", .ints),
      .int("input_as_shape", default: 0),
    ],
    samples: [
      Sample([.floats(2, 1)], ["values": .floats([1, 2]), "extra_shape": .ints([1])]),
      Sample([], ["values": .floats([1, 2, 3, 4]), "shape": .ints([2, 2])]),
    ]
  ) { (node, rewriter) throws(StackLensError) in
    guard case .floats(let values)? = node.attributes["values"] else {
      throw .invalidArgument("attribute 'values' (floats) is missing")
    }
    var steps = Decomposition(node, Int.max)
    let shape = try filledShape(node, &steps, &rewriter)
    return steps.finish("Reshape", [rewriter.constant(try Tensor(values), "values"), shape])
  }

  private static func former(
    _ name: String, inputs: ClosedRange<Int> = 1...1, attributes: [AttributeSpec] = [],
    samples: [Sample] = [Sample([.floats(2, 3)]), Sample([.floats(0, 3)])],
    _ nodes: @escaping @Sendable (Node, inout Rewriter) throws(StackLensError) -> [Node]
  ) -> OperatorDefinition {
    OperatorDefinition(
      composing: name, versions: [1], inputs: inputs, attributes: attributes, samples: samples,
      lift: { (node, _, rewriter) throws(StackLensError) in try nodes(node, &rewriter) })
  }

  private static func number(_ node: Node, _ name: String, _ fallback: Double) -> Double {
    if case .float(let value)? = node.attributes[name] { Double(value) } else { fallback }
  }

  /// factor x + shift.
  private static func scaled(
    _ node: Node, by factor: String, plus shift: String?, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    var steps = Decomposition(node, Int.max)
    let scale = try steps.scalar(number(node, factor, 1), &rewriter)
    guard let shift else { return steps.finish("Mul", [node.inputs[0], scale]) }
    let product = steps.apply("Mul", [node.inputs[0], scale], &rewriter)
    let summand = try steps.scalar(number(node, shift, 0), &rewriter)
    return steps.finish("Add", [product, summand])
  }

  /// alpha f(beta x).
  private static func scaled(
    _ node: Node, around function: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    var steps = Decomposition(node, Int.max)
    let beta = try steps.scalar(number(node, "beta", 1), &rewriter)
    let inner = steps.apply("Mul", [node.inputs[0], beta], &rewriter)
    let value = steps.apply(function, [inner], &rewriter)
    let alpha = try steps.scalar(number(node, "alpha", 1), &rewriter)
    return steps.finish("Mul", [value, alpha])
  }

  /// The shape that a filling operator gives its output.
  private static func filledShape(
    _ node: Node, _ steps: inout Decomposition, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> String {
    guard let input = node.inputs.first, !input.isEmpty else {
      guard case .ints(let dims)? = node.attributes["shape"] else {
        throw .invalidArgument("neither an input nor the attribute 'shape' gives a shape")
      }
      return try rewriter.ints(dims, "shape")
    }
    var shape = steps.apply("Shape", [input], &rewriter)
    if node.isSet("input_as_shape") {
      shape = steps.apply(
        "Cast", [input], ["to": .int(Int64(ElementType.int64.rawValue))], &rewriter)
    }
    if case .ints(let extra)? = node.attributes["extra_shape"] {
      shape = steps.apply(
        "Concat", [shape, try rewriter.ints(extra, "extra")], ["axis": .int(0)], &rewriter)
    }
    return shape
  }
}
