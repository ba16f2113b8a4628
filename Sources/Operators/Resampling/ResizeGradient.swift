import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Back through Resize: from g, the extents of its data and its other inputs. Each element of g goes
  /// to the elements that it was made of, by their weights.
  static let resizeGradient = OperatorDefinition(
    "ResizeGradient", domain: "ai.stacklens", versions: [1], inputs: 2...5,
    attributes: resize.attributes,
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: ElementType.reals)
      let shape = try Shape(try context.value(1).integers())
      let geometry = try ResizeGeometry(
        context, input: shape, roi: try context.optionalValue(2),
        scales: try context.optionalValue(3), sizes: try context.optionalValue(4))
      guard g.shape.dims == geometry.axes.map(\.output) else {
        throw .shapeMismatch("gradient \(g) of a Resize to \(geometry.axes.map(\.output))")
      }
      return [TensorType(g.elementType, shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let options = NodeOptions(preparation)
        let shape = preparation.outputs[0].shape
        let largest = try Shape(
          zip(shape.dims, try preparation.input(0).shape.dims).map { max($0, $1) })
        var room = ScratchPlan()
        for _ in 0..<2 { _ = try room.reserve(largest.count, of: Double.self) }
        return try wideKernel(
          Double.self, preparation, inputs: 1, scratch: room.byteCount
        ) { (wide) throws(StackLensError) in
          let run = wide.run
          func tensor(_ index: Int) -> Tensor? {
            index < run.inputs.count ? run.inputs[index] : nil
          }
          let geometry = try ResizeGeometry(
            options, input: shape, roi: tensor(2), scales: tensor(3), sizes: tensor(4))
          let buffer = wide.scratch.assumingMemoryBound(to: Double.self)
          try spreadBack(
            geometry, try wide.input(0), wide.outputs[0], (buffer, buffer + largest.count),
            run.parallel)
        }
      }
    ]),
    outline: outline(extents: 1),
    gradient: GradientRule(inputs: 1) { (scope) throws(StackLensError) in
      let inputs = [try scope.arriving()] + scope.inputs.dropFirst(2)
      return [scope.graph.add("Resize", inputs, scope.node.attributes)]
        + scope.inputs.dropFirst().map { _ in nil }
    },
    samples: [
      Sample(
        [.floats(1, 2, 6, 6), .ints([1, 2, 3, 4]), .absent, .tensor(resizeScales)],
        ["mode": .string("linear")]),
      Sample(
        [.floats(1, 2, 7, 5), .ints([1, 2, 3, 4]), .absent, .absent, .ints([1, 2, 7, 5])],
        ["mode": .string("cubic")]),
      Sample(
        [.floats(2, 4), .ints([2, 3]), .absent, .absent, .ints([2, 4])],
        ["nearest_mode": .string("floor")]),
    ])

  @Sendable private static func resizeScales() throws(StackLensError) -> Tensor {
    try Tensor([Float(1), 1, 2, 1.5])
  }

  /// One axis after the other, each time from one buffer into the other.
  private static func spreadBack(
    _ geometry: ResizeGeometry, _ g: UnsafePointer<Double>, _ dx: UnsafeMutablePointer<Double>,
    _ buffers: (UnsafeMutablePointer<Double>, UnsafeMutablePointer<Double>), _ parallel: Parallel
  ) throws(StackLensError) {
    var dims = geometry.axes.map(\.output)
    let count = geometry.axes.reduce(1) { $0 * $1.input }
    guard dims.reduce(1, *) > 0 else {
      dx.update(repeating: 0, count: count)
      return
    }
    var (current, next) = (g, buffers.0)
    for (index, axis) in geometry.axes.enumerated() where !geometry.isIdentity(axis) {
      let taps = try ResizeTaps(geometry, axis)
      let outer = dims[..<index].reduce(1, *)
      let inner = dims[(index + 1)...].reduce(1, *)
      let (source, target) = (current, next)
      parallel.ranges(outer, grain: max(1, costlyGrain / max(1, taps.output * inner))) { range in
        for block in range {
          let to = target + block * taps.input * inner
          to.update(repeating: 0, count: taps.input * inner)
          taps.spread(source + block * taps.output * inner, to, inner)
        }
      }
      dims[index] = taps.input
      current = UnsafePointer(target)
      next = target == buffers.0 ? buffers.1 : buffers.0
    }
    dx.update(from: current, count: count)
  }
}

extension ResizeTaps {
  /// Adds rows of `inner` elements to the rows that they are made of, by their weights.
  fileprivate func spread(
    _ source: UnsafePointer<Double>, _ target: UnsafeMutablePointer<Double>, _ inner: Int
  ) {
    for element in 0..<output where outside?[element] != true {
      for tap in element * count..<(element + 1) * count {
        let (weight, row) = (weights[tap], target + Int(indices[tap]) * inner)
        for i in 0..<inner { row[i] += weight * source[element * inner + i] }
      }
    }
  }
}

extension GradientRule {
  static let resize = GradientRule(inputs: 1) { (scope) throws(StackLensError) in
    let inputs = [try scope.arriving(), scope.shape(of: try scope.input(0))]
    let back = scope.graph.add(
      "ResizeGradient", inputs + scope.inputs.dropFirst(), scope.node.attributes,
      domain: "ai.stacklens")
    return [back] + scope.inputs.dropFirst().map { _ in nil }
  }
}
