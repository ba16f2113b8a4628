import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The k largest (or smallest) elements along an axis in order, with their places; equal ones by
  /// place, NaN above everything. ONNX TopK-24.
  static let topK = OperatorDefinition(
    "TopK", versions: [1, 10, 11, 24], inputs: 2...2, outputs: 2...2,
    attributes: [
      .int("axis", default: -1), .int("largest", default: 1), .int("sorted", default: 1),
    ],
    infer: { (context) throws(StackLensError) in
      let input = try context.input(0)
      guard input.elementType.isNumeric else {
        throw .typeMismatch("input 0 is \(input.elementType.name), expected numbers")
      }
      let axis = try context.axis("axis", rank: input.rank)
      let given = try context.value(1).integers()
      guard given.count == 1, given[0] >= 0, given[0] <= input.shape[axis] else {
        throw .invalidArgument("k is \(given), expected one number in [0, \(input.shape[axis])]")
      }
      var dims = input.shape.dims
      dims[axis] = given[0]
      let shape = try Shape(dims)
      return [TensorType(input.elementType, shape), TensorType(.int64, shape)]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let input = try preparation.input(0)
        let axis = try preparation.axis("axis", rank: input.rank)
        let isLargest = try preparation.flag("largest")
        let count = preparation.outputs[0].shape[axis]
        let inner = input.shape.count(axis + 1..<input.rank)
        return PreparedKernel { (run) throws(StackLensError) in
          input.elementType.byWidth(
            Selection(
              source: try run.input(0), values: run.outputs[0].base,
              places: run.outputs[1].base.assumingMemoryBound(to: Int64.self),
              extent: input.shape[axis], inner: inner, count: count, isLargest: isLargest,
              parallel: run.parallel))
        }
      }
    ]),
    lift: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 10 else { return [node] }
      guard case .int(let count)? = node.attributes["k"] else {
        throw .formatError("required attribute 'k' is missing")
      }
      var node = node
      node.attributes["k"] = nil
      node.inputs.append(try rewriter.ints([count], "k"))
      return [node]
    },
    lower: { (node, opset, rewriter) throws(StackLensError) in
      guard opset < 11 else { return [node] }
      if let largest = node.attributes["largest"], largest.isInt(0) {
        throw .unsupported("TopK of the smallest needs opset 11, not \(opset)")
      }
      var node = node
      node.attributes["largest"] = nil
      node.attributes["sorted"] = nil
      guard opset < 10 else { return [node] }
      guard let count = try constantInts(node, 1, "k", opset, rewriter), count.count == 1 else {
        throw .unsupported("TopK without one constant k needs opset 10, not \(opset)")
      }
      node.attributes["k"] = .int(count[0])
      node.inputs.removeLast()
      return [node]
    },
    gradient: .topK,
    samples: [
      Sample([.floats(3, 8), .ints([3])], outputs: 2),
      Sample([.floats(4, 2, 3), .ints([4])], ["axis": .int(0), "largest": .int(0)], outputs: 2),
      Sample([.floats(2, 0), .ints([0])], outputs: 2),
    ])
}

/// Chooses the best of each line. A heap holds the chosen places, its worst on top.
private struct Selection: WidthWork {
  let source: Tensor
  let values: UnsafeMutableRawPointer
  let places: UnsafeMutablePointer<Int64>
  let extent: Int
  let inner: Int
  let count: Int
  let isLargest: Bool
  let parallel: Parallel

  func callAsFunction<Element>(_ type: Element.Type) {
    guard count > 0, source.count > 0 else { return }
    let read = source.base.assumingMemoryBound(to: Element.self)
    let write = values.assumingMemoryBound(to: Element.self)
    parallel.ranges(source.count / extent, grain: max(1, 4096 / extent)) { lines in
      var keys = [Int64](repeating: 0, count: extent)
      var heap = [Int](repeating: 0, count: count)
      for line in lines {
        let (block, column) = line.quotientAndRemainder(dividingBy: inner)
        let start = block * extent * inner + column
        keys.withUnsafeMutableBufferPointer { keys in
          OrderKeys(tensor: source).write(to: keys, start: start, step: inner)
          if !isLargest { for index in keys.indices { keys[index] = ~keys[index] } }
          heap.withUnsafeMutableBufferPointer { select(UnsafeBufferPointer(keys), $0) }
        }
        let target = block * count * inner + column
        for rank in 0..<count {
          write[target + rank * inner] = read[start + heap[rank] * inner]
          places[target + rank * inner] = Int64(heap[rank])
        }
      }
    }
  }

  /// Fills `heap` with the places of the best keys, best first.
  private func select(
    _ keys: UnsafeBufferPointer<Int64>, _ heap: UnsafeMutableBufferPointer<Int>
  ) {
    func isBetter(_ left: Int, _ right: Int) -> Bool {
      keys[left] > keys[right] || keys[left] == keys[right] && left < right
    }
    func sink(_ place: Int, from start: Int, size: Int) {
      var parent = start
      while true {
        var child = 2 * parent + 1
        guard child < size else { break }
        if child + 1 < size, isBetter(heap[child], heap[child + 1]) { child += 1 }
        guard isBetter(place, heap[child]) else { break }
        heap[parent] = heap[child]
        parent = child
      }
      heap[parent] = place
    }
    for place in 0..<count { heap[place] = place }
    for parent in (0..<count / 2).reversed() { sink(heap[parent], from: parent, size: count) }
    for place in count..<keys.count where isBetter(place, heap[0]) {
      sink(place, from: 0, size: count)
    }
    for size in (1..<count).reversed() {
      let last = heap[size]
      heap[size] = heap[0]
      sink(last, from: 0, size: size)
    }
  }
}
