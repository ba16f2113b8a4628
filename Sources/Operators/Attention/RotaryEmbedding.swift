import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Turns pairs of each head's elements by angles that depend on the token's place. ONNX
  /// RotaryEmbedding-23.
  ///
  /// Inputs: x [B, heads, L, width] or [B, L, heads * width]; cosines and sines, by place
  /// [places, pairs] with the places of the tokens [B, L], or by token [B, L, pairs].
  static let rotaryEmbedding = OperatorDefinition(
    "RotaryEmbedding", versions: [23], inputs: 3...4, attributes: rotaryAttributes,
    infer: { (context) throws(StackLensError) in
      try inferRotary(context, RotaryShapes(context, context.inputs))
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        try RotaryShapes(preparation, preparation.inputs).kernel(preparation)
      }
    ]),
    expand: expandRotaryEmbedding, gradient: .expanded,
    samples: [
      Sample([.floats(2, 3, 4, 8), .floats(6, 4), .floats(6, 4), places(2, 4)]),
      Sample(
        [.floats(2, 4, 24), .floats(2, 4, 3), .floats(2, 4, 3)],
        ["num_heads": .int(3), "rotary_embedding_dim": .int(6), "interleaved": .int(1)]),
      Sample([.floats(1, 2, 0, 4), .floats(1, 0, 2), .floats(1, 0, 2)]),
    ])

  /// RotaryEmbedding as ONNX Runtime had it first: places come second, may be the place of the first
  /// token alone, and heads may follow from the width of the angles.
  static let contributedRotaryEmbedding = OperatorDefinition(
    "RotaryEmbedding", domain: runtimeDomain, versions: [1], inputs: 4...4,
    attributes: rotaryAttributes + [
      .int("is_packed_batching", default: 0), .float("scale", default: 1),
    ],
    infer: { (context) throws(StackLensError) in
      try inferRotary(context, RotaryShapes(contributed: context, context.inputs))
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        try RotaryShapes(contributed: preparation, preparation.inputs).kernel(preparation)
      }
    ]),
    expand: expandContributedRotaryEmbedding, gradient: .expanded,
    samples: [
      Sample([.floats(2, 3, 4, 8), places(2, 4), .floats(6, 4), .floats(6, 4)]),
      Sample([.floats(2, 4, 24), .ints([2]), .floats(7, 4), .floats(7, 4)]),
      Sample(
        [.floats(2, 4, 24), .ints([0]), .floats(7, 2), .floats(7, 2)],
        ["num_heads": .int(3), "rotary_embedding_dim": .int(4)]),
    ])

  private static let rotaryAttributes: [AttributeSpec] = [
    .int("interleaved", default: 0), .int("num_heads", default: 0),
    .int("rotary_embedding_dim", default: 0),
  ]

  private static func inferRotary(
    _ context: Inference, _ shapes: RotaryShapes
  ) throws(StackLensError) -> [TensorType] {
    let x = try context.input(0, oneOf: [.float32, .float16, .bfloat16, .float64])
    for index in shapes.angles where try context.input(index).elementType != x.elementType {
      throw .typeMismatch("angles and input have different element types")
    }
    if context.hasInput(shapes.places) {
      _ = try context.input(shapes.places, oneOf: [.int64, .int32])
    }
    return [x]
  }

  private static func places(_ dims: Int...) -> Sample.Input {
    .tensor { () throws(StackLensError) in
      let shape = try Shape(dims)
      return try Tensor((0..<shape.count).map { Int64($0 % 6) }, shape: shape)
    }
  }
}

/// Where the tokens and their angles of one RotaryEmbedding lie.
struct RotaryShapes: Sendable {
  private let batch: Int
  private let heads: Int
  private let length: Int
  private let width: Int
  private let layout: AttentionGeometry.Layout
  private let pairCount: Int
  private let isInterleaved: Bool
  /// Rows of cosines; tokens choose theirs where places are given.
  private let rowCount: Int

  /// Where cosines, sines and places are among the inputs.
  let angles: Range<Int>
  let places: Int
  /// Whether the only place given is that of the first token.
  private let isOffset: Bool

  /// - Throws: `.shapeMismatch` naming the shapes that do not fit.
  init(_ view: some NodeView, _ inputs: [TensorType?]) throws(StackLensError) {
    try self.init(view, inputs, angles: 1..<3, places: 3, inferHeads: false)
  }

  /// The same with the places second, and heads as wide as the angles where nothing else is said.
  init(contributed view: some NodeView, _ inputs: [TensorType?]) throws(StackLensError) {
    guard try !view.flag("is_packed_batching"), try view.float("scale") == 1 else {
      throw .unsupported("packed batches and a scale of RotaryEmbedding")
    }
    try self.init(view, inputs, angles: 2..<4, places: 1, inferHeads: true)
  }

  private init(
    _ view: some NodeView, _ inputs: [TensorType?], angles: Range<Int>, places: Int,
    inferHeads: Bool
  ) throws(StackLensError) {
    func shape(_ index: Int) -> Shape? { index < inputs.count ? inputs[index]?.shape : nil }
    guard let x = shape(0), let cosines = shape(angles.lowerBound),
      let sines = shape(angles.lowerBound + 1)
    else { throw .invalidArgument("the input, cosines or sines are missing") }
    (self.angles, self.places) = (angles, places)
    let turned = try view.int("rotary_embedding_dim")
    var given = try view.int("num_heads")
    if inferHeads, given == 0 || turned == 0, x.rank == 3, let pairs = cosines.dims.last, pairs > 0
    {
      given = x[2] / 2 / pairs
    }
    switch x.rank {
    case 4: (batch, heads, length, width) = (x[0], x[1], x[2], x[3])
    case 3:
      guard given > 0, x[2] % given == 0 else {
        throw .shapeMismatch("input of shape \(x) does not hold \(given) heads")
      }
      (batch, heads, length, width) = (x[0], given, x[1], x[2] / given)
    default: throw .shapeMismatch("input of shape \(x), expected three or four axes")
    }
    layout = AttentionGeometry.Layout(x, heads: heads)
    guard turned >= 0, turned <= width, (turned == 0 ? width : turned) % 2 == 0 else {
      throw .invalidArgument("cannot turn \(turned) of \(width) elements of a head in pairs")
    }
    pairCount = (turned == 0 ? width : turned) / 2
    isInterleaved = try view.flag("interleaved")
    guard cosines == sines else {
      throw .shapeMismatch("cosines of shape \(cosines), sines of shape \(sines)")
    }
    guard let chosen = shape(places) else {
      guard cosines.dims == [batch, length, pairCount] else {
        throw .shapeMismatch(
          "cosines have shape \(cosines), expected [\(batch), \(length), \(pairCount)]")
      }
      rowCount = try extentProduct(batch, length)
      isOffset = false
      return
    }
    isOffset = inferHeads && chosen.rank <= 1 && chosen.count == 1
    guard cosines.rank == 2, cosines[1] == pairCount, isOffset || chosen.dims == [batch, length]
    else {
      throw .shapeMismatch(
        "cosines of shape \(cosines) and places of shape \(chosen) do not fit \(x)")
    }
    rowCount = cosines[0]
  }

  func kernel(_ preparation: Preparation) throws(StackLensError) -> PreparedKernel {
    if try preparation.input(0).elementType == .float64 {
      return try wideKernel(Double.self, preparation, inputs: angles.upperBound) {
        (wide) throws(StackLensError) in try rotate(wide)
      }
    }
    return try wideKernel(Float.self, preparation, inputs: angles.upperBound) {
      (wide) throws(StackLensError) in try rotate(wide)
    }
  }

  func rotate<T: BinaryFloatingPoint>(_ wide: WideRun<T>) throws(StackLensError) {
    let x = try wide.input(0)
    let (cosines, sines) = (
      try wide.input(angles.lowerBound), try wide.input(angles.lowerBound + 1)
    )
    let y = wide.outputs[0]
    let places = try places(wide.run)
    let rest = 2 * pairCount
    wide.run.parallel.ranges(
      batch * heads * length, grain: max(1, cheapGrain / max(1, width))
    ) { range in
      for row in range {
        let (entry, token) = row.quotientAndRemainder(dividingBy: length)
        let (batch, head) = entry.quotientAndRemainder(dividingBy: heads)
        let start = layout.start(batch, head, token)
        let angle = (places?[batch * length + token] ?? (batch * length + token)) * pairCount
        let (from, to) = (x + start, y + start)
        let (cosine, sine) = (cosines + angle, sines + angle)
        let (step, other) = isInterleaved ? (2, 1) : (1, pairCount)
        for pair in 0..<pairCount {
          let (first, second) = (from[pair * step], from[pair * step + other])
          to[pair * step] = cosine[pair] * first - sine[pair] * second
          to[pair * step + other] = sine[pair] * first + cosine[pair] * second
        }
        (to + rest).update(from: from + rest, count: width - rest)
      }
    }
  }

  private func places(_ run: Invocation) throws(StackLensError) -> [Int]? {
    guard places < run.inputs.count, let tensor = run.inputs[places] else { return nil }
    var places = try tensor.integers()
    if isOffset, let first = places.first {
      guard first >= 0, first <= rowCount - length else {
        throw .invalidArgument(
          "place \(first) of the first of \(length) tokens, but there are \(rowCount) places")
      }
      places = (0..<batch).flatMap { _ in first..<first + length }
    }
    for place in places where place < 0 || place >= rowCount {
      throw .invalidArgument("position_ids holds \(place), expected 0 to \(rowCount - 1)")
    }
    return places
  }
}

@Sendable private func expandRotaryEmbedding(
  _ node: ComposedNode, _ rewriter: inout Rewriter
) throws(StackLensError) -> [Node] {
  var made = Decomposition(node.node, newestOpset)
  let heads = try node.int("num_heads")
  let input = try node.required(0, "X")
  let isFlat = rewriter.dims(of: input).map { $0.count == 3 } ?? (heads > 0)
  let turn: [String: Attribute] = ["perm": .ints([0, 2, 1, 3])]
  var x = input
  if isFlat {
    let shape = try rewriter.ints([0, 0, Int64(heads), -1], "shape")
    x = made.apply("Transpose", [made.apply("Reshape", [x, shape], &rewriter)], turn, &rewriter)
  }
  // The part that stays as it is.
  var rest: String?
  let turned = Int64(try node.int("rotary_embedding_dim"))
  if turned > 0 {
    let axes = try rewriter.ints([3], "axes")
    let (zero, cut) = (try rewriter.ints([0], "start"), try rewriter.ints([turned], "cut"))
    let end = try rewriter.ints([.max], "end")
    rest = made.apply("Slice", [x, cut, end, axes], &rewriter)
    x = made.apply("Slice", [x, zero, cut, axes], &rewriter)
  }
  func angles(_ index: Int) throws(StackLensError) -> String {
    var table = try node.required(index, "angles")
    if let places = node.input(3) { table = made.apply("Gather", [table, places], &rewriter) }
    return made.apply("Unsqueeze", [table, try rewriter.ints([1], "axes")], &rewriter)
  }
  let (cosines, sines) = (try angles(1), try angles(2))
  let isInterleaved = try node.flag("interleaved")
  // The pairs lie on an axis of their own. Axes count from the front, as opsets below 11 want it.
  let axis: Int64 = isInterleaved ? 4 : 3
  let last = try rewriter.ints([axis], "last")
  var halves: [String]
  if isInterleaved {
    let shape = try rewriter.ints([0, 0, 0, -1, 2], "pairs")
    let pairs = made.apply("Reshape", [x, shape], &rewriter)
    halves = made.split(pairs, into: 2, axis: axis, &rewriter)
    halves = halves.map { made.apply("Squeeze", [$0, last], &rewriter) }
  } else {
    halves = made.split(x, into: 2, axis: axis, &rewriter)
  }
  func products(_ left: String, _ right: String, _ join: String) -> String {
    let (a, b) = (
      made.apply("Mul", [halves[0], left], &rewriter),
      made.apply("Mul", [halves[1], right], &rewriter)
    )
    return made.apply(join, [a, b], &rewriter)
  }
  var parts = [products(cosines, sines, "Sub"), products(sines, cosines, "Add")]
  if isInterleaved {
    parts = parts.map { made.apply("Unsqueeze", [$0, last], &rewriter) }
  }
  var y = made.apply("Concat", parts, ["axis": .int(axis)], &rewriter)
  if isInterleaved {
    y = made.apply("Reshape", [y, try rewriter.ints([0, 0, 0, -1], "shape")], &rewriter)
  }
  if let rest { y = made.apply("Concat", [y, rest], ["axis": .int(3)], &rewriter) }
  guard isFlat else { return made.finish("Identity", [y]) }
  y = made.apply("Transpose", [y], turn, &rewriter)
  return made.finish("Reshape", [y, try rewriter.ints([0, 0, -1], "shape")])
}

/// The standard operator with its places spread, where the number of axes is known.
@Sendable private func expandContributedRotaryEmbedding(
  _ node: ComposedNode, _ rewriter: inout Rewriter
) throws(StackLensError) -> [Node] {
  var made = Decomposition(node.node, newestOpset)
  let (x, given) = (try node.required(0, "input"), try node.required(1, "position_ids"))
  let (cosines, sines) = (try node.required(2, "cos_cache"), try node.required(3, "sin_cache"))
  var attributes = node.node.attributes
  attributes["is_packed_batching"] = nil
  attributes["scale"] = nil
  let turned = try node.int("rotary_embedding_dim")
  let (heads, rank) = (try node.int("num_heads"), rewriter.dims(of: x)?.count)
  guard let rank, rank == 4 || rank == 3 else {
    throw .unsupported("the number of axes of '\(x)' is not known")
  }
  if rank == 3, heads == 0 || turned == 0 {
    guard let width = rewriter.lastExtent(of: x), let pairs = rewriter.lastExtent(of: cosines),
      pairs > 0
    else { throw .unsupported("the widths of '\(x)' and '\(cosines)' are not known") }
    attributes["num_heads"] = .int(Int64(width / 2 / pairs))
  }
  var places = given
  if rewriter.dims(of: given)?.count != 2 {
    // One place for each token, or that of the first one.
    let length = made.extent(x, rank == 4 ? 2 : 1, &rewriter)
    let batch = made.extent(x, 0, &rewriter)
    let one = try rewriter.ints([1], "one")
    let isOffset = made.apply("Equal", [made.apply("Size", [given], &rewriter), one], &rewriter)
    let steps = try made.range(length, &rewriter)
    let none = made.apply("Mul", [steps, try rewriter.ints([0], "zero")], &rewriter)
    let added = made.apply("Where", [isOffset, steps, none], &rewriter)
    let columns = made.apply("Where", [isOffset, one, length], &rewriter)
    let shape = made.apply(
      "Concat", [try rewriter.ints([-1], "rows"), columns], ["axis": .int(0)], &rewriter)
    let grid = made.apply("Reshape", [given, shape], &rewriter)
    let all = made.apply("Concat", [batch, length], ["axis": .int(0)], &rewriter)
    places = made.apply(
      "Expand", [made.apply("Add", [grid, added], &rewriter), all], &rewriter)
  }
  return made.finish("RotaryEmbedding", [x, cosines, sines, places], attributes)
}
