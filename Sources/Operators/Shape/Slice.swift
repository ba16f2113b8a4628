import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Every `steps`-th element of [starts, ends) along some axes; negative positions count from
  /// the end, all are clamped, a negative step walks backwards. ONNX Slice-13.
  static let slice = OperatorDefinition(
    "Slice", versions: [1, 10, 11, 13], inputs: 3...5,
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let box = try SliceBox(
        input.shape, starts: context.value(1), ends: context.value(2),
        axes: context.optionalValue(3), steps: context.optionalValue(4))
      return [TensorType(input.elementType, try Shape(box.extents))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let (input, output) = (try preparation.input(0), preparation.outputs[0].shape)
        // Positions that never change are looked at once.
        var known: StridedCopy?
        if let starts = preparation.constant(1), let ends = preparation.constant(2),
          (3..<5).allSatisfy({ preparation.constant($0) != nil || !preparation.hasInput($0) })
        {
          let box = try SliceBox(
            input.shape, starts: starts, ends: ends, axes: preparation.constant(3),
            steps: preparation.constant(4))
          known = try box.copy(input.elementType, to: output)
        }
        return PreparedKernel { [known] (run) throws(StackLensError) in
          let input = try run.input(0)
          var copy = known
          if copy == nil {
            let box = try SliceBox(
              input.shape, starts: run.input(1), ends: run.input(2), axes: run.optionalInput(3),
              steps: run.optionalInput(4))
            copy = try box.copy(input.elementType, to: output)
          }
          copy?.run(from: input.base, to: run.outputs[0].base, run.parallel)
        }
      }
    ]),
    lift: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 10 else { return [node] }
      return try liftAttributes(before: 10, ["starts", "ends", "axes"])(node, opset, &rewriter)
    },
    lower: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 10 else { return [node] }
      if let steps = try constantInts(node, 4, "steps", opset, rewriter),
        steps.contains(where: { $0 != 1 })
      {
        throw .unsupported("Slice with steps \(steps) needs opset 10, not \(opset)")
      }
      return try lowerInputs(before: 10, ["starts", "ends", "axes"])(node, opset, &rewriter)
    },
    gradient: GradientRule(inputs: 1) { (scope) throws(StackLensError) in
      let shape = scope.shape(of: try scope.input(0))
      let back = scope.graph.add(
        "SliceGradient", [try scope.arriving(), shape] + scope.inputs.dropFirst(),
        domain: "ai.stacklens")
      return [back] + scope.inputs.dropFirst().map { _ in nil }
    },
    samples: [
      Sample([.floats(4, 5), .ints([1, 0]), .ints([9, -1])]),
      Sample([.floats(4, 5), .ints([-1]), .ints([.min]), .ints([-1]), .ints([-2])]),
      Sample([.floats(0, 5), .ints([0]), .ints([.max]), .ints([1])]),
      Sample([.floats(4), .ints([3]), .ints([1])]),
    ])

  /// Back through Slice: from g, the extents of the data and Slice's further inputs, zeros with g
  /// where its elements were read.
  static let sliceGradient = OperatorDefinition(
    "SliceGradient", domain: "ai.stacklens", versions: [1], inputs: 4...6,
    infer: { (context) throws(StackLensError) in
      let g = try context.input(0, oneOf: ElementType.reals)
      let shape = try Shape(try context.value(1).integers())
      let box = try SliceBox(
        shape, starts: context.value(2), ends: context.value(3),
        axes: context.optionalValue(4), steps: context.optionalValue(5))
      guard g.shape.dims == box.extents else {
        throw .shapeMismatch("gradient \(g) of a slice \(box.extents)")
      }
      return [TensorType(g.elementType, shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let shape = preparation.outputs[0].shape
        return PreparedKernel { (run) throws(StackLensError) in
          let (g, dx) = (try run.input(0), run.outputs[0])
          let box = try SliceBox(
            shape, starts: run.input(2), ends: run.input(3), axes: run.optionalInput(4),
            steps: run.optionalInput(5))
          guard box.extents == g.shape.dims else {
            throw .shapeMismatch("a slice \(box.extents), planned for \(g.shape)")
          }
          run.parallel.ranges(dx.byteCount, grain: cheapGrain * 4) { range in
            (dx.base + range.lowerBound).initializeMemory(
              as: UInt8.self, repeating: 0, count: range.count)
          }
          StridedCopy(
            g.elementType, box.extents, from: g.shape.strides, to: box.strides,
            targetStart: box.start
          ).run(from: g.base, to: dx.base, run.parallel)
        }
      }
    ]),
    outline: outline(extents: 1),
    gradient: GradientRule(inputs: 1) { (scope) throws(StackLensError) in
      let back = scope.graph.add(
        "Slice", [try scope.arriving()] + scope.inputs.dropFirst(2))
      return [back] + scope.inputs.dropFirst().map { _ in nil }
    },
    samples: [
      Sample([.floats(3, 4), .ints([4, 5]), .ints([1, 0]), .ints([9, -1])]),
      Sample([.floats(4, 3), .ints([4, 5]), .ints([-1]), .ints([.min]), .ints([-1]), .ints([-2])]),
      Sample([.floats(0, 5), .ints([0, 5]), .ints([0]), .ints([.max]), .ints([1])]),
      Sample([.floats(0), .ints([4]), .ints([3]), .ints([1])]),
    ])
}

extension Invocation {
  func optionalInput(_ index: Int) -> Tensor? { index < inputs.count ? inputs[index] : nil }
}

/// The part of a tensor that a Slice reads.
private struct SliceBox {
  var extents: [Int]
  var strides: [Int]
  var start = 0

  /// What copies the part to a tensor that was planned for it.
  func copy(_ elementType: ElementType, to output: Shape) throws(StackLensError) -> StridedCopy {
    guard extents == output.dims else {
      throw .shapeMismatch("Slice gives \(extents), planned for \(output)")
    }
    return StridedCopy(
      elementType, extents, from: strides, to: output.strides, sourceStart: start)
  }

  init(
    _ shape: Shape, starts: Tensor, ends: Tensor, axes: Tensor?, steps: Tensor?
  ) throws(StackLensError) {
    (extents, strides) = (shape.dims, shape.strides)
    let (starts, ends) = (try starts.integers(), try ends.integers())
    let axes = try checkedAxes(
      try axes?.integers() ?? Array(0..<starts.count), rank: shape.rank)
    let steps = try steps?.integers() ?? [Int](repeating: 1, count: starts.count)
    guard ends.count == starts.count, axes.count == starts.count, steps.count == starts.count else {
      throw .invalidArgument(
        "\(starts.count) starts, \(ends.count) ends, \(axes.count) axes and \(steps.count) steps")
    }
    for (index, axis) in axes.enumerated() {
      let (extent, step) = (shape[axis], steps[index])
      guard step != 0 else { throw .invalidArgument("the step along axis \(axis) is 0") }
      // A backward walk may start on the last element and end before the first.
      let low = step > 0 ? 0 : -1
      let high = step > 0 ? extent : extent - 1
      func place(_ value: Int) -> Int {
        min(max(value < 0 ? value + extent : value, low), high)
      }
      let first = step > 0 ? place(starts[index]) : max(place(starts[index]), min(0, high))
      let distance = step > 0 ? place(ends[index]) - first : first - place(ends[index])
      let stride = step == .min ? .max : abs(step)
      let count = distance > 0 ? (distance - 1) / stride + 1 : 0
      extents[axis] = count
      if count > 0 { start += first * strides[axis] }
      if count > 1 { strides[axis] *= step }
    }
  }
}
