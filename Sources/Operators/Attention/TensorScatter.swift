import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// A cache in which new rows replace those from each batch entry's own place on. ONNX
  /// TensorScatter-24.
  static let tensorScatter = OperatorDefinition(
    "TensorScatter", versions: [24], inputs: 2...3,
    attributes: [.int("axis", default: -2), .string("mode", default: "linear")],
    infer: { (context) throws(StackLensError) in
      let cache = try context.input(0)
      _ = try context.sameElementType(0, 1)
      if context.hasInput(2) { _ = try context.input(2, oneOf: [.int64, .int32]) }
      _ = try CacheRows(context, context.inputs)
      return [cache]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let rows = try CacheRows(preparation, preparation.inputs)
        let type = try preparation.input(0).elementType
        return PreparedKernel { (run) throws(StackLensError) in
          let starts = try rows.starts(run)
          run.outputs[0].fillElements(from: try run.input(0), run.parallel)
          let updates = try run.input(1).base
          for (batch, start) in starts.enumerated() {
            for copy in rows.copies(type, batch, start) {
              copy.run(from: updates, to: run.outputs[0].base, run.parallel)
            }
          }
        }
      }
    ]),
    expand: expandTensorScatter, gradient: .expanded,
    samples: [
      Sample([.floats(2, 3, 6, 4), .floats(2, 3, 2, 4), .ints([1, 4])]),
      Sample(
        [.floats(2, 5, 3), .floats(2, 3, 3), .ints([4, 2])],
        ["axis": .int(1), "mode": .string("circular")]),
      Sample([.floats(2, 0, 3), .floats(2, 0, 3)]),
    ])
}

/// A cache [batch, …, rows, …] and rows to write into it.
private struct CacheRows: Sendable {
  private let batch: Int
  /// Extents between the batch and the rows, and after them.
  private let outer: Int
  private let inner: Int
  private let rowCount: Int
  private let newCount: Int
  private let isCircular: Bool

  init(_ view: some NodeView, _ inputs: [TensorType?]) throws(StackLensError) {
    guard inputs.count > 1, let cache = inputs[0]?.shape, let update = inputs[1]?.shape else {
      throw .invalidArgument("input 0 or 1 is missing")
    }
    let axis = try view.axis("axis", rank: cache.rank)
    guard axis > 0 else {
      throw .invalidArgument("attribute 'axis' is the batch axis of a cache of shape \(cache)")
    }
    var expected = cache.dims
    if update.rank == cache.rank { expected[axis] = update[axis] }
    guard update.dims == expected, update[axis] <= cache[axis] else {
      throw .shapeMismatch("rows of shape \(update) do not fit a cache of shape \(cache)")
    }
    switch try view.string("mode") {
    case "linear": isCircular = false
    case "circular": isCircular = true
    case let mode:
      throw .invalidArgument("attribute 'mode' is '\(mode)', expected linear or circular")
    }
    if inputs.count > 2, let places = inputs[2]?.shape, places.dims != [cache[0]] {
      throw .shapeMismatch("write_indices has shape \(places), expected [\(cache[0])]")
    }
    try requireWalkable(cache[0], cache)
    (batch, outer) = (cache[0], cache.count(1..<axis))
    inner = cache.count(axis + 1..<cache.rank)
    (rowCount, newCount) = (cache[axis], update[axis])
  }

  /// Where each batch entry is written.
  func starts(_ run: Invocation) throws(StackLensError) -> [Int] {
    guard run.inputs.count > 2, let places = run.inputs[2] else {
      return [Int](repeating: 0, count: batch)
    }
    var starts = try places.integers()
    for (index, start) in starts.enumerated() {
      if isCircular, rowCount > 0 {
        starts[index] = (start % rowCount + rowCount) % rowCount
      } else if start < 0 || start > rowCount - newCount {
        throw .invalidArgument(
          "write_indices holds \(start), expected 0 to \(rowCount - newCount)")
      }
    }
    return starts
  }

  /// The rows up to the end of the cache, and those that begin again at its start.
  func copies(_ type: ElementType, _ batch: Int, _ start: Int) -> [StridedCopy] {
    let fit = min(newCount, rowCount - start)
    return [(0, fit, start), (fit, newCount - fit, 0)].map { first, count, place in
      StridedCopy(
        type, [outer, count * inner], from: [newCount * inner, 1], to: [rowCount * inner, 1],
        sourceStart: (batch * outer * newCount + first) * inner,
        targetStart: (batch * outer * rowCount + place) * inner)
    }
  }
}

@Sendable private func expandTensorScatter(
  _ node: ComposedNode, _ rewriter: inout Rewriter
) throws(StackLensError) -> [Node] {
  var made = Decomposition(node.node, newestOpset)
  let (cache, update) = (try node.required(0, "cache"), try node.required(1, "update"))
  let axis = Int64(try node.int("axis"))
  guard axis.magnitude <= 64 else { throw .invalidArgument("attribute 'axis' is \(axis)") }
  let one = try rewriter.ints([1], "one")
  func extent(_ name: String) -> String {
    let end: [String: Attribute] = axis == -1 ? [:] : ["end": .int(axis + 1)]
    return made.apply(
      "Shape", [name], end.merging(["start": .int(axis)]) { $1 }, &rewriter)
  }
  func ones(_ count: String) -> String {
    made.apply("Expand", [one, count], &rewriter)
  }
  let length = extent(update)
  let zero = rewriter.constant(try Tensor(scalar: Int64(0)), "zero")
  let step = rewriter.constant(try Tensor(scalar: Int64(1)), "step")
  let end = made.apply("Squeeze", [length, try rewriter.ints([0], "axes")], &rewriter)
  let range = made.apply("Range", [zero, end, step], &rewriter)
  let shape = made.apply("Shape", [update], &rewriter)
  let rank = made.apply("Shape", [shape], &rewriter)
  let minusOne = try rewriter.ints([-1], "all")
  // The places of the new rows, with as many axes as the cache.
  let after: String
  if axis < 0 {
    after = try rewriter.ints([Int64](repeating: 1, count: Int(-axis - 1)), "after")
  } else {
    let count = made.apply("Sub", [rank, try rewriter.ints([axis + 1], "before")], &rewriter)
    after = ones(count)
  }
  let rangeShape = made.apply("Concat", [minusOne, after], ["axis": .int(0)], &rewriter)
  var places = made.apply("Reshape", [range, rangeShape], &rewriter)
  if let starts = node.input(2) {
    let others = ones(made.apply("Sub", [rank, one], &rewriter))
    let startShape = made.apply("Concat", [minusOne, others], ["axis": .int(0)], &rewriter)
    let column = made.apply("Reshape", [starts, startShape], &rewriter)
    places = made.apply("Add", [places, column], &rewriter)
  }
  if try node.string("mode") == "circular" {
    places = made.apply("Mod", [places, extent(cache)], &rewriter)
  }
  let indices = made.apply("Expand", [places, shape], &rewriter)
  return made.finish("ScatterElements", [cache, indices, update], ["axis": .int(axis)])
}
