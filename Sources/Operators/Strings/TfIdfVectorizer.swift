import Base
import Graphs
import Tensors

extension OperatorDefinition {
  /// How often the n-grams of a pool occur in each row, with up to `max_skip_count` elements left
  /// out between neighbours, or whether they do; times a weight for each n-gram.
  /// ONNX TfIdfVectorizer-9.
  static let tfIdfVectorizer = OperatorDefinition(
    "TfIdfVectorizer", versions: [9], inputs: 1...1,
    attributes: [
      .required("max_gram_length", .int), .required("max_skip_count", .int),
      .required("min_gram_length", .int), .required("mode", .string),
      .required("ngram_counts", .ints), .required("ngram_indexes", .ints),
      .optional("pool_int64s", .ints), .optional("pool_strings", .strings),
      .optional("weights", .floats),
    ],
    infer: { (context) throws(StackLensError) in
      let x = try context.input(0, oneOf: [.string, .int32, .int64])
      guard x.rank <= 2 else {
        throw .shapeMismatch("the input has shape \(x.shape), expected [C] or [N, C]")
      }
      let indexes = try context.ints("ngram_indexes") ?? []
      guard let last = indexes.max(), indexes.allSatisfy({ $0 >= 0 }), last < Int(Int32.max) else {
        throw .invalidArgument("ngram_indexes must name places from 0 to 2³¹ - 2")
      }
      return [TensorType(.float32, try Shape(x.shape.dims.dropLast() + [last + 1]))]
    },
    execution: .kernels([
      .reference { (preparation) throws(StackLensError) in
        let type = try preparation.input(0)
        let pool = try preparation.derived { () throws(StackLensError) in
          try NgramPool(preparation, isText: type.elementType == .string)
        }
        guard pool.isText == (type.elementType == .string) else {
          throw .typeMismatch("the pool does not hold \(type.elementType.name)")
        }
        let columns = type.rank == 0 ? 1 : type.shape[type.rank - 1]
        let rows = type.rank == 2 ? type.shape[0] : 1
        let width = preparation.outputs[0].shape[preparation.outputs[0].rank - 1]
        return PreparedKernel { (run) throws(StackLensError) in
          let x = try run.input(0)
          let y = run.outputs[0].floats
          let grain = max(1, (1 << 12) / max(1, columns + width / 16))
          run.parallel.ranges(rows, grain: grain) { range in
            var tokens = [Int32](repeating: 0, count: columns)
            for row in range {
              let counts = y + row * width
              counts.update(repeating: 0, count: width)
              for column in 0..<columns { tokens[column] = pool.token(x, row * columns + column) }
              pool.count(tokens, into: counts)
            }
          }
        }
      }
    ]),
    samples: [
      Sample(
        [.random(.int64, [2, 9], low: 1, high: 4)],
        [
          "max_gram_length": .int(2), "max_skip_count": .int(3), "min_gram_length": .int(1),
          "mode": .string("TFIDF"), "ngram_counts": .ints([0, 2]),
          "ngram_indexes": .ints([0, 1, 2, 3]), "pool_int64s": .ints([1, 2, 1, 2, 3, 3]),
          "weights": .floats([0.5, 1, 2, 4]),
        ]),
      Sample(
        [.tensor { () throws(StackLensError) in try Tensor(["a", "b", "a", "b"]) }],
        [
          "max_gram_length": .int(2), "max_skip_count": .int(0), "min_gram_length": .int(2),
          "mode": .string("IDF"), "ngram_counts": .ints([0, 1]), "ngram_indexes": .ints([4, 0]),
          "pool_strings": .strings(["a", "a", "b"]),
        ]),
    ])
}
