import Base
import Graphs
import Tensors

extension Network {
  /// Pools to an output of certain extents: window i of n covers from ⌊i L / n⌋ to ⌈(i + 1) L / n⌉
  /// of an axis of L, which may stay open until the model runs.
  public func adaptivePool(
    _ name: String, _ x: Edge, _ kind: PoolKind, to size: [Int]
  ) throws(StackLensError) -> Edge {
    let axes = size.count
    guard (1...3).contains(axes), size.allSatisfy({ $0 > 0 }) else {
      throw .invalidArgument("'output_size' is \(size), expected one to three extents above 0")
    }
    try check(x, rank: axes + 2...axes + 2, Windows.form(axes))
    return try scope(name) { () throws(StackLensError) in
      if size.allSatisfy({ $0 == 1 }) { return try globalPool("", x, kind, keepDims: true) }
      if let windows = try evenWindows(x, size) { return try pool("", x, kind, windows) }
      var result = x
      for (place, count) in size.enumerated() {
        result =
          kind == .max
          ? try largest(result, axis: place + 2, count, rank: axes + 2)
          : try means(result, axis: place + 2, count, rank: axes + 2)
      }
      return result
    }
  }

  /// Windows that lie side by side, where all extents are known and can be cut so.
  private func evenWindows(_ x: Edge, _ size: [Int]) throws(StackLensError) -> Windows? {
    guard let extents = dims(of: x)?.dropFirst(2).map(\.extent) else { return nil }
    var kernel: [Int] = []
    for (extent, count) in zip(extents, size) {
      guard let extent, extent > 0, extent % count == 0 else { return nil }
      kernel.append(extent / count)
    }
    return try Windows(kernel, stride: kernel)
  }

  /// Where each of `count` windows starts and ends in an axis: [count, 1]; and which positions it
  /// covers: [count, extent].
  private func cover(
    _ extent: Edge, _ count: Int
  ) throws(StackLensError) -> (start: Edge, end: Edge, inside: Edge) {
    let numbers = (0...count).map { Int64($0) }
    let total = constant(try Tensor(scalar: Int64(count)))
    let first = constant(try Tensor(Array(numbers.dropLast()), shape: Shape([count, 1])))
    let next = constant(try Tensor(Array(numbers.dropFirst()), shape: Shape([count, 1])))
    let round = constant(try Tensor(scalar: Int64(count - 1)))
    let start = first * extent / total
    let end = (next * extent + round) / total
    let position = try positions(extent)
    let isBehind = graph.add("GreaterOrEqual", [position, start])
    let inside = graph.add("And", [isBehind, graph.add("Less", [position, end])])
    return (start, end, inside)
  }

  /// Means as a product with a matrix of weights along the axis.
  private func means(
    _ x: Edge, axis: Int, _ count: Int, rank: Int
  ) throws(StackLensError) -> Edge {
    let (start, end, inside) = try cover(extent(x, axis), count)
    let weights = cast(inside, .float32) / cast(end - start, .float32)
    let columns = graph.transpose(weights, [1, 0])
    guard axis != rank - 1 else { return graph.matMul(x, columns) }
    var order = (0..<Int64(rank)).map { $0 }
    order.swapAt(axis, rank - 1)
    return graph.transpose(graph.matMul(graph.transpose(x, order), columns), order)
  }

  /// The largest over each window: what lies outside of it is out of the question.
  private func largest(
    _ x: Edge, axis: Int, _ count: Int, rank: Int
  ) throws(StackLensError) -> Edge {
    let inside = try cover(extent(x, axis), count).inside
    let behind = Array(2..<2 + rank - 1 - axis)
    let mask = behind.isEmpty ? inside : graph.add("Unsqueeze", [inside, try ints(behind)])
    let lines = try unsqueezed(x, axis)
    let least = try scalar(-.greatestFiniteMagnitude)
    return graph.add(
      "ReduceMax", [graph.add("Where", [mask, lines, least]), try ints([axis + 1])],
      ["keepdims": .int(0)])
  }
}
