import Base
import Graphs
import Layers
import Tensors

/// One text for each row, as texts or as the ids of their words.
enum TextColumn {
  case texts([String])
  /// int64 [rows, steps], padded with 0.
  case ids(Tensor)

  /// The column called `name` where texts are given and `name`_ids where ids are.
  /// - Returns: nil where neither is.
  /// - Throws: `.invalidArgument` where both are, and for ids that are not in the vocabulary;
  ///   `.shapeMismatch` for more steps than `length`.
  init?(
    _ arguments: Arguments, _ name: String, vocabulary: Int, length: Int
  ) throws(StackLensError) {
    let ids = name + "_ids"
    switch (arguments.has(name), arguments.has(ids)) {
    case (false, false): return nil
    case (true, true):
      throw .invalidArgument("both '\(name)' and '\(ids)' are given, expected one of them")
    case (true, false): self = .texts(try arguments.texts(name))
    case (false, true):
      let tensor = try arguments.integers(ids, [nil, nil], in: 0..<vocabulary)
      guard (1...length).contains(tensor.shape[1]) else {
        throw .shapeMismatch(
          "'\(ids)' has shape \(tensor.shape), expected [rows, 1 to \(length) steps]")
      }
      self = .ids(tensor)
    }
  }

  var count: Int {
    switch self {
    case .texts(let texts): texts.count
    case .ids(let tensor): tensor.shape[0]
    }
  }

  func taking(_ rows: [Int]) throws(StackLensError) -> TextColumn {
    switch self {
    case .texts(let texts): .texts(rows.map { texts[$0] })
    case .ids(let tensor): .ids(try tensor.rows(rows))
    }
  }

  /// The words of the texts; nothing where there are ids.
  var words: [[String]] {
    if case .texts(let texts) = self { texts.map { WordVectorizer.split($0) } } else { [] }
  }

  /// Ids without columns that are all padding.
  func ids(
    _ vectorizer: () throws(StackLensError) -> WordVectorizer, length: Int
  ) throws(StackLensError) -> Tensor {
    switch self {
    case .texts(let texts): return try vectorizer().tensor(texts, length: length, isTrimmed: true)
    case .ids(let tensor):
      let width = max(1, tensor.tokenCounts().max() ?? 1)
      return try tensor.rows(Array(0..<tensor.shape[0]), width: width)
    }
  }
}

extension Tensor {
  /// How many columns of each row of ids there are up to the last that is no padding.
  func tokenCounts() -> [Int] {
    let width = shape[1]
    let ids = base.assumingMemoryBound(to: Int64.self)
    return (0..<shape[0]).map { row in
      var count = width
      while count > 0, ids[row * width + count - 1] == 0 { count -= 1 }
      return count
    }
  }
}

extension Network {
  /// How many steps of each row of ids [rows, steps] there are up to the last that is no padding:
  /// int64 [rows].
  func tokenCounts(_ ids: Edge) throws(StackLensError) -> Edge {
    let (zero, one) = (
      constant(try Tensor(scalar: Int64(0))), constant(try Tensor(scalar: Int64(1)))
    )
    let steps = try positions(extent(ids, 1)) + one
    let isToken = cast(graph.add("Greater", [ids, zero]), .int64)
    return graph.add("ReduceMax", [isToken * steps, try ints([1])], ["keepdims": .int(0)])
  }
}
