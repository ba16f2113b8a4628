import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// What the kernels of a DeformConv read: from the data, the offsets, the mask and the extents of
  /// the weights, `[channels · kernel positions, images · output pixels]`. The convolution is the
  /// product of the weights and these columns.
  static let deformColumns = OperatorDefinition(
    "DeformColumns", domain: "ai.stacklens", versions: [1], inputs: 4...4,
    attributes: deformConv.attributes,
    infer: { (context) throws(StackLensError) in
      let type = try context.input(0, oneOf: convolutionTypes).elementType
      _ = try context.sameElementType(0, 1, 2)
      let columns = try DeformedColumns(
        context, x: context.input(0).shape, weights: context.value(3))
      try columns.check(
        offset: context.input(1).shape, mask: context.hasInput(2) ? context.input(2).shape : nil)
      return [TensorType(type, columns.shape)]
    },
    execution: .kernels([
      Kernel("direct") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        return try deformColumnsKernel(Float.self, preparation)
      },
      .reference { (preparation) throws(StackLensError) in
        try deformColumnsKernel(Double.self, preparation)
      },
    ]),
    outline: { (context) throws(StackLensError) in
      guard let type = try context.input(0).elementType else { return [] }
      return [try .tensor(type, [context.extent("terms"), context.extent("pixels")])]
    },
    gradient: GradientRule(inputs: 3) { (scope) throws(StackLensError) in
      let made = scope.graph.add(
        "DeformColumnsGradient", [try scope.arriving()] + scope.inputs, scope.node.attributes,
        domain: "ai.stacklens", wanted: (0..<(scope.hasInput(2) ? 3 : 2)).map { scope.wants($0) })
      return made + scope.inputs.dropFirst(made.count).map { _ in nil }
    },
    samples: [
      Sample([.floats(1, 2, 5, 5), .floats(1, 8, 4, 4), .absent, .ints([3, 2, 2, 2])]),
      Sample(deformed + [.ints([2, 2, 3, 2])], deformSettings),
      Sample([.floats(1, 1, 6), .floats(1, 3, 4), .absent, .ints([1, 1, 3])]),
      Sample([.floats(0, 1, 3, 3), .floats(0, 8, 2, 2), .absent, .ints([1, 1, 2, 2])]),
    ])

  private static let deformed: [Sample.Input] = [
    .floats(2, 4, 5, 4), .floats(2, 24, 3, 3), .floats(2, 12, 3, 3),
  ]
  private static let deformSettings: [String: Attribute] = [
    "group": .int(2), "offset_group": .int(2), "pads": .ints([1, 1, 1, 1]),
    "strides": .ints([2, 2]),
  ]

  /// Back through DeformColumns: from g and its inputs, the gradients of the data, the offsets and
  /// the mask.
  static let deformColumnsGradient = OperatorDefinition(
    "DeformColumnsGradient", domain: "ai.stacklens", versions: [1], inputs: 5...5,
    outputs: 1...3, attributes: deformConv.attributes,
    infer: { (context) throws(StackLensError) in
      let (g, x) = (try context.input(0, oneOf: convolutionTypes), try context.input(1))
      _ = try context.sameElementType(0, 1, 2, 3)
      let columns = try DeformedColumns(context, x: x.shape, weights: context.value(4))
      let mask = context.hasInput(3) ? try context.input(3) : nil
      try columns.check(offset: context.input(2).shape, mask: mask?.shape)
      guard g.shape == columns.shape else {
        throw .shapeMismatch("gradient \(g) of columns \(columns.shape)")
      }
      return [x, try context.input(2)] + (mask.map { [$0] } ?? [])
    },
    execution: .kernels([
      Kernel("direct") { (preparation) throws(StackLensError) in
        guard try preparation.input(0).elementType == .float32 else { return nil }
        return try deformColumnsBackKernel(Float.self, preparation)
      },
      .reference { (preparation) throws(StackLensError) in
        try deformColumnsBackKernel(Double.self, preparation)
      },
    ]),
    outline: { (context) throws(StackLensError) in
      try (1..<4).prefix(context.node.outputs.count).map { (index) throws(StackLensError) in
        try context.input(index)
      }
    },
    gradient: .deformColumnsGradient,
    samples: [
      Sample(
        [.floats(8, 16), .floats(1, 2, 5, 5), .floats(1, 8, 4, 4), .absent, .ints([3, 2, 2, 2])],
        outputs: 2),
      Sample([.floats(24, 18)] + deformed + [.ints([2, 2, 3, 2])], deformSettings, outputs: 3),
      Sample(
        [.floats(3, 4), .floats(1, 1, 6), .floats(1, 3, 4), .absent, .ints([1, 1, 3])],
        outputs: 2),
      Sample(
        [
          .floats(4, 0), .floats(0, 1, 3, 3), .floats(0, 8, 2, 2), .absent, .ints([1, 1, 2, 2]),
        ], outputs: 2),
    ])

  private static func deformColumnsKernel<T: LineElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (x, planned) = (try preparation.input(0).shape, preparation.outputs[0].shape)
    let options = NodeOptions(preparation)
    return try wideKernel(T.self, preparation, inputs: 3) { (wide) throws(StackLensError) in
      let columns = try DeformedColumns(options, x: x, weights: wide.run.input(3))
      guard columns.shape == planned else {
        throw .shapeMismatch("DeformColumns gives \(columns.shape), planned \(planned)")
      }
      columns.fill(
        wide.outputs[0],
        DeformedColumns.Operands(
          x: try wide.input(0), offset: try wide.input(1), mask: wide.inputs[2]),
        wide.run.parallel)
    }
  }

  private static func deformColumnsBackKernel<T: LineElement>(
    _: T.Type, _ preparation: Preparation
  ) throws(StackLensError) -> PreparedKernel {
    let (g, x) = (try preparation.input(0).shape, try preparation.input(1).shape)
    let (options, counts) = (NodeOptions(preparation), preparation.outputs.map(\.shape.count))
    let isWanted = preparation.node.outputs.map { !$0.isEmpty }
    return try wideKernel(T.self, preparation, inputs: 4) { (wide) throws(StackLensError) in
      let columns = try DeformedColumns(options, x: x, weights: wide.run.input(4))
      guard columns.shape == g else {
        throw .shapeMismatch("gradient \(g) of columns \(columns.shape)")
      }
      for (target, count) in zip(wide.outputs, counts) {
        target.update(repeating: T(rounding: 0), count: count)
      }
      let operands = DeformedColumns.Operands(
        x: try wide.input(1), offset: try wide.input(2), mask: wide.inputs[3])
      let g = try wide.input(0)
      if isWanted[0] { columns.spread(g, operands, wide.outputs[0], wide.run.parallel) }
      if isWanted.dropFirst().contains(true) {
        columns.move(
          g, operands, wide.outputs[1], wide.outputs.count > 2 ? wide.outputs[2] : nil,
          wide.run.parallel)
      }
    }
  }
}

extension GradientRule {
  /// The product of the weights of each group and the columns.
  static let deformConv = GradientRule.composed { (scope) throws(StackLensError) in
    let (x, w, offset) = (try scope.input(0), try scope.input(1), try scope.input(2))
    func extents(_ edge: Edge, from start: Int64, to end: Int64) -> Edge {
      scope.apply("Shape", edge, attributes: ["start": .int(start), "end": .int(end)])
    }
    func joined(_ parts: Edge...) -> Edge { scope.graph.add("Concat", parts, ["axis": .int(0)]) }
    func shaped(_ edge: Edge, _ shape: Edge) -> Edge {
      scope.graph.add("Reshape", [edge, shape], ["allowzero": .int(1)])
    }
    func product(_ extents: Edge) -> Edge {
      scope.apply("ReduceProd", extents, attributes: ["keepdims": .int(1)])
    }
    var settings = scope.node.attributes
    settings["kernel_shape"] = nil
    let columns = scope.graph.add(
      "DeformColumns",
      [x, offset, scope.hasInput(4) ? scope.inputs[4] : nil, scope.shape(of: w)], settings,
      domain: "ai.stacklens")
    let group = try scope.ints([Int64(try scope.int("group"))])
    let outputs = extents(w, from: 0, to: 1)
    let perGroup = joined(group, outputs / group)
    let terms = product(extents(w, from: 1, to: .max))
    var y = scope.graph.matMul(
      shaped(w, joined(perGroup, terms)),
      shaped(columns, joined(group, terms, extents(columns, from: 1, to: 2))))
    if scope.hasInput(3) {
      y = y + shaped(try scope.input(3), joined(perGroup, try scope.ints([1])))
    }
    let (images, pixels) = (extents(x, from: 0, to: 1), extents(offset, from: 2, to: .max))
    let turned = scope.graph.transpose(
      shaped(y, joined(outputs, images, product(pixels))), [1, 0, 2])
    return [shaped(turned, joined(images, outputs, pixels))]
  }

  /// Linear in g, the data and the mask.
  static let deformColumnsGradient = GradientRule(inputs: 4) { (scope) throws(StackLensError) in
    func arriving(_ index: Int) -> Edge? {
      index < scope.outputGradients.count ? scope.outputGradients[index] : nil
    }
    guard arriving(1) == nil else {
      throw .unsupported("DeformConv has no second derivatives by its offsets")
    }
    var gradients: [Edge?] = scope.inputs.map { _ in nil }
    func add(_ place: Int, _ edge: Edge) {
      guard scope.wants(place) else { return }
      gradients[place] = gradients[place].map { $0 + edge } ?? edge
    }
    // What arrives at the gradient of the data or of the mask takes its place in the columns.
    for (place, source) in [(1, arriving(0)), (3, arriving(2))] {
      guard let source else { continue }
      var inputs = scope.inputs
      inputs[place] = source
      add(
        0,
        scope.graph.add(
          "DeformColumns", Array(inputs.dropFirst()), scope.node.attributes,
          domain: "ai.stacklens"))
      let made = scope.graph.add(
        "DeformColumnsGradient", inputs, scope.node.attributes, domain: "ai.stacklens",
        outputs: scope.hasInput(3) ? 3 : 2)
      for (index, edge) in made.enumerated() where index + 1 != place { add(index + 1, edge) }
    }
    return gradients
  }
}
