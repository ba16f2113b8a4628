import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// Words [words, characters] of character numbers, 0 where a word has ended, as vectors: the
  /// largest tanh(convolution) over the windows of the embedded characters. A word that begins with
  /// 0 has no characters and becomes zeros. A word shorter than the window has one window.
  static let wordConvEmbedding = composed(
    "WordConvEmbedding", domain: runtimeDomain, inputs: 4...4,
    attributes: [
      .optional("embedding_size", .int), .optional("conv_window_size", .int),
      .optional("char_embedding_size", .int),
    ],
    samples: [
      Sample([words, .floats(4, 1, 2, 3), .floats(4), .floats(9, 3)]),
      Sample(
        [words, .floats(2, 1, 5, 3), .floats(2), .floats(9, 3)], ["conv_window_size": .int(5)]),
    ]
  ) { (call, rewriter) throws(StackLensError) in
    var parts = Decomposition(call.node, newestOpset)
    let words = try call.required(0, "Sequence")
    let filters = try call.required(1, "W")
    try check(call, filters, try call.required(3, "C"), &rewriter)
    let characters = parts.apply(
      "Gather", [try call.required(3, "C"), words], ["axis": .int(0)], &rewriter)
    let image = parts.apply("Unsqueeze", [characters, try rewriter.ints([1], "axes")], &rewriter)
    let windows = parts.apply(
      "Conv", [image, filters, try call.required(2, "B")], &rewriter)
    let flat = parts.apply("Squeeze", [windows, try rewriter.ints([3], "axes")], &rewriter)
    let activated = parts.apply("Tanh", [flat], &rewriter)

    let zero = rewriter.constant(try Tensor(scalar: Int32(0)), "zero")
    let wide: [String: Attribute] = ["to": .int(Int64(ElementType.int64.rawValue))]
    let isCharacter = parts.apply("Greater", [words, zero], &rewriter)
    let marks = parts.apply("Cast", [isCharacter], wide, &rewriter)
    let counts = parts.apply(
      "ReduceSum", [marks, try rewriter.ints([1], "axes")], ["keepdims": .int(1)], &rewriter)
    let width = parts.apply("Shape", [filters], ["start": .int(2), "end": .int(3)], &rewriter)
    let spare = parts.apply("Sub", [counts, width], &rewriter)
    let nothing = rewriter.constant(try Tensor(scalar: Int64(0)), "nothing")
    let last = parts.apply("Max", [spare, nothing], &rewriter)
    let places = try parts.range(parts.extent(activated, 2, &rewriter), &rewriter)
    let isInside = parts.apply("LessOrEqual", [places, last], &rewriter)
    let row = parts.apply("Unsqueeze", [isInside, try rewriter.ints([1], "axes")], &rewriter)
    let low = rewriter.constant(try Tensor(scalar: -Float.infinity), "low")
    let seen = parts.apply("Where", [row, activated, low], &rewriter)
    let largest = parts.apply(
      "ReduceMax", [seen, try rewriter.ints([2], "axes")], ["keepdims": .int(0)], &rewriter)

    let bounds = try [[0], [1], [1]].map { (values) throws(StackLensError) in
      try rewriter.ints(values, "bound")
    }
    let isWord = parts.apply("Slice", [isCharacter] + bounds, &rewriter)
    let empty = rewriter.constant(try Tensor(scalar: Float(0)), "empty")
    return parts.finish("Where", [isWord, largest, empty])
  }

  /// The attributes only repeat what the shapes say.
  private static func check(
    _ call: ComposedNode, _ filters: String, _ table: String, _ rewriter: inout Rewriter
  ) throws(StackLensError) {
    for (name, input, axis) in [
      ("embedding_size", filters, 0), ("conv_window_size", filters, 2),
      ("char_embedding_size", table, 1),
    ] where call.has(name) {
      let (said, dims) = (try call.int(name), rewriter.dims(of: input))
      guard let dims, axis < dims.count, let extent = dims[axis], said != -1, said != extent else {
        continue
      }
      throw .shapeMismatch("attribute '\(name)' is \(said), the input '\(input)' has \(extent)")
    }
  }

  private static let words = Sample.Input.tensor { () throws(StackLensError) in
    try Tensor(
      [Int32(3), 1, 2, 0, 0, 8, 0, 0, 0, 0, 0, 4, 4, 0, 0, 5, 6, 7, 8, 1], shape: Shape([4, 5]))
  }
}
