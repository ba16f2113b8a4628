import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Extends axes at both ends by a constant, by the edge, or by repeating what lies inside;
  /// negative pads cut. ONNX Pad-25.
  static let pad = OperatorDefinition(
    "Pad", versions: [1, 2, 11, 13, 18, 19, 21, 23, 24, 25], inputs: 2...4,
    attributes: [.string("mode", default: "constant")],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      let mode = try padMode(context)
      let margins = try Margins(
        input.shape, pads: context.value(1), axes: context.optionalValue(3))
      if context.hasInput(2) {
        let fill = try context.input(2)
        guard fill.shape.count == 1 else {
          throw .shapeMismatch("input 2 has shape \(fill.shape), expected one element")
        }
        // Opset 2 had a float attribute here whatever the type of the data.
        if fill.elementType != .float32 || !input.elementType.isFloat {
          _ = try context.sameElementType(0, 2)
        }
      }
      let shape = try Shape(margins.extents)
      for axis in 0..<input.rank where mode != .constant && shape.count > 0 {
        guard margins.last[axis] > margins.first[axis] else {
          throw .shapeMismatch("mode \(mode) has nothing to repeat along axis \(axis)")
        }
      }
      return [TensorType(input.elementType, shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let mode = try padMode(preparation)
        return PreparedKernel { (run) throws(StackLensError) in
          let input = try run.input(0)
          let output = run.outputs[0]
          let margins = try Margins(input.shape, pads: run.input(1), axes: run.optionalInput(3))
          guard margins.extents == output.shape.dims else {
            throw .shapeMismatch("Pad gives \(margins.extents), planned for \(output.shape)")
          }
          guard output.count > 0 else { return }
          if mode == .constant {
            let fill = try padValue(run.optionalInput(2), input.elementType)
            output.elementType.byWidth(
              FillElements(target: output, element: fill.base, parallel: run.parallel))
            margins.inner(input.elementType, input.shape, output.shape).run(
              from: input.base, to: output.base, run.parallel)
          } else {
            output.elementType.byWidth(
              Repeat(
                maps: margins.maps(mode), strides: input.shape.strides, source: input.base,
                target: output, parallel: run.parallel))
          }
        }
      }
    ]),
    lift: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 11 else { return [node] }
      var node = node
      let fill = node.attributes.removeValue(forKey: "value")
      if opset < 2 { node.attributes["pads"] = node.attributes.removeValue(forKey: "paddings") }
      node = try liftAttributes(before: 11, ["pads"])(node, opset, &rewriter)[0]
      if case .float(let value)? = fill, value != 0 {
        node.inputs.append(rewriter.constant(try Tensor(scalar: value), "value"))
      }
      return [node]
    },
    lower: { (node, opset, rewriter) throws(StackLensError) in
      if opset < 19, node.attributes["mode"]?.isString("wrap") == true {
        throw .unsupported("Pad with mode wrap needs opset 19, not \(opset)")
      }
      if opset < 18, node.inputs.count > 3, !node.inputs[3].isEmpty {
        var steps = Decomposition(node, opset)
        var whole = node
        whole.inputs.removeLast()
        let axes = steps.apply(
          "Cast", [node.inputs[3]], ["to": .int(Int64(ElementType.int64.rawValue))], &rewriter)
        whole.inputs[1] = try steps.alongAxes(
          node.inputs[1], at: axes, of: node.inputs[0], base: nil, else: try Tensor([Int64(0)]),
          copies: 2, &rewriter)
        return steps.nodes + [whole]
      }
      guard opset < 11 else { return [node] }
      var result = try lowerInputs(before: 11, ["pads"])(node, opset, &rewriter)[0]
      if node.inputs.count > 2, !node.inputs[2].isEmpty {
        guard let fill = rewriter.value(of: node.inputs[2]), fill.elementType == .float32,
          fill.count == 1
        else { throw .unsupported("Pad with a computed value needs opset 11, not \(opset)") }
        result.attributes["value"] = .float(try fill.elements(as: Float.self)[0])
      }
      return [result]
    },
    gradient: .pad,
    samples: [
      Sample([.floats(2, 3), .ints([0, 1, 2, 0])]),
      Sample([.floats(3, 4), .ints([2, 3, 1, -1])], ["mode": .string("reflect")]),
      Sample([.floats(3, 4), .ints([-1, 2, 1, 2])], ["mode": .string("edge")]),
      Sample([.floats(2, 3), .ints([7, 4]), .absent, .ints([-1])], ["mode": .string("wrap")]),
      Sample([.floats(0, 2), .ints([1, 0, 1, 0])]), Sample([.floats(), .ints([])]),
    ])
}

private enum PadMode: String {
  case constant, reflect, edge, wrap
}

private func padMode(_ view: some NodeView) throws(StackLensError) -> PadMode {
  let name = try view.string("mode")
  guard let mode = PadMode(rawValue: name) else {
    throw .invalidArgument(
      "attribute 'mode' is '\(name)', expected constant, reflect, edge or wrap")
  }
  return mode
}

/// The element to fill with: zero when none is given.
private func padValue(_ given: Tensor?, _ type: ElementType) throws(StackLensError) -> Tensor {
  guard let given else { return try Tensor(zeros: type, .scalar) }
  guard given.elementType != type else { return given }
  let value = try given.elements(as: Float.self)[0]
  switch type {
  case .float64: return try Tensor(scalar: Double(value))
  case .float16: return try Tensor(scalar: Float16(value))
  case .bfloat16: return try Tensor(scalar: BFloat16(value))
  default: throw .typeMismatch("cannot pad \(type.name) with a \(given.elementType.name)")
  }
}

/// What Pad adds before and behind each axis, after what it cuts.
private struct Margins {
  /// Extents of the result.
  var extents: [Int]
  /// Per axis: the elements first..<last of the input stay.
  var first: [Int] = []
  var last: [Int] = []
  /// Elements added in front.
  var before: [Int] = []

  init(_ shape: Shape, pads: Tensor, axes: Tensor?) throws(StackLensError) {
    let given = try pads.integers()
    let axes = try checkedAxes(try axes?.integers() ?? Array(0..<shape.rank), rank: shape.rank)
    guard given.count == 2 * axes.count else {
      throw .invalidArgument("\(given.count) pads for \(axes.count) axes")
    }
    extents = shape.dims
    (first, last) = ([Int](repeating: 0, count: shape.rank), shape.dims)
    before = first
    for (index, axis) in axes.enumerated() {
      let (front, back) = (given[index], given[axes.count + index])
      extents[axis] = try extentSum([shape[axis], front, back])
      guard extents[axis] >= 0, front > -(1 << 62), back > -(1 << 62) else {
        throw .shapeMismatch("pads \(front) and \(back) cut more than extent \(shape[axis])")
      }
      first[axis] = min(max(0, -front), shape[axis])
      last[axis] = max(shape[axis] - max(0, -back), first[axis])
      before[axis] = max(front, 0)
    }
  }

  /// The copy of what stays.
  func inner(_ type: ElementType, _ source: Shape, _ target: Shape) -> StridedCopy {
    let (read, write) = (source.strides, target.strides)
    var (from, to) = (0, 0)
    var kept: [Int] = []
    for axis in first.indices {
      kept.append(min(last[axis] - first[axis], extents[axis] - min(before[axis], extents[axis])))
      from += first[axis] * read[axis]
      to += before[axis] * write[axis]
    }
    return StridedCopy(type, kept, from: read, to: write, sourceStart: from, targetStart: to)
  }

  /// Where along each axis every element of the result comes from.
  func maps(_ mode: PadMode) -> [[Int]] {
    first.indices.map { axis in
      let count = last[axis] - first[axis]
      let period = mode == .reflect ? max(2 * (count - 1), 1) : count
      return (0..<extents[axis]).map { place in
        let offset = place - before[axis]
        if mode == .edge { return first[axis] + min(max(offset, 0), count - 1) }
        var index = offset % period
        if index < 0 { index += period }
        return first[axis] + (index < count ? index : period - index)
      }
    }
  }
}

/// Reads every element through one map per axis.
private struct Repeat: WidthWork {
  let maps: [[Int]]
  let strides: [Int]
  let source: UnsafeRawPointer
  let target: Tensor
  let parallel: Parallel

  func callAsFunction<Element>(_ type: Element.Type) {
    let read = source.assumingMemoryBound(to: Element.self)
    let write = target.base.assumingMemoryBound(to: Element.self)
    guard let columns = maps.last else { return write.update(from: read, count: 1) }
    let lines = target.count / columns.count
    parallel.ranges(lines, grain: max(1, moveGrain / columns.count)) { range in
      for line in range {
        var (rest, start) = (line, 0)
        for axis in maps.indices.dropLast().reversed() {
          let (next, index) = rest.quotientAndRemainder(dividingBy: maps[axis].count)
          start += maps[axis][index] * strides[axis]
          rest = next
        }
        let to = write + line * columns.count
        columns.withUnsafeBufferPointer { columns in
          for index in columns.indices { to[index] = read[start + columns[index]] }
        }
      }
    }
  }
}
