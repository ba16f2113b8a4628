import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Keeps the upper (or lower) triangle of matrices and zeroes the rest. ONNX Trilu-14.
  static let trilu = OperatorDefinition(
    "Trilu", versions: [14], inputs: 1...2, attributes: [.int("upper", default: 1)],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      guard input.rank >= 2 else {
        throw .shapeMismatch("input 0 has shape \(input.shape), expected rank 2 or more")
      }
      return [input]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let isUpper = try preparation.flag("upper")
        return PreparedKernel { (run) throws(StackLensError) in
          let input = try run.input(0)
          var diagonal = 0
          if let given = run.optionalInput(1) {
            guard given.count == 1 else {
              throw .shapeMismatch("input 1 (k) has shape \(given.shape), expected one number")
            }
            diagonal = try given.integers()[0]
          }
          let (rows, columns) = (input.shape[input.rank - 2], input.shape[input.rank - 1])
          input.elementType.byWidth(
            Triangle(
              source: input, target: run.outputs[0].base, rows: rows, columns: columns,
              diagonal: min(max(diagonal, -rows), columns), isUpper: isUpper,
              parallel: run.parallel))
        }
      }
    ]),
    lower: { (node, opset, rewriter) throws(StackLensError) in
      opset < 14 ? try masked(node, opset, &rewriter) : [node]
    },
    gradient: .symmetric,
    samples: [
      Sample([.floats(2, 3, 4)]), Sample([.floats(4, 3), .ints([-1])], ["upper": .int(0)]),
      Sample([.floats(3, 3), .ints([.max])]), Sample([.floats(0, 3, 3)]),
    ])

  /// Chooses between the input and zero by how far right of the diagonal an element lies.
  private static func masked(
    _ node: Node, _ opset: Int, _ rewriter: inout Rewriter
  ) throws(StackLensError) -> [Node] {
    guard opset >= 11, let type = rewriter.elementType(of: node.inputs[0]) else {
      throw .unsupported("Trilu of unknown type cannot be written for opset \(opset)")
    }
    var steps = Decomposition(node, opset)
    let shape = steps.apply("Shape", [node.inputs[0]], &rewriter)
    let zero = rewriter.constant(try Tensor(scalar: Int64(0)), "zero")
    let one = rewriter.constant(try Tensor(scalar: Int64(1)), "one")
    var places: [String] = []
    for axis in [Int64(-2), -1] {
      let index = rewriter.constant(try Tensor(scalar: axis), "axis")
      let extent = steps.apply("Gather", [shape, index], &rewriter)
      places.append(steps.apply("Range", [zero, extent, one], &rewriter))
    }
    let column = try rewriter.ints([-1, 1], "column")
    let rows = steps.apply("Reshape", [places[0], column], &rewriter)
    let right = steps.apply("Sub", [places[1], rows], &rewriter)
    let diagonal = node.inputs.count > 1 && !node.inputs[1].isEmpty ? node.inputs[1] : zero
    var isUpper = true
    if let attribute = node.attributes["upper"] { isUpper = attribute.isTrue }
    let cut = steps.apply(isUpper ? "Less" : "Greater", [right, diagonal], &rewriter)
    let nothing = rewriter.constant(try Tensor(zeros: type, .scalar), "nothing")
    return steps.finish("Where", [cut, nothing, node.inputs[0]])
  }
}

private struct Triangle: WidthWork {
  let source: Tensor
  let target: UnsafeMutableRawPointer
  let rows: Int
  let columns: Int
  let diagonal: Int
  let isUpper: Bool
  let parallel: Parallel

  func callAsFunction<Element>(_ type: Element.Type) {
    guard source.count > 0 else { return }
    let read = source.base.assumingMemoryBound(to: Element.self)
    let write = target.assumingMemoryBound(to: Element.self)
    parallel.ranges(source.count / columns, grain: max(1, moveGrain / columns)) { lines in
      for line in lines {
        // The first column on the diagonal, or behind it for the lower triangle.
        let edge = line % rows + diagonal + (isUpper ? 0 : 1)
        let cut = min(max(edge, 0), columns)
        let (from, to) = (read + line * columns, write + line * columns)
        let kept = isUpper ? cut..<columns : 0..<cut
        let cleared = isUpper ? 0..<cut : cut..<columns
        (to + kept.lowerBound).update(from: from + kept.lowerBound, count: kept.count)
        clearElements(to + cleared.lowerBound, count: cleared.count)
      }
    }
  }
}

/// Sets elements to zero, strings to "".
func clearElements<Element>(_ start: UnsafeMutablePointer<Element>, count: Int) {
  if Element.self == String.self {
    UnsafeMutableRawPointer(start).assumingMemoryBound(to: String.self)
      .update(repeating: "", count: count)
  } else {
    UnsafeMutableRawPointer(start).initializeMemory(
      as: UInt8.self, repeating: 0, count: count * MemoryLayout<Element>.stride)
  }
}
