import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// The different elements (or slices along `axis`) with where each comes first, which one each
  /// input is, and how often it occurs. ONNX Unique-28.
  static let unique = OperatorDefinition(
    "Unique", versions: [11, 28], inputs: 1...1, outputs: 1...4,
    attributes: [.optional("axis", .int), .int("sorted", default: 1)],
    infer: { (_) throws(StackLensError) in throw Inference.needsValue },
    execution: .evaluate { (context) throws(StackLensError) in
      let input = try context.tensor(0, oneOf: ElementType.ordinary)
      var (blocks, extent, inner) = (1, input.count, 1)
      if context.has("axis") {
        let axis = try context.axis("axis", rank: input.rank)
        (blocks, extent) = (input.shape.count(0..<axis), input.shape[axis])
        inner = input.shape.count(axis + 1..<input.rank)
      }
      try requireWalkable(extent, input.shape)
      let groups = Groups(
        keys: OrderKeys(tensor: input).all(), blocks: blocks, extent: extent, inner: inner,
        isSorted: try context.flag("sorted"))
      var shape = try Shape([groups.firsts.count])
      if context.has("axis") {
        var dims = input.shape.dims
        dims[try context.axis("axis", rank: input.rank)] = groups.firsts.count
        shape = try Shape(dims)
      }
      let values = try Tensor(uninitialized: input.elementType, shape)
      groups.firsts.map { $0 * inner }.withUnsafeBufferPointer {
        input.elementType.byWidth(
          GatherRuns(
            source: input.base, target: values.base, offsets: $0, blockCount: blocks,
            blockStride: extent * inner, runLength: inner, parallel: context.parallel))
      }
      var outputs = [Value.tensor(values)]
      for list in [groups.firsts, groups.members, groups.counts] {
        outputs.append(.tensor(try Tensor(list.map(Int64.init))))
      }
      return Array(outputs.prefix(max(context.node.outputs.count, 1)))
    },
    outline: { (context) throws(StackLensError) in
      let input = try context.input(0)
      guard let elementType = input.elementType else { return [.unknown] }
      let count = context.extent("count")
      var values = AbstractValue.elements(elementType)
      var members = context.extent("members")
      if let type = input.type, context.has("axis") {
        var dims = type.shape.dims
        let axis = try context.axis("axis", rank: type.rank)
        members = dims[axis]
        dims[axis] = count
        values = try .tensor(elementType, dims)
      } else if !context.has("axis") {
        members = input.type?.shape.count ?? members
        values = try .tensor(elementType, [count])
      }
      return [
        values, try .tensor(.int64, [count]), try .tensor(.int64, [members]),
        try .tensor(.int64, [count]),
      ]
    },
    samples: [
      Sample([.ints([2, 1, 1, 3, 4, 3])], outputs: 4),
      Sample([.indices([[1, 0, 0], [1, 0, 0], [2, 3, 4]])], ["axis": .int(0)], outputs: 4),
      Sample([.ints([2, 1, 2])], ["sorted": .int(0)], outputs: 2), Sample([.ints([])]),
    ])
}

/// Equal slices found by their order keys.
private struct Groups {
  /// Place of the first member of each group, and how many members it has.
  private(set) var firsts: [Int] = []
  private(set) var counts: [Int] = []
  /// The group of each slice.
  private(set) var members: [Int]

  /// Groups in the order of their keys when `isSorted`, else of their first members.
  init(keys: [Int64], blocks: Int, extent: Int, inner: Int, isSorted: Bool) {
    func compare(_ left: Int, _ right: Int) -> Int64 {
      for block in 0..<blocks {
        let start = block * extent * inner
        for column in 0..<inner {
          let a = keys[start + left * inner + column]
          let b = keys[start + right * inner + column]
          if a != b { return a < b ? -1 : 1 }
        }
      }
      return 0
    }
    let order = (0..<extent).sorted { left, right in
      let order = compare(left, right)
      return order < 0 || order == 0 && left < right
    }
    members = [Int](repeating: 0, count: extent)
    for (rank, place) in order.enumerated() {
      if rank == 0 || compare(order[rank - 1], place) != 0 {
        firsts.append(place)
        counts.append(0)
      }
      counts[counts.count - 1] += 1
      members[place] = firsts.count - 1
    }
    guard !isSorted else { return }
    let byPlace = firsts.indices.sorted { firsts[$0] < firsts[$1] }
    var renamed = [Int](repeating: 0, count: firsts.count)
    for (new, old) in byPlace.enumerated() { renamed[old] = new }
    (firsts, counts) = (byPlace.map { firsts[$0] }, byPlace.map { counts[$0] })
    members = members.map { renamed[$0] }
  }
}
