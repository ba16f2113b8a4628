import Base
import Graphs
import Tensors

extension OperatorDefinition {
  private static func sequenceOperator(
    _ name: String, versions: [Int] = [11], inputs: ClosedRange<Int>,
    outputs: ClosedRange<Int> = 1...1, attributes: [AttributeSpec] = [],
    outline: @escaping Outline, samples: [Sample] = [],
    _ body: @escaping @Sendable (Evaluation) throws(StackLensError) -> [Value]
  ) -> OperatorDefinition {
    OperatorDefinition(
      name, versions: versions, inputs: inputs, outputs: outputs, attributes: attributes,
      infer: { (_) throws(StackLensError) in throw Inference.needsValue },
      execution: .evaluate(body), outline: outline, samples: samples)
  }

  /// A sequence of the inputs. ONNX SequenceConstruct-11.
  static let sequenceConstruct = sequenceOperator(
    "SequenceConstruct", inputs: 1...Int(Int32.max),
    outline: { (context) throws(StackLensError) in
      [.sequence(try context.join(context.inputs.compactMap { $0 }, "item"))]
    },
    samples: [Sample([.floats(2), .floats(3)]), Sample([.floats()])]
  ) { (context) throws(StackLensError) in
    var items: [Value] = []
    for index in context.inputs.indices { items.append(try context.value(index)) }
    try requireOneType(items)
    return [.sequence(items)]
  }

  /// A sequence of nothing. ONNX SequenceEmpty-11.
  static let sequenceEmpty = sequenceOperator(
    "SequenceEmpty", inputs: 0...0, attributes: [.int("dtype", default: 1)],
    outline: { (context) throws(StackLensError) in
      let type = ElementType(rawValue: Int32(truncatingIfNeeded: try context.int("dtype")))
      return [.sequence(type.map { .elements($0) } ?? .unknown)]
    },
    samples: [Sample([]), Sample([], ["dtype": .int(7)])]
  ) { (_) throws(StackLensError) in [.sequence([])] }

  /// The item at a position; negative counts from the end. ONNX SequenceAt-11.
  static let sequenceAt = sequenceOperator(
    "SequenceAt", inputs: 2...2,
    outline: { (context) throws(StackLensError) in [try context.item(0)] }
  ) {
    (context) throws(StackLensError) in
    let items = try context.sequence(0)
    return [items[try context.position(1, below: items.count)]]
  }

  /// The sequence with an item before a position, or at the end. ONNX SequenceInsert-11.
  static let sequenceInsert = sequenceOperator(
    "SequenceInsert", inputs: 2...3,
    outline: { (context) throws(StackLensError) in
      [.sequence(try context.join([context.item(0), context.input(1)], "item"))]
    }
  ) {
    (context) throws(StackLensError) in
    var items = try context.sequence(0)
    let place =
      context.hasInput(2)
      ? try context.position(2, from: items.count, below: items.count + 1) : items.count
    items.insert(.tensor(try context.tensor(1)), at: place)
    try requireOneType(items)
    return [.sequence(items)]
  }

  /// The sequence without the item at a position, the last by default. ONNX SequenceErase-11.
  static let sequenceErase = sequenceOperator(
    "SequenceErase", inputs: 1...2,
    outline: { (context) throws(StackLensError) in [try context.input(0)] }
  ) {
    (context) throws(StackLensError) in
    var items = try context.sequence(0)
    guard !items.isEmpty else { throw .invalidArgument("input 0 is an empty sequence") }
    items.remove(
      at: context.hasInput(1)
        ? try context.position(1, below: items.count) : items.count - 1)
    return [.sequence(items)]
  }

  /// The number of items. ONNX SequenceLength-11.
  static let sequenceLength = sequenceOperator(
    "SequenceLength", inputs: 1...1,
    outline: { (_) throws(StackLensError) in [try .tensor(.int64, [])] }
  ) {
    (context) throws(StackLensError) in
    [.tensor(try Tensor(scalar: Int64(try context.sequence(0).count)))]
  }

  /// The parts of a tensor along an axis as a sequence. ONNX SplitToSequence-24.
  static let splitToSequence = sequenceOperator(
    "SplitToSequence", versions: [11, 24], inputs: 1...2,
    attributes: [.int("axis", default: 0), .int("keepdims", default: 1)],
    outline: { (context) throws(StackLensError) in
      guard let type = try context.input(0).type else {
        return [.sequence(try context.input(0).elementType.map { .elements($0) } ?? .unknown)]
      }
      var dims = type.shape.dims
      let axis = try context.axis("axis", rank: type.rank)
      if !context.hasInput(1) {
        if try context.flag("keepdims") { dims[axis] = 1 } else { dims.remove(at: axis) }
      } else {
        let sizes = try context.value(1)?.integers() ?? []
        let isScalar = context.value(1)?.rank == 0
        let isEven =
          sizes.allSatisfy { $0 == sizes[0] }
          && (!isScalar || sizes[0] > 0 && dims[axis] % sizes[0] == 0)
        dims[axis] = isEven && !sizes.isEmpty ? sizes[0] : context.extent("part")
      }
      return [.sequence(try .tensor(type.elementType, dims))]
    },
    samples: [
      Sample([.floats(5, 2), .scalarIndex(2)]),
      Sample([.floats(2, 3)], ["axis": .int(1), "keepdims": .int(0)]),
      Sample([.floats(3), .ints([1, 2])]),
    ]
  ) { (context) throws(StackLensError) in
    let input = try context.tensor(0)
    let axis = try context.axis("axis", rank: input.rank)
    let extent = input.shape[axis]
    var sizes: [Int] = []
    var isKept = true
    if context.hasInput(1) {
      let given = try context.tensor(1)
      sizes = try given.integers()
      if given.rank == 0 {
        guard sizes[0] > 0 else { throw .invalidArgument("cannot split into parts of \(sizes[0])") }
        let (full, rest) = extent.quotientAndRemainder(dividingBy: sizes[0])
        try context.requireRoom(full, byteCount: itemByteCount, "items")
        sizes = [Int](repeating: sizes[0], count: full) + (rest > 0 ? [rest] : [])
      }
    } else {
      isKept = try context.flag("keepdims")
      try context.requireRoom(extent, byteCount: itemByteCount, "items")
      sizes = [Int](repeating: 1, count: extent)
    }
    guard !sizes.contains(where: { $0 < 0 }), try extentSum(sizes) == extent else {
      throw .shapeMismatch("split \(sizes) does not add up to extent \(extent)")
    }
    let (outer, inner) = (input.shape.count(0..<axis), input.shape.count(axis + 1..<input.rank))
    var (items, start): ([Value], Int) = ([], 0)
    for size in sizes {
      var dims = input.shape.dims
      dims[axis] = size
      if !isKept { dims.remove(at: axis) }
      let part = try Tensor(uninitialized: input.elementType, try Shape(dims))
      StridedCopy(
        input.elementType, [outer, size * inner], from: [extent * inner, 1], to: [size * inner, 1],
        sourceStart: start * inner
      ).run(from: input.base, to: part.base, context.parallel)
      items.append(.tensor(part))
      start += size
    }
    return [.sequence(items)]
  }

  /// The items joined along an axis, a new one if `new_axis`. ONNX ConcatFromSequence-11.
  static let concatFromSequence = sequenceOperator(
    "ConcatFromSequence", inputs: 1...1,
    attributes: [.required("axis", .int), .int("new_axis", default: 0)],
    outline: { (context) throws(StackLensError) in
      let item = try context.item(0)
      let axis = try context.int("axis")
      let count = context.extent("count")
      if try context.flag("new_axis") { return [try item.stacked(count, axis: axis)] }
      guard let type = item.type else { return [item] }
      var dims = type.shape.dims
      dims[try context.axis("axis", rank: dims.count)] = count
      return [try .tensor(type.elementType, dims)]
    }
  ) { (context) throws(StackLensError) in
    var tensors: [Tensor] = []
    for item in try context.sequence(0) { tensors.append(try item.tensor()) }
    guard let first = tensors.first else {
      throw .invalidArgument("input 0 is an empty sequence")
    }
    guard try context.flag("new_axis") else {
      let axis = try context.axis("axis", rank: first.rank)
      return [.tensor(try concatenate(tensors, axis: axis, context.parallel))]
    }
    let axis = try context.axis("axis", rank: first.rank + 1)
    let name = ValueInfo(context.node.inputs.first ?? "", .unknown)
    return [.tensor(try stacked(tensors, axis: axis, declared: name, context.parallel))]
  }

  /// A subgraph run on each item of sequences; tensors among the further inputs go to every run.
  /// ONNX SequenceMap-17.
  static let sequenceMap = sequenceOperator(
    "SequenceMap", versions: [17], inputs: 1...Int(Int32.max), outputs: 1...Int(Int32.max),
    attributes: [.required("body", .graph)],
    outline: { (context) throws(StackLensError) in
      let inputs = context.inputs.map { input -> AbstractValue in
        if case .sequence(let item)? = input { item } else { input ?? .unknown }
      }
      return context.subgraph("body", inputs).map { .sequence($0.forgetting) }
    }
  ) { (context) throws(StackLensError) in
    let count = try context.sequence(0).count
    let outputCount = try context.graph("body").outputs.count
    var results = [[Value]](repeating: [], count: outputCount)
    for index in 0..<count {
      var inputs: [Value] = []
      for place in context.inputs.indices {
        let value = try context.value(place)
        guard case .sequence(let items) = value else {
          inputs.append(value)
          continue
        }
        guard items.count == count else {
          throw .shapeMismatch(
            "input \(place) is a sequence of \(items.count), input 0 of \(count)")
        }
        inputs.append(items[index])
      }
      let values = try context.run("body", inputs, outputs: outputCount)
      for (output, value) in values.enumerated() { results[output].append(value) }
    }
    return results.map { .sequence($0) }
  }
}

/// What a small item of a sequence takes: the tensor, its storage and the least memory there is.
private let itemByteCount = 288

/// Checks that all tensors of a sequence have one element type.
private func requireOneType(_ items: [Value]) throws(StackLensError) {
  guard let first = items.first else { return }
  let type = try first.tensor().elementType
  for (index, item) in items.enumerated() {
    let other = try item.tensor().elementType
    guard other == type else {
      throw .typeMismatch("item \(index) is \(other.name), item 0 is \(type.name)")
    }
  }
}

extension Outlining {
  /// What the items of a sequence have in common.
  func item(_ index: Int) throws(StackLensError) -> AbstractValue {
    switch try input(index) {
    case .sequence(let item): return item
    case .unknown: return .unknown
    default: throw .typeMismatch("input \(index) must be a sequence")
    }
  }
}

extension Evaluation {
  /// An input that must be a sequence.
  func sequence(_ index: Int) throws(StackLensError) -> [Value] {
    let value = try value(index)
    guard case .sequence(let items) = value else {
      throw .typeMismatch("input \(index) must be a sequence, found \(value.kindName)")
    }
    return items
  }

  /// An input that must be one position in [-count, bound), count being `from` or the bound.
  func position(
    _ index: Int, from count: Int? = nil, below bound: Int
  ) throws(StackLensError) -> Int {
    let tensor = try tensor(index)
    let count = count ?? bound
    guard tensor.count == 1 else {
      throw .shapeMismatch("input \(index) has shape \(tensor.shape), expected one position")
    }
    let given = try tensor.integers()[0]
    let place = given < 0 ? given + count : given
    guard place >= 0, place < bound else {
      throw .invalidArgument("position \(given) is outside [-\(count), \(bound))")
    }
    return place
  }
}
